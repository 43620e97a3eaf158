"""Label maps: pictures whose few values or colours stand for classes, so that none may be mixed.

Inside, a class is a colour far from the others' (a grey level where there are two), as a network tells far
colours apart; `info["label_colours"]` says which value of the files each one stands for, so that results can
be given back in the files' own values.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import torch
from PIL import Image
from torch import Tensor

from datasets.base import DataError, warn_once
from datasets.pictures import Probe, decode, probe
from datasets.sources import Source
from datasets.store import UNREADABLE

MOST = 256  # classes
FEW = 32  # colours of pictures that are taken for label maps
LOOKED = 16  # pictures that decide it
DARK = 32  # grey values below which number something, rather than show it

Colour = tuple[int, ...]  # one grey level or red, green and blue


@dataclass(frozen=True)
class Classes:
    """The values of label maps and the colour of each inside; both in one order."""

    values: tuple[Colour, ...]
    colours: tuple[Colour, ...]

    @classmethod
    def of(cls, source: Source, half: int | None = None) -> "Classes":
        """The classes of all of a source's pictures, or of their left (0) or right (1) halves.

        Raises DataError where there are more than 256.
        """
        values = colours_in(source, range(len(source)), MOST, half)
        if values is None:
            raise DataError(
                f"the pictures in {source.path} have more than {MOST} colours, so they are no label maps: "
                "save them as PNG without smooth edges, or leave --labels-a and --labels-b away"
            )
        if all(red == green == blue for red, green, blue in values):
            values = [(value[0],) for value in values]
        return cls(tuple(values), tuple(apart(len(values), values)))

    @property
    def channels(self) -> int:
        return len(self.colours[0])

    def as_json(self) -> list[list[list[int]]]:
        """For `info`: [value in the files, colour inside] of each class."""
        return [[list(value), list(colour)] for value, colour in zip(self.values, self.colours, strict=True)]

    def __call__(self, picture: Tensor) -> Tensor:
        """Values to colours, [C, H, W] uint8; a value of no class counts as the nearest."""
        return exchanged(picture, self.values, self.colours)


def exchanged(picture: Tensor, before: Sequence[Colour], after: Sequence[Colour]) -> Tensor:
    """Each pixel's nearest colour in `before` becomes its like in `after`: [C, H, W] to [C', H, W], uint8."""
    channels = len(before[0])
    picture = picture[:1] if channels == 1 else picture.expand(3, -1, -1)
    places = 256 ** torch.arange(channels)
    codes, numbers = torch.unique((picture.long() * places[:, None, None]).sum(0), return_inverse=True)
    different = codes[:, None] // places % 256
    nearest = torch.cdist(different.float(), torch.tensor(before).float()).argmin(1)
    return torch.tensor(after, dtype=torch.uint8)[nearest][numbers].permute(2, 0, 1).contiguous()


def apart(count: int, values: Sequence[Colour]) -> list[Colour]:
    """Colours that lie far from each other: the files' own where they do, else corners of the cube, then
    whatever is farthest from those before."""
    if count == 2:
        return [(0,), (255,)] if len(values[0]) == 1 else list(values)
    if len(values[0]) == 3 and count > 1 and torch.pdist(torch.tensor(values).float()).min() >= 48:
        return list(values)
    levels = (0, 255, 128, 64, 191, 32, 96, 159, 223)
    cube = torch.tensor(list(product(levels, repeat=3))).float()
    away = torch.full((len(cube),), torch.inf)
    chosen = [0]
    while len(chosen) < count:
        away = torch.minimum(away, (cube - cube[chosen[-1]]).square().sum(1))
        chosen.append(int(away.argmax()))
    return [tuple(int(level) for level in cube[number]) for number in chosen]


def side(source: Source, labelled: bool, target: bool, flag: str, half: int | None = None) -> Probe:
    """What the pictures on one side of a pair look like, and whether their colours may be mixed.

    labelled: they are label maps. Else they are taken for such where they have few colours; of two, only on
    the side that is to be made (`target`), as lines on paper have two as well. flag: what says so.
    """
    like = probe(source)
    if labelled:
        like.classes = Classes.of(source, half)
        like.channels, like.bits, like.nearest = like.classes.channels, 8, True
        return like
    values = None if like.bits == 16 else colours_in(source, source.spread(LOOKED), FEW, half, mixed=True)
    if values:
        like.nearest = len(values) > 2 or (target and len(values) == 2)
        greys = sorted(red for red, green, blue in values if red == green == blue)
        if len(greys) == len(values) > 1 and greys[-1] < DARK:
            shown = ", ".join(map(str, greys[:6])) + (", ..." if len(greys) > 6 else "")
            warn_once(
                f"the pictures in {source.path} hold the grey values {shown} alone, all but black: if these "
                f"number classes, say {flag}"
            )
    return like


def colours_in(
    source: Source, numbers: Iterable[int], most: int, half: int | None = None, mixed: bool = False
) -> list[tuple[int, int, int]] | None:
    """The colours that occur, sorted; None where there are more than `most`.

    Unreadable pictures don't count; nor do those of one colour, if they must be `mixed`.
    """

    def one(number: int) -> set[tuple[int, int, int]] | None:
        try:
            image = Image.fromarray(decode(source.read(number), 3, 8).permute(1, 2, 0).numpy())
        except UNREADABLE:
            return set()
        if half is not None:
            middle = image.width // 2
            image = image.crop((half * middle, 0, middle + half * middle, image.height))
        counted = image.getcolors(most)
        if counted is not None and mixed and len(counted) == 1:
            return set()
        return None if counted is None else {colour for _, colour in counted}

    found: set[tuple[int, int, int]] = set()
    with ThreadPoolExecutor() as pool:
        for colours in pool.map(one, numbers):
            if colours is None or len(found := found | colours) > most:
                pool.shutdown(cancel_futures=True)
                return None
    return sorted(found)
