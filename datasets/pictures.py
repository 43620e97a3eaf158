"""Encoded bytes -> pixels: every picture mode brought to the channels and bits of its data set."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from datasets.base import DataError
from datasets.sources import Source
from datasets.store import UNREADABLE, reason
from translate.inference import decoding

LUMA = torch.tensor([19595, 38470, 7471])  # of BT.601 in 65536ths, as Pillow has it
PROBED, ALPHA_PROBED = 256, 32


@dataclass
class Probe:
    """What a sample of a source's pictures looks like."""

    channels: int = 3
    bits: int = 8
    numbers: list[int] = field(default_factory=list)  # those that can be read
    sizes: list[tuple[int, int]] = field(default_factory=list)  # their (height, width) as shown
    bad: dict[int, str] = field(default_factory=dict)  # number -> reason
    nearest: bool = False  # its colours may not be mixed, as they stand for something: see `classes`
    classes: Callable[[Tensor], Tensor] | None = None  # of label maps: values to the colours inside

    def mean_area(self) -> float:
        return sum(height * width for height, width in self.sizes) / max(1, len(self.sizes))


def probe(source: Source, limit: int = PROBED) -> Probe:
    """Decide channels and bits from the headers of up to `limit` pictures: grey where all are, alpha only
    where one of them is really see-through, 16 bits where any is. Raises DataError where none can be read."""
    found = Probe()
    colour = alpha = False
    looked = 0  # alpha can only be judged from pixels, so only a few pictures are asked
    numbers = source.spread(limit)
    for number in numbers:
        try:
            data = source.read(number)
            header = decoding.header(data)
            if header.alpha and not alpha and looked < ALPHA_PROBED:
                looked += 1
                alpha = see_through(data)
        except UNREADABLE as error:
            found.bad[number] = reason(error)
            continue
        colour |= not header.grey
        found.bits = max(found.bits, header.bits)
        found.numbers.append(number)
        found.sizes.append((header.height, header.width))
    if not found.sizes:
        first = next(iter(found.bad))
        raise DataError(
            f"none of the pictures in {source.path} can be read, such as {source.where(first)} "
            f"({found.bad[first]}): mend or replace them"
        )
    found.channels = 4 if alpha else 3 if colour else 1
    return found


def see_through(data: bytes) -> bool:
    """Whether any pixel is not opaque."""
    found, _ = decoding.pixels(decoding.opened(data), data)
    return found.shape[2] in (2, 4) and bool((found[..., -1] < np.iinfo(found.dtype).max).any())


def decode(data: bytes, channels: int, bits: int, needed: int | None = None) -> Tensor:
    """Pixels as shown: uint8, or uint16 where `bits` is 16, [channels, H, W]. See `decoding`.

    Transparency that the data set does not keep lies on white. `needed`: the shorter side that will be used;
    a JPEG more than twice as large is decoded at a fraction of its size. Raises one of `store.UNREADABLE`.
    """
    with decoding.opened(data) as image:
        found, _ = decoding.pixels(image, data, needed)
    return brought(torch.from_numpy(found).permute(2, 0, 1), channels, bits)


def decode_like(data: bytes, like: Probe, needed: int | None = None) -> Tensor:
    """`decode` for pictures of a source that looks like that."""
    if like.classes is not None:
        return like.classes(decode(data, 3, 8))
    return decode(data, like.channels, like.bits, None if like.nearest else needed)


def brought(pixels: Tensor, channels: int, bits: int) -> Tensor:
    """Pixels (grey, grey and alpha, RGB, or RGBA; uint8 or uint16) in a data set's channels and bits."""
    top = 65535 if pixels.dtype == torch.uint16 else 255
    if len(pixels) != channels or channels == 2:
        pixels = mixed(pixels.to(torch.int32), channels, top)
    if top == 255:
        return (pixels.to(torch.int32) * 257).to(torch.uint16) if bits == 16 else pixels.to(torch.uint8)
    return pixels.to(torch.uint16) if bits == 16 else ((pixels.to(torch.int32) + 128) // 257).to(torch.uint8)


def mixed(pixels: Tensor, channels: int, top: int) -> Tensor:
    """Channels added or taken away, in whole numbers of 0 to `top`: [.., H, W] int32 to [channels, H, W]."""
    colours, alpha = (pixels[:-1], pixels[-1:]) if len(pixels) in (2, 4) else (pixels, None)
    if channels < 4 and alpha is not None:  # on white
        colours = top - ((top - colours).long() * alpha + top // 2).div(top, rounding_mode="floor").int()
    if channels == 1 and len(colours) == 3:
        colours = (LUMA[:, None, None] * colours.long()).sum(0, keepdim=True).add(1 << 15).int() >> 16
    colours = colours.expand(min(channels, 3), -1, -1)
    if channels < 4:
        return colours
    return torch.cat([colours, torch.full_like(colours[:1], top) if alpha is None else alpha])
