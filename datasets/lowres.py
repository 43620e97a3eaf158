"""High resolution and the low resolution to be enlarged: for super-resolution.

The low resolution is MATLAB's imresize: bicubic (Keys 1981, a = -1/2) stretched by the scale against
aliasing, the border repeated, rounded to 8 bits after each axis; or given pictures (`a` low, `b` high).
"""

import math
import re
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError, Dataset, randint
from datasets.images import Request, describe
from datasets.pictures import Probe, decode, probe
from datasets.sources import Source
from datasets.store import Loaded, Store, keeps

LAYOUT = "DIR/*.png (or .jpg, ...), several places joined by +, or --a LOW and --b HIGH"
BORDER = 4  # low-resolution pixels beside a crop that its own ones depend on: the kernel reaches 2


def cubic(x: Tensor) -> Tensor:
    """Keys' kernel (1981, eq. 15)."""
    x = x.abs()
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=256)
def weights(length: int, target: int) -> Tensor:
    """[target, length]: row i holds the weights of the input pixels that make output pixel i."""
    scale = target / length
    stretch = min(1.0, scale)  # below 1 the kernel grows: no aliasing
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = math.ceil(4 / stretch) + 2
    index = (centre - 2 / stretch).floor()[:, None] + torch.arange(taps)
    weight = cubic((centre[:, None] - index) * stretch)
    weight /= weight.sum(1, keepdim=True)
    inside = index.long().clamp(0, length - 1)  # the border repeated
    return torch.zeros(target, length, dtype=torch.float64).scatter_add_(1, inside, weight).float()


def imresize(picture: Tensor, height: int, width: int) -> Tensor:
    """uint8 grey levels (in any dtype) [..., H, W] to float [..., height, width], as MATLAB's imresize.

    Rows first, then columns; of 8-bit pictures MATLAB rounds and clamps in between, too.
    """
    rows, columns = weights(picture.shape[-2], height), weights(picture.shape[-1], width)
    return eight_bit(eight_bit(rows @ picture.float()) @ columns.T)


def eight_bit(picture: Tensor) -> Tensor:
    return (picture + 0.5).floor_().clamp_(0, 255)  # halves go up, as in MATLAB


def valued(picture: Tensor) -> Tensor:
    """Grey levels of 255 to [-1, 1]."""
    return (picture.float() / 127.5 - 1).contiguous()


def turned(picture: Tensor, way: int) -> Tensor:
    """One of the 8 ways to mirror and turn a square."""
    picture = picture.transpose(-1, -2) if way & 4 else picture
    return picture.flip([axis for axis, bit in ((-1, 1), (-2, 2)) if way & bit]).contiguous()


class LowRes(Dataset):
    """`low` [C, size / scale, size / scale] and `high` [C, size, size], cut from the pictures' own pixels."""

    def __init__(self, info: dict[str, Any], source: Source, like: Probe, request: Request) -> None:
        self.info, self.source, self.like = info, source, like
        self.scale, self.shrink, self.degrade = request.scale, request.shrink, request.degrade
        self.geometry = request.geometry
        cost = len(source) * like.mean_area() * like.channels
        self.store = Store(len(source), self.load, source.where, keeps(request.cache, cost))

    def order(self, epoch: int, seed: int) -> Tensor:
        return self.source.order(epoch, seed)

    def load(self, number: int) -> Loaded:
        return (decode(self.source.read(number), self.like.channels, 8),)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, (picture,) = self.store(index)
        if self.shrink < 1 and self.geometry.train:
            picture = shrunk(picture, self.shrink, self.geometry.size + 2 * BORDER * self.scale, generator)
        picture = at_least(picture, self.geometry.size)
        high, low = self.cut(picture, generator)
        if self.degrade and self.geometry.train:
            low = degraded(low, self.degrade, generator)
        if self.geometry.flip:
            way = randint(8, generator)
            high, low = turned(high, way), turned(low, way)
        return {"low": low, "high": high, "index": index, "file": self.source.where(number)}

    def cut(self, picture: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A square at a multiple of the scale, and what imresize makes of it with its surroundings."""
        size, scale = self.geometry.size, self.scale
        start = [place(side, size, scale, self.geometry.train, generator) for side in picture.shape[-2:]]
        spans, inner = [], []
        for begin, side in zip(start, picture.shape[-2:], strict=True):
            whole = side - side % scale
            left, right = max(0, begin - BORDER * scale), min(whole, begin + size + BORDER * scale)
            spans.append(slice(left, right))
            inner.append(slice(begin - left, begin - left + size))
        patch = picture[(..., *spans)]
        low = imresize(patch, patch.shape[-2] // scale, patch.shape[-1] // scale)
        within = [slice(cut.start // scale, cut.stop // scale) for cut in inner]
        return valued(patch[(..., *inner)]), valued(low[(..., *within)])


class Given(LowRes):
    """The same from files of low and of high resolution, matched by name ("0801x4.png" is "0801.png")."""

    def __init__(self, info: dict[str, Any], two: layouts.Two, like: Probe, request: Request) -> None:
        self.lows = two[0]
        super().__init__(info, two[1], like, request)
        named = {bare(key): number for number, key in enumerate(two[0].keys())}
        self.partner = [named.get(bare(key)) for key in two[1].keys()]
        alone = [two[1].where(number) for number, partner in enumerate(self.partner) if partner is None]
        if alone:
            raise DataError(
                f"lowres data needs a low-resolution picture for each of --b; {alone[0]} has none"
            )

    def load(self, number: int) -> Loaded:
        (high,) = super().load(number)
        low = decode(self.lows.read(self.partner[number]), self.like.channels, 8)
        if any(a * self.scale != b for a, b in zip(low.shape[1:], high.shape[1:], strict=True)):
            sides = [f"{x.shape[2]}x{x.shape[1]}" for x in (low, high)]
            raise DataError(
                f"{self.source.where(number)} is {sides[1]} and its low resolution {sides[0]}; "
                f"--scale {self.scale} needs exactly {self.scale} times as much"
            )
        return high, low

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, (high, low) = self.store(index)
        size, scale = self.geometry.size, self.scale
        high, low = at_least(high, size), at_least(low, size // scale)
        start = [place(side, size, scale, self.geometry.train, generator) for side in high.shape[-2:]]
        high = high[:, start[0] : start[0] + size, start[1] : start[1] + size]
        top, left, side = start[0] // scale, start[1] // scale, size // scale
        pair = [valued(x) for x in (high, low[:, top : top + side, left : left + side])]
        if self.geometry.flip:
            way = randint(8, generator)
            pair = [turned(x, way) for x in pair]
        high, low = pair
        return {"low": low, "high": high, "index": index, "file": self.source.where(number)}


def bare(key: object) -> object:
    """A file's name without the x4 that data sets append to the low resolution."""
    return re.sub(r"_?x[2348]$", "", key) if isinstance(key, str) else key


def place(side: int, size: int, scale: int, train: bool, generator: torch.Generator) -> int:
    """Where a crop begins, at a multiple of the scale."""
    free = (side - size) // scale
    return scale * (randint(free + 1, generator) if train else free // 2)


def at_least(picture: Tensor, size: int) -> Tensor:
    """Pictures smaller than the crop, mirrored up to it."""
    for axis in (-2, -1):
        length = picture.shape[axis]
        if length < size:
            around = torch.arange(size).remainder(2 * length)
            picture = picture.index_select(axis, torch.minimum(around, 2 * length - 1 - around))
    return picture


def shrunk(picture: Tensor, least: float, size: int, generator: torch.Generator) -> Tensor:
    """A random part of [C, H, W], made smaller by a factor from `least` to 1, then up to `size` px wide.

    More sizes of everything to learn from (LapSRN, Lai et al. 2017, arXiv 1704.03915).
    """
    factor = least + (1 - least) * float(torch.rand((), generator=generator))
    sides = [min(side, math.ceil(size / factor)) for side in picture.shape[-2:]]
    top, left = (
        randint(whole - side + 1, generator) for whole, side in zip(picture.shape[-2:], sides, strict=True)
    )
    part = picture[:, top : top + sides[0], left : left + sides[1]]
    return imresize(part, *(max(1, round(factor * side)) for side in sides)).to(picture.dtype)


def degraded(low: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """As from a camera: blur of up to 1 pixel, noise of up to 10 grey levels, JPEG quality 95 down to 35.

    The kinds are those of Real-ESRGAN's first order (Wang et al. 2021, arXiv 2107.10833), milder.
    low [C, h, w] in [-1, 1].
    """
    from kornia.enhance import jpeg_codec_differentiable
    from kornia.filters import gaussian_blur2d

    blur, noise, loss = (strength * torch.rand(3, generator=generator)).tolist()
    x = (low[None] + 1) / 2
    if blur > 0.05:
        x = gaussian_blur2d(x, (5, 5), (blur, blur))
    x = (x + noise * 10 / 255 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    height, width = x.shape[-2:]
    padded = torch.nn.functional.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate")
    colour = padded.expand(-1, 3, -1, -1)
    x = jpeg_codec_differentiable(colour, torch.tensor([95 - 60 * min(1.0, loss)]))[..., :height, :width]
    x = eight_bit(255 * (x[0] if len(low) == 3 else x[0].mean(0, keepdim=True)))
    return valued(x)


def load(request: Request) -> LowRes:
    """High-resolution pictures of one or several places, or two places with both resolutions."""
    size, scale = request.geometry.size, request.scale
    if size % scale:
        raise DataError(f"--size {size} must be a multiple of --scale {scale}")
    if request.a is not None or request.b is not None:
        part = layouts.two(request.data, request.a, request.b, request.split, "lowres")
        if part is None:
            raise layouts.needs("lowres", LAYOUT, request.data)
        source, like = part.chosen[1], probe(part.train[1])
        name = layouts.names(request.data, request.a, request.b)[0]
    else:
        part = layouts.one(request.data, request.split)
        source, like = part.chosen, probe(part.train)
        name = layouts.human(request.data)
    like.channels = min(3, like.channels)
    channels = {"low": like.channels, "high": like.channels}
    info = describe("lowres", name, len(source), channels, 8, part.split)
    return Given(info, part.chosen, like, request) if request.a else LowRes(info, source, like, request)
