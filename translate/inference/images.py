"""Pictures as the page and the command line have them: `decode` leads in, `encode` and `to_image` lead out.

Reads JPEG, PNG, WebP, GIF and animated WebP (first frame), TIFF (first page), BMP, PNM, AVIF, HEIC and JPEG
2000, through `decoding`, as training does. Writes PNG, JPEG, WebP, TIFF and AVIF. Colours are sRGB's inside.
What else EXIF says is kept, but for the place. 16 bits per channel survive to PNG and TIFF (see `sixteen`).
Further frames and pages: `animation`.
"""

import dataclasses
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from translate.config import UserError
from translate.inference import decoding, sixteen
from translate.inference.metadata import Metadata

MAX_BYTES = 512 << 20
MAX_PIXELS = 128_000_000
EDGE = 2  # pixels of an outline that count as its edge
STRIP = 512  # rows turned into bytes at a time
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tiff", "AVIF": ".avif"}
# Our own limit below is stricter and has a sentence; Pillow would only warn.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture."""

    tensor: Tensor  # [1, C, H, W] in [-1, 1], C = 1 (grey) or 3 (RGB), as seen on white paper; float32,
    # or float16 where it is large and 8 bits are asked for
    alpha: Tensor | None = None  # [1, 1, H, W] in [0, 1]
    bits: int = 8  # per channel: 8 or 16
    format: str = "PNG"  # of the file it came from where we can write that, else PNG
    icc: bytes | None = None  # colour profile of the values, handed on to the file written
    name: str = "picture"
    metadata: Metadata | None = None  # what else the file says

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.tensor.shape[-1], self.tensor.shape[-2]


# --- in -------------------------------------------------------------------------------------------------


def decode(
    source: str | Path | bytes | Image.Image, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a file, its bytes or a Pillow image. Raises UserError naming what is no usable picture."""
    if isinstance(source, Image.Image):
        name = name or "the picture"
        return _picture(source, *_pixels(source, None, name), name=name)
    data = source if isinstance(source, bytes) else _read(Path(source))
    name = name or ("the picture" if isinstance(source, bytes) else str(source))
    if not data:
        raise UserError(f"{name} is empty (0 bytes); give a picture file")
    try:
        image = decoding.opened(data)
    except Image.DecompressionBombError:
        raise UserError(
            f"{name} has too many pixels; the most is {max_pixels / 1e6:.0f} megapixels"
        ) from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{name} {_what_instead(data)}") from None
    except Exception as error:  # Pillow's plugins raise whatever they trip over in a damaged header
        raise UserError(
            f"{name} is damaged and cannot be read ({_short(error)}); save it again or use a copy"
        ) from None
    if image.width * image.height > max_pixels:
        raise UserError(
            f"{name} has {image.width} x {image.height} pixels; "
            f"the most is {max_pixels / 1e6:.0f} megapixels, make it smaller"
        )
    if min(image.size) < 1:
        raise UserError(f"{name} has no pixels ({image.width} x {image.height})")
    try:
        pixels, icc = _pixels(image, data, name)
    except UserError:
        raise
    except MemoryError:
        raise UserError(
            f"{name} ({image.width} x {image.height}) does not fit in memory; make it smaller"
        ) from None
    except (
        Exception
    ) as error:  # truncated data surfaces as OSError, SyntaxError, ValueError, struct.error, zlib.error
        raise UserError(
            f"{name} is damaged or cut off ({_short(error)}); save it again or use a copy"
        ) from None
    return _picture(image, pixels, icc, name=name)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a picture")
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if not path.is_file():
        raise UserError(f"{path} is no regular file")
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path} has {size >> 20} MiB; the most is {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _what_instead(data: bytes) -> str:
    """What a file that is no picture seems to be, and the mend."""
    head = data[:1024].lstrip()
    if head.startswith(b"%PDF"):
        return "is a PDF, not a picture; export the page as PNG"
    if b"<svg" in head:
        return "is an SVG drawing; export it as PNG"
    if b"\0" not in data[:4096] and data[:1024].decode("utf-8", "replace").count("\ufffd") <= 1:
        return "holds text, not a picture; give a JPEG, PNG, WebP, TIFF, GIF or BMP file"
    return "is no picture that can be read here; give a JPEG, PNG, WebP, TIFF, GIF or BMP file"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def _pixels(image: Image.Image, data: bytes | None, name: str) -> tuple[np.ndarray, bytes | None]:
    try:
        return decoding.pixels(image, data)
    except decoding.Unsuitable as error:
        raise UserError(f"{name} {error}") from None


def _picture(image: Image.Image, pixels: np.ndarray, icc: bytes | None, name: str) -> Picture:
    bits = 16 if pixels.dtype == np.uint16 else 8
    values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None].contiguous()
    channels, alpha = values.shape[1], None
    if channels in (2, 4):
        alpha = values[:, -1:] / (2**bits - 1)
    tensor = values[:, : 3 if channels >= 3 else 1].div((2**bits - 1) / 2).sub_(1)
    format = "JPEG" if image.format == "MPO" else image.format
    picture = Picture(
        tensor=tensor, bits=bits, format=format if format in SUFFIXES else "PNG", icc=icc, name=name,
        metadata=Metadata.of(image),
    )  # fmt: skip
    return (
        picture
        if alpha is None
        else dataclasses.replace(picture, tensor=over_white(tensor, alpha), alpha=alpha)
    )


# --- colour and alpha -----------------------------------------------------------------------------------


def over_white(tensor: Tensor, alpha: Tensor) -> Tensor:
    """Colours in [-1, 1] with alpha in [0, 1], laid on white paper."""
    return 1 + (tensor - 1) * alpha


def bounded(enlarged: Tensor, alpha: Tensor) -> Tensor:
    """The alpha [1, 1, gH, gW] that a network made of [1, 1, H, W], kept between the least and the greatest
    of the 3x3 pixels it comes from: what is clear or solid stays so, and no edge rings."""
    least, greatest = (-F.max_pool2d(-alpha, 3, 1, 1), F.max_pool2d(alpha, 3, 1, 1))
    least, greatest = (F.interpolate(bound, enlarged.shape[-2:]) for bound in (least, greatest))
    return enlarged.clamp(least, greatest)


def off_white(tensor: Tensor, alpha: Tensor) -> Tensor:
    """The inverse of `over_white`, so that soft edges carry no white fringe; white where alpha is 0."""
    return (1 + (tensor - 1) / alpha.clamp(min=1 / 255)).clamp(-1, 1)


def filled(colours: Tensor, known: Tensor) -> Tensor:
    """[1, C, H, W] with what is not known (0 in [1, 1, H, W], else 1) taken from the known neighbours.

    Push and pull (Gortler et al. 1996, section 4.3): means of 2 x 2 known pixels, of those again, ...; then
    each unknown pixel takes the mean of the smallest square around it that knows any.
    """
    height, width = colours.shape[-2:]
    if bool(known.all()) or not bool(known.any()) or max(height, width) == 1:
        return colours
    odd = (0, width % 2, 0, height % 2)
    weight = F.avg_pool2d(F.pad(known, odd), 2)
    coarse = F.avg_pool2d(F.pad(colours * known, odd), 2) / weight.clamp(min=1e-6)
    coarse = filled(coarse, (weight > 0).to(known.dtype))
    fine = F.interpolate(coarse, scale_factor=2, mode="nearest")[..., :height, :width]
    return torch.where(known > 0, colours, fine)


def edges_filled(colours: Tensor, alpha: Tensor) -> Tensor:
    """[1, C, H, W] with the pixels beside an opaque part, themselves half covered, in that part's colours.

    A network saw these mixed with white, so what it made of them is pale. alpha: [1, 1, H, W] in [0, 1].
    """
    opaque = (alpha > 0.98).to(colours.dtype)
    beside = (F.max_pool2d(opaque, 2 * EDGE + 1, 1, EDGE) > 0) & (opaque == 0)
    return torch.where(beside, filled(colours, opaque), colours) if bool(beside.any()) else colours


def is_grey(picture: Picture) -> bool:
    """Whether a picture shows no colours, whatever its channels."""
    x = picture.tensor
    return x.shape[1] == 1 or bool((x[:, :1] == x[:, 1:2]).all() and (x[:, :1] == x[:, 2:3]).all())


def with_channels(picture: Picture, channels: int) -> Tensor:
    """[1, channels, H, W] for a model of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels."""
    if channels not in (1, 2, 3, 4):
        raise UserError(
            f"the model takes pictures of {channels} channels; only 1 to 4 can be made from a picture"
        )
    x = picture.tensor
    if channels in (2, 4):
        alpha = torch.ones_like(x[:, :1]) if picture.alpha is None else picture.alpha
        x = off_white(x, alpha)
    if channels >= 3:
        x = x.expand(-1, 3, -1, -1)
    elif x.shape[1] == 3:
        x = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)  # luma of BT.601
    return torch.cat([x, alpha * 2 - 1], 1) if channels in (2, 4) else x


# --- out ------------------------------------------------------------------------------------------------


def to_image(tensor: Tensor, like: Picture | None = None) -> Image.Image:
    """[1, C, H, W] or [C, H, W] in [-1, 1] as a Pillow image; alpha, profile and 16-bit grey as in `like`.

    16-bit colour comes out with 8 bits here, because Pillow has no mode for it; `encode` keeps it.
    """
    bits = 16 if like and like.bits == 16 and tensor.shape[-3] == 1 and like.alpha is None else 8
    pixels = quantised(tensor, like, bits)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if profile := _profile(like, pixels.shape[-1]):
        image.info["icc_profile"] = profile
    return image


def encode(
    tensor: Tensor,
    like: Picture | None = None,
    format: str = "PNG",
    *,
    quality: int = 95,
    lossless: bool = False,
    metadata: bool = True,
    location: bool = False,
) -> bytes:
    """[1, C, H, W] or [C, H, W] in [-1, 1] as the bytes of a PNG, JPEG, WEBP, TIFF or AVIF file.

    Alpha, bit depth and colour profile follow `like`; JPEG, WebP and AVIF have 8 bits, JPEG lays alpha on
    white. C = 2 or 4: the last channel is the model's own alpha.
    quality: 1 to 100, of JPEG, WebP and AVIF. lossless: WebP, and AVIF with colours as they are.
    metadata: resolution, date, author and camera as `like` says; location: where it was taken, too.
    """
    if format not in SUFFIXES:
        raise UserError(f"cannot write {format}; choose one of {', '.join(SUFFIXES)}")
    original = like.metadata if like and metadata else None
    exif, dpi = (original.exif(location), original.dpi) if original else (None, None)
    bits = like.bits if like and format in ("PNG", "TIFF") else 8
    if bits == 16:
        pixels = quantised(tensor, like, 16)
        write = sixteen.png if format == "PNG" else sixteen.tiff
        return write(pixels, _profile(like, pixels.shape[-1]), exif, dpi)
    image = to_image(tensor, dataclasses.replace(like, bits=8) if like else None)
    if format == "JPEG" and image.mode in ("LA", "RGBA"):
        white = Image.new(image.mode, image.size, "white")
        image = Image.alpha_composite(white.convert("RGBA"), image.convert("RGBA")).convert(
            image.mode.rstrip("A")
        )
    # 95 without chroma subsampling: flat painted colours keep their edges. compression: no loss in TIFF.
    options = {
        "PNG": dict(compress_level=6),
        "JPEG": dict(quality=quality, subsampling=0, optimize=True),
        "WEBP": dict(quality=100 if lossless else quality, method=4, lossless=lossless, exact=True),
        "TIFF": dict(compression="tiff_adobe_deflate"),
        "AVIF": dict(quality=100 if lossless else quality, subsampling="4:4:4"),
    }[format]
    if format == "TIFF" and exif:
        options = {}  # libtiff's encoder, which compresses, takes no EXIF directory
    options |= {name: value for name, value in dict(exif=exif, dpi=dpi).items() if value}
    file = io.BytesIO()
    try:
        image.save(file, format, icc_profile=_profile(like, len(image.getbands())), **options)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{image.width} x {image.height} cannot be a {format} ({_short(error)}); use PNG"
        ) from None
    return file.getvalue()


def grid(tensors: list[Tensor], gap: int = 2) -> Tensor:
    """Pictures [1, C, H, W] of one size, about as many rows as columns, as one [1, C, H', W'] on white."""
    columns = math.ceil(math.sqrt(len(tensors)))
    rows = math.ceil(len(tensors) / columns)
    channels, height, width = tensors[0].shape[1:]
    sheet = torch.ones(1, channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for i, tensor in enumerate(tensors):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[..., top : top + height, left : left + width] = tensor
    return sheet


def row(tensors: list[Tensor], gap: int = 2) -> Tensor:
    """Pictures [1, C, H, W] of one size beside each other, as one [1, C, H, W'] on white."""
    white = torch.ones_like(tensors[0][..., :gap])
    return torch.cat([part for tensor in tensors for part in (white, tensor)][1:], 3)


def quantised(tensor: Tensor, like: Picture | None, bits: int) -> np.ndarray:
    """[H, W, C] uint8 or uint16, C = 1 to 4, with the alpha of `like` where the tensor has none; colours
    under alpha are those of a file, off white paper."""
    tensor = tensor.detach()[None] if tensor.ndim == 3 else tensor.detach()
    alpha = like.alpha if like and tensor.shape[1] in (1, 3) else None
    if alpha is not None and alpha.shape[-2:] != tensor.shape[-2:]:
        alpha = F.interpolate(alpha, tensor.shape[-2:], mode="bilinear", antialias=True)
    channels, height, width = tensor.shape[1:]
    pixels = np.empty((height, width, channels + (alpha is not None)), np.uint8 if bits == 8 else np.uint16)
    for top in range(0, height, STRIP):  # a large picture has no room beside it for float32 copies of itself
        x = tensor[..., top : top + STRIP, :].float().cpu()
        if alpha is not None:
            covers = alpha[..., top : top + STRIP, :]
            x = torch.cat([off_white(x, covers), covers * 2 - 1], 1)
        values = x[0].add(1).mul_((2**bits - 1) / 2).round_().clamp_(0, 2**bits - 1)
        pixels[top : top + STRIP] = values.permute(1, 2, 0).numpy()
    return pixels


def _profile(like: Picture | None, channels: int) -> bytes | None:
    """The colour profile of `like`, if it is for the colours written (ICC.1: their space is at byte 16)."""
    profile = like.icc if like else None
    return profile if profile and profile[16:20] == (b"RGB " if channels >= 3 else b"GRAY") else None
