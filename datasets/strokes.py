"""Lines as a hand draws them: wobbly, thick or thin, broken; for models that colour drawings."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.base import DataError, Dataset, randint

WOBBLE = 0.015  # standard deviation of the displacement at strength 1, as a share of the side
KNOTS = 6  # the displacement is a smooth surface through 6 x 6 random values
BREAKS = 8  # at most, at strength 1
GAP = 0.03  # radius of the largest break, as a share of the side


class HandDrawn(Dataset):
    """Pairs whose input `a`, dark lines on a light ground, looks drawn by hand.

    Both sides wobble alike, so that colours still lie within the lines; the lines alone change their
    thickness and have gaps.
    """

    def __init__(self, pairs: Dataset, strength: float) -> None:
        if pairs.info["kind"] != "paired":
            raise DataError(
                f"--strokes {strength} is for paired data; leave it at 0 for {pairs.info['kind']} data"
            )
        self.info, self.pairs, self.strength = pairs.info, pairs, strength

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.pairs.order(epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        sample = self.pairs.sample(index, generator)
        strength = self.strength * float(torch.rand((), generator=generator))  # clean drawings stay known
        grid = wobbly(sample["a"].shape[-1], strength, generator)
        a, b = (moved(sample[side], grid) for side in "ab")
        a = broken(thickened(a, strength, generator), strength, generator)
        return sample | {"a": a, "b": b}


def wobbly(size: int, strength: float, generator: torch.Generator) -> Tensor:
    """Where each pixel comes from, for `grid_sample`: [1, size, size, 2] in [-1, 1]."""
    knots = torch.randn(1, 2, KNOTS, KNOTS, generator=generator) * 2 * WOBBLE * strength
    shift = F.interpolate(knots, (size, size), mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
    axis = (torch.arange(size) * 2 + 1) / size - 1
    still = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    return (still + shift)[None]


def moved(picture: Tensor, grid: Tensor) -> Tensor:
    """[C, S, S] resampled, edges continued."""
    return F.grid_sample(picture[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[
        0
    ].clamp_(-1, 1)


def thickened(picture: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Lines up to two pixels thicker or thinner: fade towards the darkest or the lightest neighbour."""
    share = float(torch.rand((), generator=generator)) * min(1.0, strength)
    if randint(2, generator):
        return picture.lerp(-F.max_pool2d(-picture, 3, 1, 1), share)
    return picture.lerp(F.max_pool2d(picture, 3, 1, 1), share)


def broken(picture: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """White gaps with soft edges, many on lines: their middles are drawn among the dark pixels."""
    size = picture.shape[-1]
    dark = (picture.mean(0) < 0).flatten().nonzero()[:, 0]
    count = randint(round(BREAKS * strength) + 1, generator)
    if not len(dark) or not count:
        return picture
    places = dark[torch.randint(len(dark), (count,), generator=generator)]
    radii = 1 + torch.rand(count, generator=generator) * GAP * size
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    away = ((y - (places // size)[:, None, None]) ** 2 + (x - (places % size)[:, None, None]) ** 2).sqrt()
    white = (radii[:, None, None] - away + 0.5).clamp(0, 1).amax(0)
    return picture.lerp(torch.ones(()), white)
