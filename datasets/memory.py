"""Small pictures decoded once into one tensor, of which whole batches are slices.

Reading 64 digits one by one costs more than training a small network on them: a Python object per picture,
a stack of 64 tensors. Here a batch is one indexing of one array, with the same pixels as one by one.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from datasets.base import Dataset
from datasets.geometry import WHITE, Geometry, Window
from datasets.sources import Source
from datasets.store import Loaded, Store

LARGEST = 160  # pixels of a side; of larger pictures the decoding and the networks take the time


class Stack:
    """The pictures of a `Store` in one tensor [N, C, h, w]: a mapping of numbers, filled as they come."""

    def __init__(self, pixels: Tensor, filled: bool = False) -> None:
        self.pixels = pixels
        self.filled = torch.full((len(pixels),), filled)

    @classmethod
    def empty(cls, shape: tuple[int, ...], bits: int) -> "Stack":
        return cls(torch.empty(shape, dtype=torch.uint16 if bits == 16 else torch.uint8))

    def __contains__(self, number: int) -> bool:
        return bool(self.filled[number])

    def __getitem__(self, number: int) -> Loaded:
        return (self.pixels[number],)

    def __setitem__(self, number: int, loaded: Loaded) -> None:
        self.pixels[number] = loaded[0]
        self.filled[number] = True


class Where:
    """The files of a batch: a sequence that names them when it is asked."""

    def __init__(self, source: "Source | Dataset", numbers: Tensor) -> None:
        self.source, self.numbers = source, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> str:
        return self.source.where(int(self.numbers[place]))

    def __iter__(self) -> Iterator[str]:
        return (self.source.where(number) for number in self.numbers.tolist())


def numbers_of(store: Store, stack: Stack, indices: Tensor) -> Tensor:
    """Read what is not there yet; the numbers really used, where unreadable ones are replaced."""
    for index in indices[~stack.filled[indices]].tolist():
        store(index)
    if not store.bad:
        return indices
    return torch.tensor([store(index)[0] for index in indices.tolist()])


def views(
    stack: Stack, numbers: Tensor, geometry: Geometry, generators: Callable[[int], torch.Generator]
) -> Tensor:
    """The views that `geometry` cuts of these pictures: float32 [B, C, size, size] in [-1, 1].

    generators: of each place in the batch, asked only where something is random.
    """
    height, width = stack.pixels.shape[2:]
    size, pixels = geometry.size, stack.pixels
    if geometry.random(height, width):
        windows = [geometry.window(height, width, generators(place)) for place in range(len(numbers))]
        cut = crops(pixels, numbers, windows, size)
    else:
        top, left = (height - size) // 2, (width - size) // 2
        cut = pixels[numbers, :, top : top + size, left : left + size]
    return cut.to(torch.float32, memory_format=torch.contiguous_format).div_(WHITE[pixels.dtype] / 2).sub_(1)


def crops(pixels: Tensor, numbers: Tensor, windows: list[Window], size: int) -> Tensor:
    """One window of each picture, mirrored where it says so: [B, C, size, size], by one indexing."""
    corners = torch.tensor([(w.top, w.left, w.mirrored) for w in windows])
    top, left, mirrored = corners.unbind(1)
    steps = torch.arange(size)
    across = torch.where(mirrored[:, None] == 1, steps.flip(0), steps)
    rows, columns = top[:, None] + steps, left[:, None] + across
    channels = torch.arange(pixels.shape[1])[None, :, None, None]
    return pixels[numbers[:, None, None, None], channels, rows[:, None, :, None], columns[:, None, None, :]]
