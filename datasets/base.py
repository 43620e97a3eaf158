"""What every data set has in common: the protocol, and the one kind of error."""

import logging
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from datasets.orders import Order, epoch_generator, shuffled

log = logging.getLogger("datasets")


class DataError(ValueError):
    """The data cannot be used; the message is one sentence that says what is wrong and what mends it."""


class Dataset:
    """Samples by number.

    A sample is a dict of float32 tensors [C, H, W] in [-1, 1] (`image`, or `a` and `b`, ...) with `index`
    (int) and `file` (str, the source file or files). `sample` may be called from several threads at once;
    everything random comes from the generator it is given, so a sample is a function of both.

    `info` is JSON-able: kind, name, count, channels {name: C}, bits 8 | 16, classes, names, split.
    """

    info: dict[str, Any]

    def __len__(self) -> int:
        return self.info["count"]

    def order(self, epoch: int, seed: int) -> Tensor | Order:
        """The indices in the order this epoch visits them, int64: a list, or a function of places where
        there are many."""
        return shuffled(len(self), epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        raise TypeError(f"{type(self).__name__} does not say how to draw a sample")


class IterableDataset:
    """Accelerate looks for this name in what it takes for Hugging Face's package; nothing of ours is one."""


def evenly(classes: Tensor, epoch: int, seed: int) -> Tensor:
    """An order [N] of N pictures by their classes [N] in which each comes once in every K places, K classes:
    those of small classes repeat. A function of (classes, epoch, seed)."""
    generator, kinds = epoch_generator(epoch, seed), classes.unique()
    rounds, columns = -(-len(classes) // len(kinds)), []
    for kind in kinds:
        members = (classes == kind).nonzero()[:, 0]
        turns = -(-rounds // len(members))
        shuffles = [members[torch.randperm(len(members), generator=generator)] for _ in range(turns)]
        columns.append(torch.cat(shuffles)[:rounds])
    table = torch.stack(columns, 1)  # [rounds, K]
    places = torch.rand(table.shape, generator=generator).argsort(1)
    return table.gather(1, places).flatten()[: len(classes)]


def randint(count: int, generator: torch.Generator) -> int:
    """A whole number in [0, count)."""
    return int(torch.randint(count, (), generator=generator))


@lru_cache(maxsize=1000)
def warn_once(message: str) -> None:
    """Training and test part of one place would say the same."""
    log.warning(message)
