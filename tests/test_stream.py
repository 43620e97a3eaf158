"""Batches by number: every sample once an epoch, repeatable, shared by processes."""

import pytest
import torch

from tests.conftest import World
from translate.training.stream import Stream, collate


def files_of(batches) -> list[str]:
    return [file for batch in batches for file in batch["file"]]


def test_every_epoch_shows_every_sample_once_in_a_new_order():
    stream = Stream(World("images", 8, count=6), batch_size=4, seed=1)
    shown = files_of(stream.batch(m) for m in range(6))
    epochs = [shown[i : i + 6] for i in range(0, 24, 6)]
    assert all(len(set(epoch)) == 6 for epoch in epochs) and len({tuple(e) for e in epochs}) > 2


@pytest.mark.parametrize("workers", [1, 3])
def test_any_batch_can_be_repeated_and_threads_do_not_matter(workers):
    """Also where a batch spans several epochs of a tiny data set."""
    data = World("unpaired", 8, count=2)
    expected = [Stream(data, 5, seed=7).batch(m) for m in range(30)]
    batches = Stream(data, 5, seed=7, workers=workers).starting_at(10)
    for m in range(10, 30):
        batch = next(batches)
        assert batch["file"] == expected[m]["file"] and torch.equal(batch["a"], expected[m]["a"])
    batches.close()
    other = Stream(data, 5, seed=8)
    assert any(not torch.equal(other.batch(m)["a"], expected[m]["a"]) for m in range(5))


def test_two_processes_share_the_samples_of_one():
    one = Stream(World("images", 8), 4, seed=3)
    two = [Stream(World("images", 8), 2, seed=3, rank=rank, world=2) for rank in range(2)]
    for m in range(5):
        halves = [stream.batch(m)["image"] for stream in two]
        assert torch.equal(one.batch(m)["image"], torch.cat(halves))


def test_collate():
    samples = [{"x": torch.ones(2), "label": i, "file": f"{i}.png", "scale": i / 2} for i in range(3)]
    batch = collate(samples)
    assert batch["x"].shape == (3, 2) and batch["label"].tolist() == [0, 1, 2]
    assert batch["file"] == ["0.png", "1.png", "2.png"] and batch["scale"].tolist() == [0, 0.5, 1]
