"""Plain pictures, and what every kind of data built from pictures shares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.arrays import Arrays
from datasets.base import DataError, Dataset, evenly
from datasets.geometry import Geometry, draw_jitter, jittered
from datasets.memory import LARGEST, Stack, Where, numbers_of, views
from datasets.pictures import Probe, decode_like, probe
from datasets.sources import Source
from datasets.store import Loaded, Store, keeps

LAYOUT = "DIR/*.jpg (or .png, ...) or DIR/train/*.jpg"
CROPS = 1000  # nominal length where one picture is everything there is


@dataclass(frozen=True)
class Request:
    """What `datasets.load` was asked for; its docstring explains the fields."""

    data: str
    split: str
    geometry: Geometry
    a: str | None = None
    b: str | None = None
    direction: str = "AtoB"
    color_jitter: float = 0.0
    cache: str = "auto"
    scale: int = 4
    shrink: float = 1.0
    degrade: float = 0.0
    labels_a: bool = False
    labels_b: bool = False
    skip_unpaired: bool = False
    grey: str = "none"
    styles: bool = False
    masks: str = "free-form"
    length: int = 5
    labelled: int = 0
    labelled_seed: int = 0
    text_words: Path | None = None
    columns: tuple[str, ...] = ()

    @property
    def way(self) -> int:
        """1, or -1 where the sides are swapped: the step through a list of both."""
        return -1 if self.direction == "BtoA" else 1


class Domain:
    """The pictures of one source, decoded, fitted and kept.

    `channels` and `bits` come from the training part, so that a test part looks the same to a model.
    """

    def __init__(self, source: Source, like: Probe, geometry: Geometry) -> None:
        self.source = source
        self.like = like
        self.single = source.single
        if not source.mirrors:
            geometry = replace(geometry, flip=False)
        self.geometry = geometry.for_single() if self.single else geometry
        self.store = Store(len(source), self.load, source.where, keep=False)

    def __len__(self) -> int:
        return CROPS if self.single and self.geometry.train else len(self.source)

    def load(self, number: int) -> Loaded:
        return (self.geometry.fit(self.decode(number), nearest=self.like.nearest),)

    def decode(self, number: int) -> Tensor:
        return decode_like(self.source.read(number), self.like, self.geometry.needed)

    def cost(self) -> float:
        """Bytes that keeping every fitted picture would take, from the sizes probed."""
        heights_widths = [self.geometry.target(*size) for size in self.like.sizes]
        area = sum(height * width for height, width in heights_widths) / len(heights_widths)
        return len(self.source) * area * self.like.channels * self.like.bits / 8

    def stack(self) -> Stack | None:
        """Room for all fitted pictures in one tensor, where they are small and alike in size."""
        given = self.source if isinstance(self.source, Arrays) and self.like.bits == 8 else None
        if self.single or not (given or self.geometry.resize in ("resize-crop", "resize", "pad")):
            return None
        height, width = self.geometry.target(*self.like.sizes[0])
        if self.geometry.resize == "pad":
            height = width = self.geometry.size
        if max(height, width) > LARGEST:
            return None
        if given and (pixels := given.pixels()).shape[1] == self.like.channels:
            return Stack(torch.cat([self.geometry.fit(part) for part in pixels.split(4096)]), filled=True)
        return Stack.empty((len(self.source), self.like.channels, height, width), self.like.bits)

    def view(self, index: int, strength: float, generator: torch.Generator) -> tuple[int, Tensor]:
        """One view of one picture, [C, size, size] in [-1, 1], and the picture's number."""
        number, (picture,) = self.store(index % len(self.source))
        window = self.geometry.window(*picture.shape[1:], generator)
        view, factors = (
            self.geometry.cut(picture, window, self.like.nearest),
            draw_jitter(strength, generator),
        )
        return number, view if self.like.nearest else jittered(view, factors)


def keep(cache: str, *domains: Domain) -> None:
    """Turn the domains' caches on where all of them fit together."""
    if keeps(cache, sum(domain.cost() for domain in domains)):
        for domain in domains:
            domain.store.kept = domain.stack() or {}


class Images(Dataset):
    """`image` [C, size, size], one domain without labels."""

    even: Tensor | None = None  # the classes, of each picture, that shall come equally often

    def __init__(self, info: dict[str, Any], domain: Domain, request: Request) -> None:
        self.info = info
        self.domain = domain
        self.color_jitter = request.color_jitter
        keep(request.cache, domain)

    def order(self, epoch: int, seed: int) -> Tensor:
        if self.even is not None:
            return evenly(self.even, epoch, seed)
        return super().order(epoch, seed) if self.domain.single else self.domain.source.order(epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, image = self.domain.view(index, self.color_jitter, generator)
        return {"image": image, "index": index, "file": self.domain.source.where(number)}

    def batch(self, indices: Tensor, generators: Callable[[int], torch.Generator]) -> dict[str, Any] | None:
        """The samples of these indices at once, as one by one; None where they must be asked one by one.

        generators: the generator of each place in the batch.
        """
        store = self.domain.store
        if not isinstance(stack := store.kept, Stack) or self.color_jitter:
            return None
        numbers = numbers_of(store, stack, indices)
        image = views(stack, numbers, self.domain.geometry, generators)
        return {"image": image, "index": indices, "file": Where(self.domain.source, numbers)}


def load(request: Request) -> Images:
    """Pictures in a folder or zip, with or without train and test parts."""
    part = layouts.one(request.data, request.split)
    if layouts.sides(part.train, ("train",)):
        raise DataError(
            f"{request.data} holds two domains, A and B: name the folder of one of them with --data"
        )
    like = probe(part.train)
    domain = Domain(part.chosen, like, request.geometry)
    info = describe(
        "images", layouts.human(request.data), len(domain), {"image": like.channels}, like.bits, part.split
    )
    return Images(info, domain, request)


def describe(
    kind: str,
    name: str,
    count: int,
    channels: dict[str, int],
    bits: int,
    split: str,
    classes: Sequence[str] = (),
    names: dict[str, str] | None = None,
    label_colours: dict[str, list] | None = None,
) -> dict[str, Any]:
    """A data set's `info`."""
    return {
        "kind": kind,
        "name": name,
        "count": count,
        "channels": channels,
        "bits": bits,
        "classes": list(classes),
        "names": names or {},
        "split": split,
        "label_colours": label_colours or {},
    }
