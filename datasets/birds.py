"""`birds`: a built-in world of drawn birds, unlimited, deterministic by number, any size, with known truth.

Every kind of data comes from it: pairs (ink outline and bird), unpaired collections (plain-winged and
striped-winged birds), captions, labels, low resolution, plain pictures.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.base import DataError, Dataset, randint
from datasets.birds_captions import attributes_in, captions
from datasets.birds_drawing import PALETTE, draw
from datasets.lowres import imresize, valued
from datasets.store import keeps
from datasets.words import vocabulary

__all__ = ["ATTRIBUTES", "Bird", "Birds", "attributes_in", "bird", "captions", "draw", "load"]

COLOURS = tuple(PALETTE)
PARTS = ("crown", "back", "belly", "wing", "tail", "beak")
ATTRIBUTES = dict.fromkeys(PARTS, COLOURS) | {
    "beak_shape": ("short", "long", "pointed", "hooked"),
    "wing_pattern": ("plain", "striped", "spotted"),
    "size": ("small", "medium", "large"),
}
EPOCH = 100_000  # birds a nominal epoch holds
TEST = 1_000_000_000  # numbers from here on are never trained on
TEST_COUNT = 1000
EXAMPLE_CAPTIONS = 8  # captions that a model's page offers
VOCABULARY = 1000  # birds whose captions hold every word of the grammar
CLASSES = {
    "labels": COLOURS,
    "sets": tuple(f"{what} {value}" for what, values in ATTRIBUTES.items() for value in values),
}
DOMAINS = {"paired": {"a": "ink", "b": "bird"}, "unpaired": {"a": "plain wings", "b": "striped wings"}}


@dataclass(frozen=True)
class Bird:
    """One bird: its attributes, then what makes each picture different. Angles in radians."""

    index: int
    crown: str
    back: str
    belly: str
    wing: str
    tail: str
    beak: str
    beak_shape: str
    wing_pattern: str
    size: str
    facing: str  # left, right
    background: str  # sky, leaves, ground
    tilt: float  # of the body
    look: float  # of the head
    crest: float
    tail_angle: float
    tail_shape: float
    wing_lift: float
    x: float  # where it stands, -1 to 1
    y: float
    slope: float  # of the branch

    @property
    def attributes(self) -> dict[str, str]:
        """The named ones: `ATTRIBUTES` lists their values."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


def bird(index: int) -> Bird:
    """Bird number `index`. A quarter of all are of one colour, a quarter of two, the others of any."""
    rng = np.random.default_rng((1973, index))

    def pick(options):
        return options[rng.integers(len(options))]

    colours = {part: pick(COLOURS) for part in PARTS}
    scheme = rng.random()
    if scheme < 0.25:  # of one colour, but for the beak and half of the wings
        colours |= dict.fromkeys(("crown", "back", "belly", "tail"), colours["back"])
        colours["wing"] = colours["back"] if rng.random() < 0.5 else colours["wing"]
    elif scheme < 0.5:  # dark above, light below, as painters and evolution do
        colours |= dict.fromkeys(("crown", "back", "wing", "tail"), colours["back"])
    return Bird(
        index=index,
        **colours,
        beak_shape=pick(ATTRIBUTES["beak_shape"]),
        wing_pattern=pick(ATTRIBUTES["wing_pattern"]),
        size=pick(ATTRIBUTES["size"]),
        facing=pick(("left", "right")),
        background=pick(("sky", "leaves", "ground")),
        tilt=rng.uniform(0.25, 0.8),
        look=rng.uniform(-0.15, 0.25),
        crest=pick((0.0, 0.0, 0.15, 0.5)),
        tail_angle=rng.uniform(-0.35, 0.3),
        tail_shape=rng.uniform(-0.5, 1.0),
        wing_lift=rng.uniform(-0.1, 0.1),
        x=rng.uniform(-1, 1),
        y=rng.uniform(-1, 1),
        slope=rng.uniform(-0.1, 0.1),
    )


def pixels(of: Bird, size: int, style: str = "colour") -> Tensor:
    """uint8 [3, size, size]."""
    return torch.from_numpy(draw(of, size, style)).permute(2, 0, 1).contiguous()


def picture(of: Bird, size: int, style: str = "colour") -> Tensor:
    """float32 [3, size, size] in [-1, 1]."""
    return pixels(of, size, style).float().div_(127.5).sub_(1)


@functools.cache
def caption_words() -> tuple[str, ...]:
    """The vocabulary of the first VOCABULARY birds' captions; counted once a process, for a second."""
    return tuple(vocabulary(text for index in range(VOCABULARY) for text in captions(bird(index))))


class Birds(Dataset):
    """Birds as one kind of data; sample `index` of the test part is another bird than any of training."""

    def __init__(
        self, kind: str, size: int, split: str, count: int, direction: str, scale: int, cache: str
    ) -> None:
        self.kind, self.size, self.direction, self.scale = kind, size, direction, scale
        pictures = count * (2 if kind in DOMAINS else 1)
        self.kept: dict | None = {} if keeps(cache, pictures * 3 * size**2) else None
        self.first = TEST if split == "test" else 0
        names = dict(DOMAINS.get(kind, {}))
        if direction == "BtoA" and names:
            names = {"a": names["b"], "b": names["a"]}
        keys = ("a", "b") if names else ("low", "high") if kind == "lowres" else ("image",)
        self.info: dict[str, Any] = {
            "kind": kind,
            "name": "birds",
            "count": count,
            "channels": dict.fromkeys(keys, 3),
            "bits": 8,
            "classes": list(CLASSES.get(kind, ())),
            "names": names,
            "split": split,
        }
        if kind == "captions":
            self.info["vocabulary"] = list(caption_words())
            self.info["captions"] = [captions(bird(index))[0] for index in range(EXAMPLE_CAPTIONS)]

    def bird(self, index: int) -> Bird:
        """The bird behind a sample (of unpaired data: behind its plain-winged side)."""
        found = bird(self.first + index)
        return replace(found, wing_pattern="plain") if self.kind == "unpaired" else found

    def attributes(self, index: int) -> dict[str, str]:
        return self.bird(index).attributes

    def drawn(self, of: Bird, style: str = "colour") -> Tensor:
        """Its `picture`; drawn once (some 10 ms at 128 px) where all fit in memory."""
        if self.kept is None:
            return picture(of, self.size, style)
        key = of.index, of.wing_pattern, style
        if key not in self.kept:
            self.kept[key] = pixels(of, self.size, style)
        return self.kept[key].float().div_(127.5).sub_(1)

    def hidden_partner(self, index: int) -> Tensor:
        """Unpaired data: the same bird with striped wings, [3, size, size]: for scores, not for training."""
        return picture(replace(self.bird(index), wing_pattern="striped"), self.size)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        of = self.bird(index)
        found: dict[str, Any] = {"index": index, "file": f"bird {of.index}"}
        if self.kind == "paired":
            found |= self.directed(self.drawn(of, "ink"), self.drawn(of))
        elif self.kind == "unpaired":
            other = replace(self.bird(randint(len(self), generator)), wing_pattern="striped")
            found |= self.directed(self.drawn(of), self.drawn(other))
            found["file"] += f" | bird {other.index}"
        elif self.kind == "lowres":
            high = self.drawn(of)
            small = self.size // self.scale
            found |= {"low": valued(imresize((high + 1) * 127.5, small, small)), "high": high}
        else:
            found["image"] = self.drawn(of)
            if self.kind == "captions":
                found["caption"] = captions(of)[randint(10, generator)]
                other = self.bird(self.other(index, generator))
                found["wrong"] = captions(other)[randint(10, generator)]
            elif self.kind == "labels":
                found["label"] = COLOURS.index(of.belly)
            elif self.kind == "sets":
                has = {f"{what} {value}" for what, value in of.attributes.items()}
                found["set"] = torch.tensor([float(name in has) for name in CLASSES["sets"]])
        return found

    def other(self, index: int, generator: torch.Generator) -> int:
        """The number of a bird that differs in some attribute, where there is one."""
        for _ in range(100):
            found = randint(len(self), generator)
            if self.attributes(found) != self.attributes(index):
                return found
        return index

    def directed(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
        return {"a": b, "b": a} if self.direction == "BtoA" else {"a": a, "b": b}


def load(
    kind: str,
    size: int,
    split: str = "train",
    count: int | None = None,
    direction: str = "AtoB",
    scale: int = 4,
    cache: str = "auto",
) -> Birds:
    """Birds as `paired`, `unpaired`, `captions`, `labels` (the belly's colour), `sets` (all attributes),
    `lowres` or `images`.

    Samples are float32 [3, size, size] in [-1, 1]. Raises DataError for sizes that cannot be drawn.
    """
    if size < 16 or size > 2048:
        raise DataError(f"birds are drawn from 16 to 2048 px, not {size}: choose --size 64 or more")
    if kind == "lowres" and size % scale:
        raise DataError(f"birds at low resolution need a size that {scale} divides, not {size}")
    if count is None:
        count = EPOCH if split == "train" else TEST_COUNT
    return Birds(kind, size, split, count, direction, scale, cache)
