"""From a decoded picture to a training patch: resize, crop, mirror, and colour jitter.

`fit` is the part that is the same every time, so its result is what the cache keeps; `window` draws the
random rest, which the two sides of a pair share; `cut` applies it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from datasets.base import DataError, randint

RESIZE = ("resize-crop", "scale-crop", "crop", "resize", "pad")
WHITE = {torch.uint8: 255, torch.uint16: 65535}


class Window(NamedTuple):
    """The part of a fitted picture that becomes the sample."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


@dataclass(frozen=True)
class Geometry:
    """How pictures become `size` x `size`.

    resize:
      "resize-crop"  squash to load_size x load_size, cut a random square: the papers' way (286 -> 256)
      "scale-crop"   the same, keeping the aspect ratio: the shorter side becomes load_size
      "crop"         cut a random square at the picture's own scale; only smaller pictures are enlarged
      "resize"       squash to size x size, no crop
      "pad"          the longer side becomes size; the rest repeats the edge pixels, which continues a plain
                     background, where white bars would be something to learn
      "zoom"         for a domain of one picture: a random square of random scale (set by `for_single`)

    Without `train` nothing is random: no mirroring, load_size is size (as the papers test: "resize-crop" then
    shows the whole picture), and crops are taken from the centre.
    """

    size: int
    resize: str = "resize-crop"
    load_size: int = 0
    flip: bool = True
    train: bool = True

    @classmethod
    def checked(cls, size: int, resize: str, load_size: int | None, flip: bool, train: bool) -> "Geometry":
        """A geometry from options as users give them; raises DataError."""
        if size < 1:
            raise DataError(f"size must be at least 1 pixel, not {size}")
        if resize not in RESIZE:
            raise DataError(f'resize "{resize}" is unknown: choose one of {", ".join(RESIZE)}')
        if load_size is None:
            load_size = round(size * 286 / 256)
        if load_size < size:
            raise DataError(
                f"load_size {load_size} is smaller than size {size}: nothing could be cut from it"
            )
        return cls(size, resize, load_size if train else size, flip and train, train)

    def for_single(self) -> "Geometry":
        """The geometry where one picture is the whole domain."""
        return Geometry(
            self.size, "zoom" if self.train else "scale-crop", self.load_size, self.flip, self.train
        )

    @property
    def needed(self) -> int | None:
        """The shorter side that a picture must have when it is decoded; None: all there is."""
        return None if self.resize in ("crop", "zoom") else self.load_size

    def target(self, height: int, width: int) -> tuple[int, int]:
        """The height and width to which `fit` resizes a picture (before any padding)."""
        if self.resize == "resize-crop":
            return self.load_size, self.load_size
        if self.resize == "resize":
            return self.size, self.size
        if self.resize == "zoom" or (self.resize == "crop" and min(height, width) >= self.size):
            return height, width
        if self.resize == "pad":
            scale = self.size / max(height, width)
        else:
            scale = (self.size if self.resize == "crop" else self.load_size) / min(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def fit(self, picture: Tensor, target: tuple[int, int] | None = None, nearest: bool = False) -> Tensor:
        """The part that is never random: [..., C, H, W] uint8 or uint16 -> [..., C, h, w], the same type.

        `target` overrides the height and width, so that the second side of a pair lies exactly on the first.
        nearest: no colours are mixed.
        """
        picture = resized(picture, target or self.target(*picture.shape[-2:]), nearest)
        return edge_padded(picture, self.size) if self.resize == "pad" else picture

    def random(self, height: int, width: int) -> bool:
        """Whether `window` draws anything for a fitted picture of that size."""
        whole = self.resize != "zoom" and (height, width) == (self.size, self.size)
        return self.train and (self.flip or not whole)

    def window(self, height: int, width: int, generator: torch.Generator) -> Window:
        """Draw the part of a fitted picture that becomes the sample."""
        side_y = side_x = self.size
        if self.resize == "zoom":
            side_y = side_x = zoomed_side(self.size, min(height, width), generator)
        if not self.train:
            return Window((height - side_y) // 2, (width - side_x) // 2, side_y, side_x, False)
        top = randint(height - side_y + 1, generator)
        left = randint(width - side_x + 1, generator)
        mirrored = self.flip and bool(randint(2, generator))
        return Window(top, left, side_y, side_x, mirrored)

    def cut(self, picture: Tensor, window: Window, nearest: bool = False) -> Tensor:
        """The sample: fitted [C, h, w] -> float32 [C, size, size] in [-1, 1]."""
        top, left, height, width, mirrored = window
        patch = picture[:, top : top + height, left : left + width]
        patch = resized(patch, (self.size, self.size), nearest)
        half = WHITE[patch.dtype] / 2
        patch = patch.to(torch.float32, memory_format=torch.contiguous_format).div_(half).sub_(1)
        return patch.flip(-1) if mirrored else patch


def zoomed_side(size: int, short: int, generator: torch.Generator) -> int:
    """Side of the square to cut: log-uniform from a quarter of the shorter side to all of it, never enlarging
    what is large enough, so strokes are seen from close and from afar and every scale equally often."""
    low = min(short, max(size, short // 4))
    return round(low * math.exp(torch.rand((), generator=generator).item() * math.log(short / low)))


def resized(picture: Tensor, target: Sequence[int], nearest: bool = False) -> Tensor:
    """Bicubic with antialiasing: what the authors' PyTorch code uses, and where pictures grow a little
    (128 -> 143) it keeps edges that bilinear would soften. [..., C, H, W] -> [..., C, *target], same type.

    nearest: each pixel is one of the picture's, the one at its middle."""
    if tuple(picture.shape[-2:]) == tuple(target):
        return picture
    if nearest:
        rows, columns = (
            ((torch.arange(new) + 0.5) * old / new).long()
            for old, new in zip(picture.shape[-2:], target, strict=True)
        )
        return picture[..., rows[:, None], columns]
    from torchvision.transforms.v2 import InterpolationMode, functional

    wide = picture.to(torch.float32) if picture.dtype == torch.uint16 else picture  # torch resizes no uint16
    wide = functional.resize(wide, list(target), InterpolationMode.BICUBIC, antialias=True)
    if picture.dtype == torch.uint16:
        wide = wide.round_().clamp_(0, WHITE[torch.uint16]).to(torch.uint16)
    return wide.contiguous()


def edge_padded(picture: Tensor, size: int) -> Tensor:
    """Repeat the border pixels to size x size, the picture in the middle."""
    rows, columns = (
        (torch.arange(size) - (size - length) // 2).clamp_(0, length - 1) for length in picture.shape[-2:]
    )
    return picture[..., rows, :][..., columns]


def draw_jitter(strength: float, generator: torch.Generator) -> tuple[float, ...] | None:
    """Brightness, contrast and saturation factors in 1 +- strength, hue shift of +- strength / 4 turns."""
    if strength <= 0:
        return None
    factors = (torch.rand(4, generator=generator) * 2 - 1) * strength
    brightness, contrast, saturation = (1 + factors[:3]).clamp_(min=0).tolist()
    return brightness, contrast, saturation, max(-0.5, min(0.5, factors[3].item() / 4))


def jittered(picture: Tensor, factors: tuple[float, ...] | None) -> Tensor:
    """Apply `draw_jitter`'s factors to [C, H, W] in [-1, 1]; a grey picture has no saturation and hue, and
    alpha is left alone."""
    if factors is None:
        return picture
    from torchvision.transforms.v2 import functional

    brightness, contrast, saturation, hue = factors
    colour = functional.adjust_brightness(picture[:3].add(1).div_(2), brightness)
    colour = functional.adjust_contrast(colour, contrast)
    if len(colour) == 3:
        colour = functional.adjust_hue(functional.adjust_saturation(colour, saturation), hue)
    return torch.cat([colour.mul(2).sub_(1), picture[3:]])
