"""The order of an epoch as a function: of millions of pictures, no list is made.

An order is a permutation of range(N): `len(order)`, and `order[first:last]`, [last - first] int64, computed
from the places asked for. Small collections keep a list, `torch.randperm`'s.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LISTED = 2**20  # pictures up to which a list (8 MiB) is made
ROUNDS = 6
WINDOW = 4096


class Order:
    """A permutation of range(count) by a Feistel network, keyed by (seed, epoch); Black & Rogaway 2002,
    "Ciphers with arbitrary finite domains": what falls outside is sent through again until it falls inside.
    """

    def __init__(self, count: int, epoch: int, seed: int) -> None:
        self.count = count
        self.half = (max(2, (count - 1).bit_length()) + 1) // 2  # bits of each half
        self.mask = (1 << self.half) - 1
        generator = epoch_generator(epoch, seed)
        self.keys = torch.randint(2**62, (ROUNDS,), generator=generator).tolist()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, places: slice) -> Tensor:
        found = self.through(torch.arange(*places.indices(self.count)))
        while (outside := found >= self.count).any():  # at most three of four, usually fewer
            found[outside] = self.through(found[outside])
        return found

    def through(self, x: Tensor) -> Tensor:
        """A permutation of range(4^half)."""
        left, right = x >> self.half, x & self.mask
        for key in self.keys:
            mixed = (right + key) * 0x5851F42D4C957F2D  # Knuth's multiplier; int64 wraps
            mixed = (mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D
            left, right = right, left ^ ((mixed >> 33) & self.mask)
        return left << self.half | right


class Windows:
    """Shards in random order, pictures shuffled within windows of WINDOW neighbours, so that reading stays
    local; where windows begin differs from epoch to epoch.

    starts: where each shard begins among all pictures, and their number, [shards + 1].
    """

    def __init__(self, starts: Sequence[int], epoch: int, seed: int) -> None:
        generator = epoch_generator(epoch, seed)
        self.starts, self.count = torch.as_tensor(starts), starts[-1]
        self.shards = torch.randperm(len(starts) - 1, generator=generator)
        sizes = self.starts.diff()[self.shards]
        self.ends = sizes.cumsum(0)  # of each shard, in this epoch's order
        self.shift = int(torch.randint(WINDOW, (), generator=generator))
        self.key = int(torch.randint(2**62, (), generator=generator))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, places: slice) -> Tensor:
        first, last, _ = places.indices(self.count)
        found, place = [], first
        while place < last:
            window = (place + self.shift) // WINDOW
            begin = max(0, window * WINDOW - self.shift)
            end = min(self.count, (window + 1) * WINDOW - self.shift)
            generator = torch.Generator().manual_seed(self.key ^ window)
            inside = begin + torch.randperm(end - begin, generator=generator)
            found.append(inside[place - begin : last - begin])
            place = end
        return self.pictures(torch.cat(found) if found else torch.arange(0))

    def pictures(self, places: Tensor) -> Tensor:
        """From places among the shards as they follow one another in this epoch to numbers of pictures."""
        at = torch.searchsorted(self.ends, places, right=True)
        shard = self.shards[at]
        return self.starts[shard + 1] - (self.ends[at] - places)


def shuffled(count: int, epoch: int, seed: int) -> Tensor | Order:
    """A permutation of range(count) that is a function of (count, epoch, seed)."""
    if count > LISTED:
        return Order(count, epoch, seed)
    return torch.randperm(count, generator=epoch_generator(epoch, seed))


def epoch_generator(epoch: int, seed: int) -> torch.Generator:
    # The odd multiplier keeps (seed, epoch) and (seed + 1, epoch - 1) apart; manual_seed takes 64 bits.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + epoch) % 2**63)
