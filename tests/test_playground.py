"""The games of tab Playground: the code of --task gan, live; what its presets promise."""

import dataclasses
import json

import pytest
import torch

from translate.config import UserError
from translate.ui import games
from translate.ui.games import PRESETS, Rules, Table


def test_it_is_the_training_of_the_command_line(learn):
    """The same settings give the same weights as `train`, whatever the pieces it is played in."""
    import datasets
    from models.gan import gan

    rules = Rules(k=2)
    table = Table(rules)
    for _ in range(3):
        table.play(0.0, 1)
    assert table.lesson.t == 6
    settings = rules.settings() | {"steps": 6, "log_every": 100, "save_every": 100}
    trained = learn(gan.GAN, datasets.load("points", "gaussian", size=8), **(settings | unlike(gan)))
    for name, value in table.lesson.task.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name


def unlike(gan) -> dict:
    """Settings of the published config where `tiny` has others."""
    tiny, usual = gan.GAN.tiny(), gan.Config()
    own = Rules().settings()
    changed = {f.name for f in dataclasses.fields(usual) if getattr(tiny, f.name) != getattr(usual, f.name)}
    return {name: getattr(usual, name) for name in changed - own.keys() - {"mixed_precision", "output"}}


def test_a_frame_says_what_the_page_draws():
    table = Table(PRESETS["The Wasserstein fix"][0])
    table.play(0.0, 1)
    frame = json.loads(json.dumps(table.frame()))
    assert frame["t"] == 5 and len(frame["surface"]) == games.SIDE**2
    assert (
        len(frame["made"]) == len(frame["real"]) == 2 * games.SHOWN
        and len(frame["arrows"]) == 2 * games.ARROWS
    )
    assert 0 <= min(frame["surface"]) <= max(frame["surface"]) <= 100 and frame["of"] == 8
    table.view = "best D"
    best = torch.tensor(table.frame()["surface"]).reshape(games.SIDE, games.SIDE)
    real = (torch.tensor(frame["real"][:2]) * torch.tensor([1, -1]) + 1000) * games.SIDE // 2000
    assert best[real[1], real[0]] > 90, "where only data are, the best D says so"


def test_saturation_and_its_cure():
    """Under log(1 - D) the arrows vanish, the doctor says why, and another game brings them back."""
    table = Table(PRESETS["Saturation"][0])
    before = table.frame()["distance"]
    table.play(60.0, 400)
    frame = table.frame()
    assert frame["right"] > 0.97 and frame["pull"] < 0.02 and "log(1 - D) is flat" in frame["words"]
    assert frame["distance"] > 0.9 * before and any("vanishing-generator" in said for said in frame["doctor"])
    assert len(set(frame["doctor"])) == len(frame["doctor"]), "each sign once"
    assert any("Try “Game” non-saturating" in said for said in frame["doctor"]), (
        "in the words of the controls"
    )
    table.follow(dataclasses.replace(table.rules, game="non-saturating"))
    assert table.lesson.t == 400 and table.frame()["pull"] > 10 * frame["pull"]


def test_mode_collapse_and_its_cure_by_unrolling():
    """With one D the points run about in a heap; looking ahead they lie around the ring soon."""
    far = []
    for name in ("Mode collapse", "Cured by unrolling"):
        table, seen = Table(PRESETS[name][0]), []
        for turns in (75, 25, 25):
            table.play(60.0, turns)
            seen.append(table.frame()["distance"])
        far.append(sum(seen) / 3)
    assert far[1] < 0.75 * far[0]


def test_other_rules_keep_the_networks_and_other_data_do_not():
    table = Table(Rules())
    table.play(60.0, 2)
    weights = table.lesson.task.state_dict()["G.layers.0.weight"].clone()
    table.follow(dataclasses.replace(table.rules, unroll=2))
    assert torch.equal(table.lesson.task.state_dict()["G.layers.0.weight"], weights) and table.lesson.t == 2
    table.play(0.0, 1)
    for other in (dict(data="ring of 8"), dict(network="a D of one layer")):
        table.follow(dataclasses.replace(table.rules, **other))
        assert table.lesson.t == 0
        table.play(0.0, 1)


@pytest.mark.parametrize(
    "rules",
    [
        dict(game="chess"),
        dict(data=["ring of 8"]),
        dict(network="deep"),
        dict(k=0),
        dict(k=2.5),
        dict(rate_g="fast"),
        dict(rate_d=9),
    ],
)
def test_rules_that_are_none_get_a_sentence(rules):
    with pytest.raises(UserError, match="There is no|must be"):
        Rules(**rules)


def test_a_game_that_blows_up_says_so():
    table = Table(Rules(game="least-squares", penalty="none", rate_g=0.1, rate_d=0.1))
    with torch.no_grad():
        table.lesson.task.D[1].weight.fill_(torch.nan)
    with pytest.raises(UserError, match="blown up"):
        table.play(0.0, 1)
