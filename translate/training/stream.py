"""Batches as a function of (dataset, seed, position), so that any step can be repeated, in any process."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor


def mix(*numbers: int) -> int:
    """A well-spread 63-bit seed from integers (the finaliser of splitmix64, Steele et al. 2014)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1


class Stream:
    """Reads batches ahead in threads.

    Batch `m` of process `rank` holds the samples at positions first + (m · world + rank) · batch_size + i.
    Position n is sample order(epoch)[n mod N] of epoch ⌊n / N⌋, augmented by a generator seeded with
    (seed, n). So two processes of batch 4 see exactly the pictures of one process of batch 8.
    first: not 0 in a run whose batches were of another size before; below 0 where they were smaller.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        workers: int = 2,
        first: int = 0,
    ):
        self.dataset, self.batch_size, self.seed, self.first = dataset, batch_size, seed, first
        self.rank, self.world, self.workers = rank, world, workers
        self.orders: dict[int, Tensor] = {}

    def order(self, epoch: int) -> Tensor:
        """The order of one epoch; called from several threads, which may drop each other's epochs."""
        known = self.orders.get(epoch)
        if known is None:
            known = self.dataset.order(epoch, self.seed)
            self.orders = {e: o for e, o in self.orders.items() if e >= epoch - 1} | {epoch: known}
        return known

    def generator(self, position: int) -> torch.Generator:
        return torch.Generator().manual_seed(mix(self.seed, position))

    def indices(self, first: int) -> Tensor:
        """Of the samples of one batch, from position `first` on."""
        found, position, last = [], first, first + self.batch_size
        while position < last:
            epoch, place = divmod(position, len(self.dataset))
            found.append(self.order(epoch)[place : place + last - position])
            position += len(found[-1])
        return torch.cat(found)

    def batch(self, m: int) -> dict:
        """Batch number `m`: stacked tensors, sequences of everything else. At once where the data set can."""
        first = self.first + (m * self.world + self.rank) * self.batch_size
        indices = self.indices(first)
        if batch := getattr(self.dataset, "batch", None):
            if (whole := batch(indices, lambda place: self.generator(first + place))) is not None:
                return whole
        samples = enumerate(indices.tolist())
        return collate([self.dataset.sample(index, self.generator(first + i)) for i, index in samples])

    def starting_at(self, m: int) -> Iterator[dict]:
        """Batches m, m + 1, ... without end, read ahead by `workers` threads."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="stream") as pool:
            ahead: deque[Future] = deque(pool.submit(self.batch, m + i) for i in range(self.workers + 1))
            m += len(ahead)
            try:
                while True:
                    ready = ahead.popleft()
                    ahead.append(pool.submit(self.batch, m))
                    m += 1
                    yield ready.result()
            finally:
                for future in ahead:
                    future.cancel()


def collate(samples: list[dict]) -> dict:
    """Samples to one batch: tensors stacked to [B, ...], numbers to a tensor, strings to a list."""
    batch = {}
    for key, first in samples[0].items():
        values = [sample[key] for sample in samples]
        if isinstance(first, Tensor):
            batch[key] = torch.stack(values)
        elif isinstance(first, int | float):
            batch[key] = torch.tensor(values)
        else:
            batch[key] = values
    return batch


def to_device(batch: dict, device: torch.device, layout: torch.memory_format = torch.channels_last) -> dict:
    """Tensors to the device; pictures in `layout`: most convolutions prefer channels_last."""

    def move(value):
        if not isinstance(value, Tensor):
            return value
        value = value.to(device, non_blocking=True)
        return value.contiguous(memory_format=layout) if value.dim() == 4 else value

    return {key: move(value) for key, value in batch.items()}
