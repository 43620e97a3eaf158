"""Latents at work: ways, arithmetic, decodings, sliders, comparisons, votes; as functions and as commands."""

import dataclasses
import io
import json

import pytest
import torch
from PIL import Image

import datasets
from tests.test_page import model, photo
from translate.config import UserError
from translate.inference import exploring, images
from translate.inference.pipeline import Pipeline
from translate.ui.lanes import Lanes


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model(root / "noise", "dcgan", "images")
    model(root / "vae", "vae", "images")
    model(root / "codes", "infogan", "images")
    for name in ("one", "two"):
        model(root / name, "pix2pix", "paired", generator="unet128", size=128)
    return root


@pytest.fixture(scope="module")
def vae(models):
    return Pipeline.from_pretrained(models / "vae", "cpu", "fp32")


def test_a_way_begins_and_ends_where_it_should(vae):
    a, b = exploring.end(vae, 1), exploring.end(vae, 2)
    made = exploring.way(vae, a, b, 5)
    for place, noise in ((0, a), (-1, b)):
        assert torch.allclose(made[place].tensor, vae.from_noise(noise)[0].tensor, atol=1e-5)
    gif = exploring.moving(made)
    assert gif[:4] == b"GIF8" and Image.open(io.BytesIO(gif)).n_frames > 1


def test_arithmetic_is_that_of_the_noises(vae):
    a, b, c = (vae.noise(1, seed) for seed in (1, 2, 3))
    made = exploring.combined(vae, [[1], [2], [3]])
    assert torch.allclose(made[3].tensor, vae.from_noise(a - b + c)[0].tensor, atol=1e-5)


def test_a_generator_without_an_encoder_is_searched(models, vae, monkeypatch):
    """The noise found draws a picture nearer than the best of 64; an encoder is asked where there is one."""
    monkeypatch.setattr(exploring, "STEPS", 20)
    gan = Pipeline.from_pretrained(models / "noise", "cpu", "fp32")
    target = gan.from_noise(gan.noise(1, 1234))[0]
    tried = gan.from_noise(gan.noise(exploring.CANDIDATES, 0))
    best = min(float((one.tensor - target.tensor).square().mean()) for one in tried)
    shares = []
    found = gan.from_noise(exploring.end(gan, target, shares.append))[0]
    assert float((found.tensor - target.tensor).square().mean()) < best and shares[-1] == 1
    assert torch.equal(exploring.end(vae, target), vae.encode(target))


def test_several_decodings_of_one_picture(models, vae):
    picture = vae.from_noise(vae.noise(1, 5))[0]
    made = exploring.decodings(vae, picture, 3, seed=1)
    assert len(made) == 3 and not torch.equal(made[0].tensor, made[1].tensor)
    again = exploring.decodings(vae, picture, 3, seed=1)
    assert torch.equal(made[2].tensor, again[2].tensor)
    gan = Pipeline.from_pretrained(models / "noise", "cpu", "fp32")
    with pytest.raises(UserError, match="noise has one code, not several"):
        exploring.decodings(gan, picture, 3)


def test_the_commands_write_what_they_say(models, tmp_path, capsys):
    from translate.commands.interpolate import interpolate
    from translate.commands.reconstruct import reconstruct

    source = photo(tmp_path / "a.png", (30, 20))
    interpolate(model=str(models / "vae"), output=str(tmp_path / "way"), start="3", end=str(source), count=3)
    size = Image.open(tmp_path / "way" / "0000.png").size
    assert Image.open(tmp_path / "way" / "strip.png").size == (3 * size[0] + 4, size[1])
    assert Image.open(tmp_path / "way" / "way.gif").n_frames > 1
    reconstruct((str(source),), model=str(models / "vae"), output=str(tmp_path / "again"), decodings=2)
    assert Image.open(tmp_path / "again" / "a.png").width == 4 * size[0] + 6
    with pytest.raises(UserError, match="exists; --overwrite"):
        reconstruct((str(source),), model=str(models / "vae"), output=str(tmp_path / "again"))
    capsys.readouterr()


def test_the_page_and_the_commands_use_the_same_words():
    """Each flag that a section of the page has, by its label there; each command, by its section."""
    import inspect

    from translate.commands import interpolate, nearest, reconstruct, sample
    from translate.ui.words import W

    flags = dict(
        count=W.common.pictures, seed=W.common.seed, truncation=W.common.truncation,
        label=W.common.class_asked_for, start=W.explore.first_picture, end=W.explore.second_picture,
        decodings=W.explore.codes,
    )  # fmt: skip
    sections = {
        sample.sample: W.explore.samples, interpolate.interpolate: W.common.from_one_to_another,
        reconstruct.reconstruct: W.explore.decodings, nearest.nearest: W.explore.nearest_training_pictures,
    }  # fmt: skip
    used = {flag for command in sections for flag in inspect.signature(command).parameters}
    assert flags.keys() <= used
    for word, shown in [*flags.items(), *((command.__name__, title) for command, title in sections.items())]:
        assert word in shown.lower(), (word, shown)


def test_handlers_of_tab_explore(shelf, tmp_path):
    from translate.ui import explore

    assert len(explore.samples(shelf, "vae", 5, 3, 0.5, None).pictures) == 5
    made, film = explore.way(shelf, "vae", str(photo(tmp_path / "a.jpg")), None, 0, 1, None)
    assert len(made.pictures) == explore.FRAMES and film.suffix == ".gif"
    assert "from your picture to seed 1" in made.note
    assert len(explore.arithmetic(shelf, "vae", "1 2 3", "4", "5,6", None).pictures) == 4 + 6
    assert "1 to 9 seeds" in failed(lambda: explore.arithmetic(shelf, "vae", "", "4", "5", None))
    assert len(explore.decoded(shelf, "vae", str(photo(tmp_path / "b.png")), 4, 0).pictures) == 2 + 4
    first = json.loads(explore.turned(shelf, "vae", "[7]", None))
    moved = [7, *first["values"]]
    moved[1] = 3.5
    second = json.loads(explore.turned(shelf, "vae", json.dumps(moved), None))
    assert second["values"][0] == 3.5 and second["picture"] != first["picture"]
    for hostile in ("", "{}", "[]", "[1e999]", '["x"]', "[[[[", "[0, NaN]", "9" * 3000, '{"a": 1}'):
        try:
            explore.turned(shelf, "vae", hostile, None)
        except UserError:
            pass
    assert "does not exist" in explore.existing(shelf, "noise")


def test_codes_that_mean_something_come_first(shelf):
    from translate.ui import explore

    task = shelf.pipeline("codes").task
    first = json.loads(explore.turned(shelf, "codes", "[7]", "1"))
    assert first["names"][:3] == ["code 2", "code 3", "z1"]
    moved = json.dumps([7, 2.5, *first["values"][1:]])
    second = json.loads(explore.turned(shelf, "codes", moved, "1"))
    assert second["picture"] != first["picture"]
    z, _ = explore.latents(shelf.pipeline("codes"), moved)
    assert z[0, task.config.latent] == 2.5
    other = json.loads(explore.turned(shelf, "codes", "[7]", "2"))
    assert other["picture"] != first["picture"], "the first code is the label"


def test_nearest_tells_copies_and_shows_what_is_near(tmp_path, monkeypatch, capsys):
    from translate.commands.nearest import nearest
    from translate.task import DataInfo, find
    from translate.training.checkpoint import write_model
    from translate.ui.nearest import nearest as known

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Task = find("dcgan")
    config = dataclasses.replace(Task.tiny(), data="digits", resize="resize")
    data = datasets.load("images", "digits", size=16, flip=False, resize="resize")
    folder = write_model(tmp_path / "digits", Task(config, DataInfo.of(data.info)), 7)
    nearest(model=str(folder), output=str(tmp_path / "near.png"), count=2)
    said = capsys.readouterr().out
    assert said.count("times as far as training pictures are from their own nearest") == 2
    shown = Image.open(tmp_path / "near.png")
    assert shown.height == 2 * 16 and shown.width > 3 * 16
    own = data.sample(5, torch.Generator())["image"]
    found = known(Lanes(), Pipeline.from_pretrained(folder, "cpu", "fp32")).of(own)
    assert "nearly a copy" in found.note and found.distances[0] < 0.01 < found.distances[1]
    assert torch.allclose(found.pictures[0], own, atol=1e-3)
    with pytest.raises(UserError, match="must end in .png"):
        nearest(model=str(folder), output="near.jpg")
    with pytest.raises(UserError, match="exists; --overwrite"):
        nearest(model=str(folder), output=str(tmp_path / "near.png"))


def failed(run) -> str:
    with pytest.raises(UserError) as error:
        run()
    return str(error.value)


def test_comparisons_and_votes(shelf, tmp_path):
    from translate.ui import compare

    both = ["noise", "vae"]
    made = compare.compared(shelf, "a seed", both, False, None, "", 3)
    assert made.alt == ("noise", "vae") and len({p.tensor.shape for p in made.pictures}) == 1
    source = str(photo(tmp_path / "a.png", (40, 30)))
    styles = compare.compared(shelf, "a picture", None, True, source, "", 0)
    assert styles.alt == ("yours", "one", "two")
    assert "Choose 2 to 4" in failed(lambda: compare.compared(shelf, "a seed", ["vae"], False, None, "", 0))
    assert "There is no kind" in failed(lambda: compare.compared(shelf, ["x"], both, False, None, "", 0))
    assert "evaluate --model vae" in compare.scores(shelf, "a seed", both, False)
    vote = json.loads(compare.ballot(shelf, "Which fits better?", "a seed", both, False, "", 0))
    assert sorted(vote["names"]) == both and all(p.startswith("data:image/png") for p in vote["pictures"])
    assert "Choose 1 model" in failed(
        lambda: compare.ballot(shelf, "Which is real?", "a seed", 5, False, "", 0)
    )


def test_scores_taken_differently_are_not_mixed(shelf, models):
    from translate.metrics import record
    from translate.metrics.evaluation import Row
    from translate.ui import compare

    protocol = dict(
        measure="FID", implementation="ours", network="x", resize="none", split="test", made=10, real=10,
        size="16x16", direction="none", seed=0,
    )  # fmt: skip
    for name, size in (("noise", "16x16"), ("vae", "32x32")):
        row = Row("fid", 1.5, "", "lower", protocol | {"size": size})
        facts = record.Record(name, name, "digits", 7, "live", "0" * 16, 0.1, [row])
        record.write(facts, models / name)
    try:
        told = compare.scores(shelf, "a seed", ["noise", "vae"], False)
        assert "size" in told and "16x16" in told and "32x32" in told and told.count("###") == 2
    finally:
        for name in ("noise", "vae"):
            (models / name / "scores.json").unlink()


def test_the_lanes_are_free_again(shelf):
    """A job that fails leaves nobody waiting."""
    from translate.ui import explore

    with pytest.raises(UserError):
        explore.way(shelf, "vae", None, None, -1, 1, None)
    assert isinstance(shelf.lanes, Lanes) and not shelf.lanes.under_way
    assert images.decode(explore.samples(shelf, "vae", 1, 0, 0, None).file).size
