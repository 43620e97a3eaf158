"""The order of an epoch as a function of places, for collections of which no list is made."""

import pytest
import torch

from datasets import orders
from datasets.orders import WINDOW, Order, Windows
from translate.training.stream import Stream


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 4097])
def test_every_picture_comes_once_and_epochs_and_seeds_differ(count):
    found = [Order(count, epoch, seed)[:].tolist() for epoch, seed in ((0, 0), (1, 0), (0, 1))]
    assert all(sorted(order) == list(range(count)) for order in found)
    assert found[0] == Order(count, 0, 0)[:].tolist() and len(Order(count, 0, 0)) == count
    assert count < 5 or len({tuple(order) for order in found}) == 3


def test_ten_million_are_asked_for_a_few_at_a_time():
    order = Order(10_000_000, 3, 7)
    part = order[5_000_000:5_000_064]
    assert torch.equal(part[10:20], order[5_000_010:5_000_020]) and len(part.unique()) == 64
    assert order[9_999_990:10_000_064].shape == (10,) and order[20_000_000:20_000_010].shape == (0,)


def test_places_and_numbers_are_unrelated():
    """Neighbours are as far apart as chance has it (a third of all), and each part goes everywhere."""
    count = 100_000
    order = Order(count, 0, 0)[:]
    assert (order.diff().abs().float().mean() / count).item() == pytest.approx(1 / 3, abs=0.01)
    table = torch.histc(order[: count // 10].float(), 10, 0, count) / (count / 100)
    assert (table - 1).abs().max() < 0.1
    correlation = torch.corrcoef(torch.stack([order.double(), torch.arange(count).double()]))[0, 1]
    assert abs(correlation) < 0.02


def test_shards_are_read_one_after_another():
    starts = [0, 5000, 12_000, 12_001, 30_000]
    for epoch in (0, 1):
        order = Windows(starts, epoch, 0)
        found = torch.cat([order[first : first + 700] for first in range(0, 30_000, 700)])
        assert sorted(found.tolist()) == list(range(30_000)) and torch.equal(found, order[:])
        shards = order.shards.tolist()
        plain = torch.cat([torch.arange(starts[s], starts[s + 1]) for s in shards])
        place = torch.empty(30_000, dtype=torch.long)
        place[plain] = torch.arange(30_000)
        moved = (place[found] - torch.arange(30_000)).abs()
        assert 100 < moved.max() < WINDOW and moved.float().mean() > 500
    assert not torch.equal(Windows(starts, 0, 0)[:], Windows(starts, 1, 0)[:])


def test_a_stream_reads_many_pictures_by_a_function(monkeypatch):
    """Two processes see what one sees, and an epoch shows each picture once."""
    monkeypatch.setattr(orders, "LISTED", 10)

    class Many:
        def __len__(self):
            return 1000

        def order(self, epoch, seed):
            return orders.shuffled(1000, epoch, seed)

    assert isinstance(Many().order(0, 0), Order)
    one = Stream(Many(), 8, 0)
    two = [Stream(Many(), 4, 0, rank, 2) for rank in (0, 1)]
    seen = [one.indices(first).tolist() for first in range(0, 1000, 8)]
    both = [sum((s.indices(first + 4 * s.rank).tolist() for s in two), []) for first in range(0, 1000, 8)]
    assert seen == both and sorted(sum(seen, [])) == list(range(1000))
