"""Encoded bytes -> pixels: every picture mode brought to the channels and bits of its data set."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from datasets.base import DataError
from datasets.sources import Source
from datasets.store import UNREADABLE, reason

PNG = b"\x89PNG\r\n\x1a\n"
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # PIL's names for 16-bit grey; I is the same in 32 bits
GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
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
            header = read_header(data)
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


@dataclass(frozen=True)
class Header:
    height: int
    width: int
    mode: str
    bits: int
    grey: bool
    alpha: bool


def read_header(data: bytes) -> Header:
    """Size (as shown, that is after EXIF rotation), mode and bits without decoding."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) >= 5:
            width, height = height, width
        if is_deep_png(data):  # PIL gives most of these as 8 bits
            kind = data[25]
            mode = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[kind] + ";16"
            return Header(height, width, mode, 16, kind in (0, 4), kind in (4, 6))
        alpha = image.mode in ALPHA_MODES or "transparency" in image.info
        deep = image.mode in DEEP_MODES
        return Header(height, width, image.mode, 16 if deep else 8, image.mode in GREY_MODES, alpha)


def is_deep_png(data: bytes) -> bool:
    return data[:8] == PNG and len(data) > 25 and data[24] == 16


def see_through(data: bytes) -> bool:
    """Whether any pixel is not opaque."""
    if is_deep_png(data):
        return bool((decode_deep_png(data)[-1].to(torch.int32) < 65535).any())
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def decode(data: bytes, channels: int, bits: int, needed: int | None = None) -> Tensor:
    """Pixels as shown (EXIF rotation applied): uint8, or uint16 where `bits` is 16, [channels, H, W].

    Transparency that the data set does not keep lies on white. `needed`: the shorter side that will be used;
    a JPEG more than twice as large is decoded at a fraction of its size. Raises one of `store.UNREADABLE`.
    """
    if is_deep_png(data):
        return from_deep(decode_deep_png(data), channels, bits)
    with Image.open(io.BytesIO(data)) as image:
        if needed and image.format == "JPEG":
            image.draft(None, (2 * needed, 2 * needed))
        image = ImageOps.exif_transpose(image)
        if image.mode in DEEP_MODES:
            pixels = np.asarray(image).astype(np.int32).clip(0, 65535)
            return from_deep(torch.from_numpy(pixels)[None], channels, bits)
        if image.mode == "F":
            raise ValueError("pictures of floating-point numbers have no agreed white")
        pixels = torch.from_numpy(np.array(in_mode(image, {1: "L", 3: "RGB", 4: "RGBA"}[channels])))
    pixels = pixels[None] if channels == 1 else pixels.permute(2, 0, 1)
    return (pixels.to(torch.int32) * 257).to(torch.uint16) if bits == 16 else pixels


def decode_like(data: bytes, like: Probe, needed: int | None = None) -> Tensor:
    """`decode` for pictures of a source that looks like that."""
    if like.classes is not None:
        return like.classes(decode(data, 3, 8))
    return decode(data, like.channels, like.bits, None if like.nearest else needed)


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode != "RGBA" and (image.mode in ALPHA_MODES or "transparency" in image.info):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def decode_deep_png(data: bytes) -> Tensor:
    from torchvision.io import ImageReadMode, decode_png

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return decode_png(encoded, ImageReadMode.UNCHANGED, apply_exif_orientation=True)


def from_deep(pixels: Tensor, channels: int, bits: int) -> Tensor:
    """16-bit pixels (grey, grey and alpha, RGB, or RGBA) -> the data set's channels and bits."""
    pixels = pixels.to(torch.float32)
    white = torch.full_like(pixels[:1], 65535)
    colour, alpha = (pixels[:-1], pixels[-1:]) if len(pixels) in (2, 4) else (pixels, white)
    if channels < 4:
        colour = white + (colour - white) * (alpha / white)
    if channels == 1 and len(colour) == 3:
        colour = (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
    if channels >= 3:
        colour = colour.expand(3, -1, -1)
    if channels == 4:
        colour = torch.cat([colour, alpha])
    if bits == 16:
        return colour.round().to(torch.uint16)
    return (colour / 257).round().to(torch.uint8)
