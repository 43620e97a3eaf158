"""Pictures with a part to be filled in.

Masks are drawn: free-form, strokes of a brush as a hand would paint over what should go (Yu et al. 2019,
arXiv 1806.03589, algorithm 1 of the supplement), or rectangles (Pathak et al. 2016, arXiv 1604.07379); or
given.
"""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from datasets import images
from datasets.base import DataError, Dataset, randint
from datasets.geometry import resized
from datasets.images import Request
from datasets.pictures import decode
from datasets.sources import Source, open_source

LAYOUT = images.LAYOUT
DRAWN = ("free-form", "rectangles", "both")
STROKES, VERTICES = (1, 5), (4, 12)  # of a mask, of a stroke
LENGTH, WIDTH = (0.04, 0.16), (0.05, 0.16)  # of a stroke's parts, as shares of the side (40 of 256 px)
ANGLE, SPREAD = 2 * math.pi / 5, 2 * math.pi / 15  # a stroke turns by so much, give or take
SIDES = (0.2, 0.6)  # of a rectangle, as shares of the picture's
MOST = 0.6  # share of the picture that strokes may cover


class Masked(Dataset):
    """`image` [C, size, size] and `mask` [1, size, size], 1 where the picture is to be filled, else 0."""

    def __init__(self, pictures: Dataset, size: int, train: bool, masks: str) -> None:
        """masks: one of `DRAWN`, or the place where they lie. Raises DataError where nothing is there."""
        self.pictures, self.size, self.train, self.masks = pictures, size, train, masks
        self.info = pictures.info | {"kind": "masked"}
        self.given = None
        if masks not in DRAWN:
            try:
                self.given = Given(open_source(masks), size)
            except DataError as error:
                raise DataError(f"--masks {masks} is none of {', '.join(DRAWN)}, and {error}") from None

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.pictures.order(epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        sample = self.pictures.sample(index, generator)
        draws = generator if self.train else torch.Generator().manual_seed(index)  # so that runs compare
        return sample | {"mask": self.given(draws) if self.given else drawn(self.masks, self.size, draws)}


class Given:
    """Masks from files, a random one each time, mirrored or not: white is to be filled."""

    def __init__(self, source: Source, size: int) -> None:
        self.source, self.size = source, size

    def __call__(self, generator: torch.Generator) -> Tensor:
        number = randint(len(self.source), generator)
        mask = resized(decode(self.source.read(number), 1, 8), (self.size, self.size), nearest=True)
        mask = (mask > 127).float()
        return mask.flip(2) if randint(2, generator) else mask


def drawn(kind: str, size: int, generator: torch.Generator) -> Tensor:
    """A mask [1, size, size] of 0 and 1; at least one pixel is to be filled and one is known."""
    if kind == "both":
        kind = DRAWN[randint(2, generator)]
    return (free_form if kind == "free-form" else rectangle)(size, generator)


def between(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def rectangle(size: int, generator: torch.Generator) -> Tensor:
    height, width = (max(1, min(size - 1, round(size * between(*SIDES, generator)))) for _ in "hw")
    top, left = randint(size - height + 1, generator), randint(size - width + 1, generator)
    mask = torch.zeros(1, size, size)
    mask[:, top : top + height, left : left + width] = 1
    return mask


def free_form(size: int, generator: torch.Generator) -> Tensor:
    picture = Image.new("L", (size, size))
    brush = ImageDraw.Draw(picture)
    for _ in range(STROKES[0] + randint(STROKES[1] - STROKES[0] + 1, generator)):
        if np.asarray(picture).mean() > 255 * MOST / 2:
            break
        x, y = (between(0, size - 1, generator) for _ in "xy")
        width = max(1, round(size * between(*WIDTH, generator)))
        for number in range(VERTICES[0] + randint(VERTICES[1] - VERTICES[0] + 1, generator)):
            angle = between(ANGLE - SPREAD, ANGLE + SPREAD, generator)
            angle = 2 * math.pi - angle if number % 2 == 0 else angle
            length = size * between(*LENGTH, generator)
            end = (
                min(max(x + length * math.sin(angle), 0), size - 1),
                min(max(y + length * math.cos(angle), 0), size - 1),
            )
            brush.line([(x, y), end], fill=255, width=width)
            brush.circle(end, width / 2, fill=255)
            x, y = end
    mask = torch.from_numpy(np.array(picture)).div(255)[None]
    if mask.mean() == 0 or mask.mean() > MOST:  # a tiny picture, or strokes that lie side by side
        return rectangle(size, generator)
    return mask


def load(request: Request) -> Masked:
    """Pictures as in kind images; `masks` says which are drawn, or the place where they lie."""
    geometry = request.geometry
    return Masked(images.load(request), geometry.size, geometry.train, request.masks)
