"""Several styles in one network: the norm by hand, the data of several places, mixing."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import datasets
from models.translation.styles import ConditionalNorm, StyledCUT
from tests.conftest import build
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.inputs import label_weights
from translate.training.checkpoint import write_model
from translate.training.observers import preview_batch
from translate.training.stream import collate


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Photographs, and two styles: one dark picture, a folder of two bright ones."""
    root, random = tmp_path_factory.mktemp("styles"), np.random.default_rng(0)
    (root / "photos").mkdir(), (root / "waves").mkdir()
    for number in range(3):
        pixels = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"{number}.png")
    for name, low in (("scream.png", 0), ("waves/1.png", 200), ("waves/2.png", 200)):
        Image.fromarray(random.integers(low, low + 50, (24, 24, 3), dtype=np.uint8)).save(root / name)
    return root


@pytest.fixture(scope="module")
def data(places):
    b = f"{places}/scream.png+{places}/waves"
    return datasets.load("unpaired", "", a=f"{places}/photos", b=b, size=16, styles=True)


def test_the_norm_of_a_style_by_hand():
    """Equation 5, and halves of two styles."""
    norm = ConditionalNorm(2, 1)
    norm.gamma.data[:], norm.beta.data[:] = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [10.0]])
    x = torch.tensor([-1.0, 1.0]).view(1, 1, 1, 2).repeat(3, 1, 1, 1)
    w = torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]])
    wanted = torch.tensor([[-1.0, 1], [7, 13], [3, 7]])
    torch.testing.assert_close(norm(x, w).view(3, 2), wanted, rtol=1e-4, atol=1e-4)


def test_each_place_is_a_style(data, places):
    assert data.info["classes"] == ["scream", "waves"] and data.info["channels"] == {"a": 3, "b": 3}
    seen = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(12)]
    assert {sample["label"] for sample in seen} == {0, 1}
    assert all((sample["b"].mean() > 0) == bool(sample["label"]) for sample in seen)
    assert collate(seen)["label"].dtype == torch.int64
    one = datasets.load("unpaired", "", a=f"{places}/photos", b=f"{places}/waves", size=16, styles=True)
    assert build(StyledCUT, one).info.classes == ("waves",)


def test_the_objective(data):
    """CUT's, of pictures and a map of the style."""
    config = dataclasses.replace(StyledCUT.tiny(), places=7, nce_layers=(4,))
    task, batch = build(StyledCUT, data, config), preview_batch(data, 2)
    given = {}
    torch.manual_seed(0)
    logs = task.step(batch, 0, lambda name, loss: given.__setitem__(name, loss.detach()))
    x, y, w = batch["a"], batch["b"], F.one_hot(batch["label"], 2).float()
    maps = w[:, :, None, None].expand(-1, -1, 16, 16)
    fake = task(image=x, label=batch["label"])
    torch.testing.assert_close(fake, task(image=x, label=w))
    real, made = (task.D(torch.cat([picture, maps], 1)) for picture in (y, fake))
    fool = (made - 1).square().mean()
    torch.testing.assert_close(given["G"], fool + logs["nce"])
    torch.testing.assert_close(given["D"], 0.5 * ((real - 1).square() + made.square()).mean())


def test_styles_are_asked_for_and_mixed(data):
    torch.manual_seed(0)
    pipeline = Pipeline(build(StyledCUT, data).eval(), name="styles")
    for module in pipeline.task.G.modules():
        if isinstance(module, ConditionalNorm):
            module.beta.data = torch.randn_like(module.beta)
    picture = Image.new("RGB", (20, 18), "orange")
    made = {
        label: np.asarray(pipeline(picture, label=label)[0], float)
        for label in ("scream", "waves", "scream:1+waves:0", "scream+waves", "scream:3+waves:1")
    }
    assert np.array_equal(made["scream"], made["scream:1+waves:0"])
    assert len({value.tobytes() for value in made.values()}) == 4
    assert label_weights(pipeline.task.info, "scream:3+waves:1").tolist() == [0.75, 0.25]


@pytest.fixture
def models(data, tmp_path):
    torch.manual_seed(0)
    task = build(StyledCUT, data)
    for module in task.G.modules():
        if isinstance(module, ConditionalNorm):
            module.beta.data = torch.randn_like(module.beta)
    write_model(tmp_path / "models" / "two", task, 7)
    return tmp_path / "models"


def test_styles_are_mixed_by_sliders_on_the_page(shelf, places):
    from translate.ui import mixing
    from translate.ui.translate import painter, translate

    (entry,) = shelf.translators()
    assert painter(entry) and mixing.styles(entry) == ["scream", "waves"]
    sliders = mixing.shown(entry)
    assert [slider["visible"] for slider in sliders] == [True] * 2 + [False] * (mixing.MOST - 2)
    assert [slider["value"] for slider in sliders[:2]] == [100, 0] and sliders[1]["label"] == "waves, %"

    def painted(*shares):
        return translate(shelf, "two", str(places / "photos" / "0.png"), shares=shares)

    one, other, both, more = painted(100, 0), painted(0, 30), painted(50, 50), painted(100, 100)
    pixels = [made.pictures[0].tensor for made in (one, other, both, more)]
    assert not torch.equal(pixels[0], pixels[1]) and not torch.equal(pixels[0], pixels[2])
    assert torch.equal(pixels[2], pixels[3]) and "50% scream, 50% waves" in more.note
    assert "100% waves" in other.note
    with pytest.raises(UserError, match="a share above 0"):
        painted(0, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [("scream+wave", "no class 'wave'"), ("scream:x+waves", "a class and its share"), ("waves:0", "are 0")],
)
def test_mixtures_that_cannot_be(data, text, said):
    with pytest.raises(UserError, match=said):
        label_weights(build(StyledCUT, data).info, text)


def test_settings_that_cannot_be(data, places):
    with pytest.raises(UserError, match="neither --fast"):
        build(StyledCUT, data, dataclasses.replace(StyledCUT.tiny(), fast=True))
    twice = f"{places}/waves+{places}/waves"
    with pytest.raises(datasets.DataError, match="two styles in --b are called waves"):
        datasets.load("unpaired", "", a=f"{places}/photos", b=twice, size=16, styles=True)
