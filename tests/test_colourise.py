"""Grey in, colour out: pairs made of single pictures, and results that keep the light of what was given."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from models.translation.pix2pix import Pix2Pix
from tests.conftest import build
from translate.inference.pipeline import Pipeline

LUMA = (0.299, 0.587, 0.114)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_the_grey_of_each_picture_is_its_luma(colours):
    data = datasets.load("paired", str(colours), size=16, grey="a")
    sample = data.sample(1, torch.Generator().manual_seed(0))
    assert sample["b"].shape == (3, 16, 16) and data.info["channels"] == {"a": 1, "b": 3}
    wanted = sum(weight * channel for weight, channel in zip(LUMA, sample["b"], strict=True))
    torch.testing.assert_close(sample["a"][0], wanted)
    assert (
        datasets.load("paired", "birds:3", size=16, grey="a").sample(0, torch.Generator())["a"].shape[0] == 1
    )


def test_results_have_the_light_of_what_was_given(colours):
    """However bad the colours are: of a grey picture and of a coloured one, at its full size."""
    data = datasets.load("paired", str(colours), size=16, grey="a")
    torch.manual_seed(0)
    pipeline = Pipeline(build(Pix2Pix, data, dataclasses.replace(Pix2Pix.tiny(), generator="resnet6")).eval())
    values = np.linspace(60, 190, 23 * 30).reshape(23, 30).round().astype(np.uint8)
    grey = Image.fromarray(values)
    for given in (grey, grey.convert("RGB")):
        made = np.asarray(pipeline(given)[0].convert("RGB")).astype(float)
        assert made.shape == (23, 30, 3)
        inside = ((made > 0) & (made < 255)).all(2)  # what no colour had to be cut off of
        assert inside.mean() > 0.5 and np.abs(made @ LUMA - values)[inside].max() <= 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict(kind="images"), "--grey a makes pairs of the pictures in --data"),
        (dict(a="x", b="y"), "no --a, --b, --direction beside it"),
        (dict(grey="b"), "--grey a makes pairs"),
    ],
)
def test_options_that_cannot_be(colours, options, said):
    with pytest.raises(datasets.DataError, match=said):
        datasets.load(**dict(kind="paired", data=str(colours), size=16, grey="a") | options)


def test_grey_pictures_have_no_colours_to_learn(tmp_path):
    Image.new("L", (20, 20), 90).save(tmp_path / "grey.png")
    Image.new("L", (20, 20), 80).save(tmp_path / "grey2.png")
    with pytest.raises(datasets.DataError, match="have none"):
        datasets.load("paired", str(tmp_path), size=16, grey="a")
