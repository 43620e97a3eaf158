"""Drawings redrawn as by hand: the truth follows their wobble, the lines alone change and break."""

import pytest
import torch

import datasets
from datasets import strokes
from datasets.base import DataError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawing(size: int = 64) -> torch.Tensor:
    """A black square outline, 4 pixels thick, on white."""
    picture = torch.ones(3, size, size)
    picture[:, 12:52, 12:52] = -1
    picture[:, 16:48, 16:48] = 1
    return picture


def dark(picture: torch.Tensor) -> int:
    return int((picture[0] < 0).sum())


def birds(strength: float, split: str = "train"):
    return datasets.load("paired", "birds:50", size=64, split=split, strokes=strength)


def test_lines_bend_and_do_not_tear():
    far = 0
    for seed in range(8):
        line = strokes.moved(drawing(), strokes.wobbly(64, 1.0, seeded(seed)))
        assert 0.7 < dark(line) / dark(drawing()) < 1.4
        far += int((line - drawing()).abs().max() > 1)
    assert far == 8


def test_lines_get_thicker_and_thinner_by_up_to_a_pixel_a_side():
    counts = [dark(strokes.thickened(drawing(), 1.0, seeded(seed))) for seed in range(30)]
    thin, thick = 38 * 38 - 34 * 34, 42 * 42 - 30 * 30
    assert min(counts) == thin and max(counts) == thick and dark(drawing()) in counts


def test_gaps_lie_on_lines_and_are_white():
    whiter = 0
    for seed in range(20):
        gapped = strokes.broken(drawing(), 1.0, seeded(seed))
        changed = gapped != drawing()
        assert bool((gapped[changed] > drawing()[changed]).all())
        whiter += dark(gapped) < dark(drawing())
    assert whiter >= 15
    blank = torch.ones(3, 64, 64)
    assert torch.equal(strokes.broken(blank, 1.0, seeded()), blank)


def test_no_strength_changes_nothing_but_resampling():
    still = strokes.moved(drawing(), strokes.wobbly(64, 0.0, seeded()))
    torch.testing.assert_close(still, drawing(), atol=1e-4, rtol=0)
    assert torch.equal(strokes.broken(drawing(), 0.0, seeded()), drawing())


def test_pairs_are_redrawn_in_training_only():
    plain, redrawn = birds(0.0), birds(1.0)
    again = redrawn.sample(3, seeded(5))
    for side in "ab":
        assert not torch.equal(redrawn.sample(3, seeded(5))[side], plain.sample(3, seeded(5))[side])
        assert torch.equal(redrawn.sample(3, seeded(5))[side], again[side])
        assert again[side].abs().max() <= 1 and again[side].shape == (3, 64, 64)
    assert redrawn.info == plain.info and torch.equal(redrawn.order(1, 2), plain.order(1, 2))
    test = birds(1.0, split="test")
    assert torch.equal(test.sample(0, seeded())["a"], birds(0.0, split="test").sample(0, seeded())["a"])


def test_the_truth_follows_the_wobble_of_its_drawing():
    """With the outline as its own truth, only thickness and gaps still differ: it lies along the lines."""

    class Twice(datasets.Dataset):
        info = {"kind": "paired", "count": 1}

        def sample(self, index, generator):
            return {"a": drawing(), "b": drawing()}

    changes = []
    for seed in range(8):
        sample = strokes.HandDrawn(Twice(), 1.0).sample(0, seeded(seed))
        grown = torch.nn.functional.max_pool2d(-sample["b"], 5, 1, 2)
        outside = (sample["a"] < 0) & (grown < 0)
        assert not outside.any()
        changes.append(float((sample["b"] - drawing()).abs().max()))
    assert max(changes) > 1 and min(changes) < 1


def test_other_kinds_of_data_are_refused():
    with pytest.raises(DataError, match="--strokes 0.5 is for paired data; leave it at 0 for unpaired data"):
        datasets.load("unpaired", "birds", size=16, strokes=0.5)
