"""Pairs of pictures that show the same: side by side in one file, or under the same name in two places."""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from datasets import images, layouts
from datasets.base import DataError, Dataset, warn_once
from datasets.classes import side
from datasets.geometry import draw_jitter, jittered
from datasets.images import Request, describe
from datasets.pictures import Probe, decode_like, probe
from datasets.sources import Chosen, Source
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
        cost = (
            len(pairs) * sum(areas) / len(areas) * sum(like.channels * like.bits / 8 for like in pairs.likes)
        )
        self.store = Store(len(pairs), self.load, pairs.where, keeps(request.cache, cost))

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.pairs.source.order(epoch, seed)

    def load(self, number: int) -> Loaded:
        a, b = self.pairs.decode(number, self.geometry.needed)
        target, (like_a, like_b) = self.geometry.target(*a.shape[1:]), self.pairs.likes
        return self.geometry.fit(a, target, like_a.nearest), self.geometry.fit(b, target, like_b.nearest)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, pair = self.store(index)
        window = self.geometry.window(*pair[0].shape[1:], generator)
        factors = draw_jitter(self.color_jitter, generator)
        a, b = (
            jittered(self.geometry.cut(side, window, like.nearest), None if like.nearest else factors)
            for side, like in zip(pair, self.pairs.likes, strict=True)
        )
        if self.swapped:
            a, b = b, a
        return {"a": a, "b": b, "index": index, "file": self.pairs.where(number)}


class Halves:
    """A on the left half of each file, B on the right."""

    def __init__(self, source: Source, likes: Sequence[Probe]) -> None:
        self.source, self.likes = source, likes
        self.sizes = [(height, width // 2) for height, width in likes[0].sizes]
        self.where = source.where

    def __len__(self) -> int:
        return len(self.source)

    def decode(self, number: int, needed: int | None) -> Loaded:
        # Never at a fraction of its size: a JPEG block at the middle could then mix the two sides.
        data = self.source.read(number)
        sides = [decode_like(data, like) for like in self.likes]
        height, width = sides[0].shape[1:]
        if not has_halves(height, width):
            raise ValueError(f"{width}x{height} is no pair side by side")
        return sides[0][:, :, : width // 2], sides[1][:, :, width // 2 :]


def has_halves(height: int, width: int) -> bool:
    """Whether a picture can be two side by side: a square or upright one would be two strips."""
    return width % 2 == 0 and width > height


class Matched:
    """Files of the same name (without suffix) in two sources; where sizes differ, A's decides."""

    def __init__(self, sources: Sequence[Source], likes: Sequence[Probe], skip: bool = False) -> None:
        """skip: leave out pictures without a partner."""
        partners = matched(*sources, skip)
        self.source, self.other = Chosen(sources[0], list(partners)), sources[1]
        self.partner = list(partners.values())
        self.likes, self.sizes = likes, likes[0].sizes

    def __len__(self) -> int:
        return len(self.source)

    def where(self, number: int) -> str:
        return f"{self.source.where(number)} | {self.other.where(self.partner[number])}"

    def decode(self, number: int, needed: int | None) -> Loaded:
        a, b = self.source.read(number), self.other.read(self.partner[number])
        like_a, like_b = self.likes
        return decode_like(a, like_a, needed), decode_like(b, like_b, needed)


class Greyed(Dataset):
    """`b` is a picture, `a` [1, size, size] its grey: the luma of BT.601, as in use."""

    def __init__(self, pictures: Dataset) -> None:
        if pictures.info["channels"]["image"] != 3:
            raise DataError(f"--grey a needs pictures in colour; those of {pictures.info['name']} have none")
        self.pictures = pictures
        channels, names = {"a": 1, "b": 3}, {"a": "grey", "b": "colour"}
        self.info = pictures.info | {"kind": "paired", "channels": channels, "names": names, "grey": "a"}

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.pictures.order(epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        sample = self.pictures.sample(index, generator)
        colour = sample.pop("image")
        grey = (colour * colour.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
        return sample | {"a": grey, "b": colour}


def matched(a: Source, b: Source, skip: bool = False) -> dict[int, int]:
    """The number in B of each picture of A, by name: as they are, in small letters, or without what all on
    one side end in (`_A`, `_B`). `skip`: of those that have one.

    Raises DataError naming pictures without a partner.
    """
    keys_a, keys_b = a.keys(), b.keys()
    best: dict[int, int] = {}
    alone: list[str] = []
    for way in (list, small, without_ending):
        numbers_a, numbers_b = numbered(a, way(keys_a)), numbered(b, way(keys_b))
        found = {number: numbers_b[key] for key, number in numbers_a.items() if key in numbers_b}
        if len(found) > len(best) or not alone:
            best, alone = found, []
            alone += [a.where(number) for key, number in numbers_a.items() if key not in numbers_b]
            alone += [b.where(number) for key, number in numbers_b.items() if key not in numbers_a]
        if not alone:
            break
    named = ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else "")
    if alone and not (skip and best):
        mend = "" if skip or not best else "; --skip-unpaired leaves them out"
        raise DataError(
            f"paired data needs the same file names in {a.path} and {b.path}; "
            f"{len(alone)} pictures have no partner: {named}{mend}"
        )
    if alone:
        warn_once(f"left out {len(alone)} pictures without a partner: {named}")
    return dict(sorted(best.items()))


def small(keys: Sequence[Hashable]) -> list[Hashable]:
    return [key.casefold() if isinstance(key, str) else key for key in keys]


def without_ending(keys: Sequence[Hashable]) -> list[Hashable]:
    """Small letters without what all end in behind a _, - or ., as in 1_A, 2_A or x_photo, y_photo."""
    if not keys or not all(isinstance(key, str) for key in keys):
        return list(keys)
    names = [str(key) for key in small(keys)]
    endings = {re.search(r"[_.\- ]?[^_.\- /]*$", name)[0] for name in names}
    while len(endings) == 1 and (ending := endings.pop()) and ending[0] in "_.- ":
        names = [name.removesuffix(ending) for name in names]
        if len(keys) > 1:  # of one name nothing tells how much of it is the ending
            endings = {re.search(r"[_.\- ]?[^_.\- /]*$", name)[0] for name in names}
    return names


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


def load(request: Request) -> Paired | Greyed:
    """Pairs from one place or two, or made of single pictures; `direction` "BtoA" swaps the sides."""
    if request.grey != "none":
        return Greyed(images.load(request))
    pairs: Halves | Matched
    part = layouts.two(request.data, request.a, request.b, request.split, "paired")
    labelled, targets = (request.labels_a, request.labels_b), ("a", "b")[:: request.way]
    if part is not None:
        likes = [
            side(source, yes, flag == targets[1], f"--labels-{flag}")
            for source, yes, flag in zip(part.train, labelled, "ab", strict=True)
        ]
        pairs = Matched(part.chosen, likes, request.skip_unpaired)
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
        likes = [
            side(part.train, yes, flag == targets[1], f"--labels-{flag}", half)
            for half, (yes, flag) in enumerate(zip(labelled, "ab", strict=True))
        ]
        pairs = Halves(part.chosen, likes)
    name, names = layouts.names(request.data, request.a, request.b)
    info = describe(
        "paired",
        name,
        len(pairs),
        dict(zip("ab", [like.channels for like in likes][:: request.way], strict=True)),
        max(like.bits for like in likes),
        part.split,
        names=dict(zip("ab", names[:: request.way], strict=False)),
        label_colours={
            key: like.classes.as_json()
            for key, like in zip("ab", likes[:: request.way], strict=True)
            if like.classes
        },
    )
    return Paired(info, pairs, request)
