"""Pairs of pictures that show the same: side by side in one file, or under the same name in two places."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError, Dataset
from datasets.geometry import draw_jitter, jittered
from datasets.images import Request, describe
from datasets.pictures import Probe, decode, probe
from datasets.sources import Source
from datasets.store import Loaded, Store, keeps

LAYOUT = "DIR/train/*.jpg with A|B side by side or DIR/train/A and DIR/train/B, or --a PATH and --b PATH"


class Paired(Dataset):
    """`a` and `b`, each [C, size, size], cut by the same window.

    Colour jitter is the same for both sides, so that their relation stays; leave it at 0 where a side holds
    codes, such as label maps.
    """

    def __init__(self, info: dict[str, Any], pairs: "Halves | Matched", request: Request) -> None:
        self.info = info
        self.pairs = pairs
        self.geometry = request.geometry
        self.swapped = request.direction == "BtoA"
        self.color_jitter = request.color_jitter
        areas = [height * width for height, width in (self.geometry.target(*size) for size in pairs.sizes)]
        cost = len(pairs) * sum(areas) / len(areas) * sum(pairs.channels) * pairs.bits / 8
        self.store = Store(len(pairs), self.load, pairs.where, keeps(request.cache, cost))

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.pairs.source.order(epoch, seed)

    def load(self, number: int) -> Loaded:
        a, b = self.pairs.decode(number, self.geometry.needed)
        target = self.geometry.target(*a.shape[1:])
        return self.geometry.fit(a, target), self.geometry.fit(b, target)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, (a, b) = self.store(index)
        window = self.geometry.window(*a.shape[1:], generator)
        factors = draw_jitter(self.color_jitter, generator)
        a, b = (jittered(self.geometry.cut(side, window), factors) for side in (a, b))
        if self.swapped:
            a, b = b, a
        return {"a": a, "b": b, "index": index, "file": self.pairs.where(number)}


class Halves:
    """A on the left half of each file, B on the right; both have the same channels."""

    def __init__(self, source: Source, like: Probe) -> None:
        self.source = source
        self.channels = like.channels, like.channels
        self.bits = like.bits
        self.sizes = [(height, width // 2) for height, width in like.sizes]
        self.where = source.where

    def __len__(self) -> int:
        return len(self.source)

    def decode(self, number: int, needed: int | None) -> Loaded:
        # Never at a fraction of its size: a JPEG block at the middle could then mix the two sides.
        both = decode(self.source.read(number), self.channels[0], self.bits)
        height, width = both.shape[1:]
        if not has_halves(height, width):
            raise ValueError(f"{width}x{height} is no pair side by side")
        return both[:, :, : width // 2], both[:, :, width // 2 :]


def has_halves(height: int, width: int) -> bool:
    """Whether a picture can be two side by side: a square or upright one would be two strips."""
    return width % 2 == 0 and width > height


class Matched:
    """Files of the same name (without suffix) in two sources; where sizes differ, A's decides."""

    def __init__(self, sources: Sequence[Source], likes: Sequence[Probe]) -> None:
        self.source, self.other = sources
        self.partner = matched(*sources)
        self.channels = tuple(like.channels for like in likes)
        self.bits = max(like.bits for like in likes)
        self.sizes = likes[0].sizes

    def __len__(self) -> int:
        return len(self.source)

    def where(self, number: int) -> str:
        return f"{self.source.where(number)} | {self.other.where(self.partner[number])}"

    def decode(self, number: int, needed: int | None) -> Loaded:
        a, b = self.source.read(number), self.other.read(self.partner[number])
        return decode(a, self.channels[0], self.bits, needed), decode(b, self.channels[1], self.bits, needed)


def matched(a: Source, b: Source) -> Sequence[int]:
    """The number in B of each picture of A, by name; raises DataError naming pictures without a partner."""
    keys_a, keys_b = a.keys(), b.keys()
    if keys_a == keys_b:
        return range(len(a))
    numbers_a, numbers_b = numbered(a, keys_a), numbered(b, keys_b)
    alone = [a.where(number) for key, number in numbers_a.items() if key not in numbers_b]
    alone += [b.where(number) for key, number in numbers_b.items() if key not in numbers_a]
    if alone:
        raise DataError(
            f"paired data needs the same file names in {a.path} and {b.path}; "
            f"{len(alone)} pictures have no partner: "
            + ", ".join(alone[:3])
            + (", ..." if len(alone) > 3 else "")
        )
    return [numbers_b[key] for key in keys_a]


def numbered(source: Source, keys: Sequence[Hashable]) -> dict[Hashable, int]:
    numbers: dict[Hashable, int] = {}
    for number, key in enumerate(keys):
        if numbers.setdefault(key, number) != number:
            raise DataError(
                f"{source.where(number)} and {source.where(numbers[key])} have one name, "
                "so which is the partner "
                "is unclear: remove one of them"
            )
    return numbers


def load(request: Request) -> Paired:
    """Pairs from one place or two; `direction` "BtoA" swaps the sides."""
    pairs: Halves | Matched
    part = layouts.two(request.data, request.a, request.b, request.split, "paired")
    if part is not None:
        pairs = Matched(part.chosen, [probe(source) for source in part.train])
    else:
        part = layouts.one(request.data, request.split)
        if part.train.folders().keys() != {""}:
            raise layouts.needs("paired", LAYOUT, request.data)
        like = probe(part.train)
        if part.train.single:
            raise DataError(f"paired data needs {LAYOUT}; {part.train.path} is one picture")
        for number, (height, width) in zip(like.numbers, like.sizes, strict=True):
            if not has_halves(height, width):
                odd = f"{part.train.where(number)} is no pair: it is {width}x{height}"
                raise DataError(f"paired data needs {LAYOUT}; {odd}")
        pairs = Halves(part.chosen, like)
    name, names = layouts.names(request.data, request.a, request.b)
    order = -1 if request.direction == "BtoA" else 1
    info = describe(
        "paired",
        name,
        len(pairs),
        dict(zip("ab", pairs.channels[::order], strict=True)),
        pairs.bits,
        part.split,
        names=dict(zip("ab", names[::order], strict=False)),
    )
    return Paired(info, pairs, request)
