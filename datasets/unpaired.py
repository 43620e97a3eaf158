"""Two domains without pairs: an epoch goes through the larger one, each time with a random partner."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError, Dataset, randint
from datasets.classes import side
from datasets.images import Domain, Request, describe, keep
from datasets.orders import shuffled

LAYOUT = "DIR/trainA and DIR/trainB (and testA, testB), DIR/train/A and DIR/train/B, or --a PATH and --b PATH"


class Unpaired(Dataset):
    """`a` and `b`, each [C, size, size], from domains that share no pictures' names or order.

    As in the authors' code: sample i shows picture i of A, wrapping around, beside a random one of B. Without
    augmentation (a test part) it is picture i of both, so that runs compare. Colour jitter is drawn for each.
    """

    def __init__(self, info: dict[str, Any], a: Domain, b: Domain, request: Request) -> None:
        self.info = info
        self.a, self.b = a, b
        self.color_jitter = request.color_jitter
        keep(request.cache, a, b)

    def order(self, epoch: int, seed: int) -> Tensor:
        if len(self) == len(self.a.source):
            return self.a.source.order(epoch, seed)
        return shuffled(len(self), epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        partner = randint(len(self.b.source), generator) if self.b.geometry.train else index
        number_a, a = self.a.view(index, self.color_jitter, generator)
        number_b, b = self.b.view(partner, self.color_jitter, generator)
        file = f"{self.a.source.where(number_a)} | {self.b.source.where(number_b)}"
        return {"a": a, "b": b, "index": index, "file": file}


class Styles(Dataset):
    """`a`, `b` and `label`, which of several domains B `b` is from; each comes equally often."""

    def __init__(self, parts: list[Unpaired], names: list[str]) -> None:
        self.parts = parts
        most = max(len(part) for part in parts)
        self.info = parts[0].info | {"count": most, "classes": names}

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        train = self.parts[0].b.geometry.train
        label = randint(len(self.parts), generator) if train else index % len(self.parts)
        part = self.parts[label]
        return part.sample(index % len(part), generator) | {"label": label, "index": index}


def styles(request: Request) -> Styles:
    """Each of the places in `b`, joined by +, beside the same `a`."""
    if request.direction == "BtoA":
        raise DataError("--b of several styles is what is painted: give --a and --b the other way round")
    places = request.b.split("+")
    names = [layouts.human(place, domain=True) for place in places]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"two styles in --b are called {twice}: rename one of their files or folders")
    parts = [load(replace(request, b=place, styles=False)) for place in places]
    channels = {part.info["channels"]["b"] for part in parts}
    if len(channels) > 1:
        raise DataError(f"--b {request.b} mixes grey and coloured pictures: save them alike")
    found = Styles(parts, names)
    found.info["names"] = found.info["names"] | {"b": "style"}
    return found


def load(request: Request) -> Unpaired | Styles:
    """Two folders, zips or single pictures; `direction` "BtoA" swaps them."""
    if request.styles and request.b and "+" in request.b:
        return styles(request)
    part = layouts.two(request.data, request.a, request.b, request.split, "unpaired")
    if part is None:
        raise layouts.needs("unpaired", LAYOUT, request.data)
    labelled, targets = (request.labels_a, request.labels_b), ("a", "b")[:: request.way]
    domains = [
        Domain(chosen, side(train, yes, flag == targets[1], f"--labels-{flag}"), request.geometry)
        for chosen, train, yes, flag in zip(part.chosen, part.train, labelled, "ab", strict=True)
    ]
    name, names = layouts.names(request.data, request.a, request.b)
    a, b = domains[:: request.way]
    info = describe(
        "unpaired",
        name,
        max(len(domain) for domain in domains if not domain.single or a.single and b.single),
        {"a": a.like.channels, "b": b.like.channels},
        max(a.like.bits, b.like.bits),
        part.split,
        names=dict(zip("ab", names[:: request.way], strict=False)),
        label_colours={key: d.like.classes.as_json() for key, d in (("a", a), ("b", b)) if d.like.classes},
    )
    return Unpaired(info, a, b, request)
