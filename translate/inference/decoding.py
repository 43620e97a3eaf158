"""Encoded bytes to pixels: the one door through which pictures come, to training as to the page.

Upright (EXIF orientation applied), in sRGB (ICC profiles applied), with 8 or 16 bits, as the file has them.
Pillow reads; 16 bits of colour, for which it has no mode, are imagecodecs' (PNG) and tifffile's.
"""

import functools
import io
import logging
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

# "Corrupt EXIF data" and the like: what matters is raised when the pixels are read.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# No EPS or PostScript (they run programs) and no formats without a signature (they would take any file).
OPENED = "JPEG MPO PNG WEBP GIF TIFF BMP PPM AVIF HEIF JPEG2000".split()
TARGA = b"TRUEVISION-XFILE.\0"  # the signature of TGA is at its end
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # PIL's names for 16-bit grey; I is the same in 32 bits
GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
ORIENTATION, BITS, PHOTOMETRIC = 0x0112, 258, 262  # tags of EXIF and TIFF
GREY_INVERTED, GREY, RGB = 0, 1, 2  # TIFF's PhotometricInterpretation
ASSOCIATED, UNASSOCIATED = 1, 2  # TIFF's kinds of alpha: colours multiplied by it or not
SPACES = {b"RGB ": ("RGB", "RGBA"), b"GRAY": ("L", "LA"), b"CMYK": ("CMYK",), b"Lab ": ("LAB",)}
SAME = 2  # of 255: a profile that changes no colour by more is sRGB's


class Unsuitable(ValueError):
    """A sound file whose pixels are no picture here: what it has, and the mend, after the file's name."""


@dataclass(frozen=True)
class Header:
    """What a file says before its pixels are read."""

    height: int  # as shown, that is after EXIF's rotation
    width: int
    mode: str  # Pillow's, with ;16 where it has none
    bits: int  # per channel: 8 or 16
    grey: bool
    alpha: bool


def opened(source: bytes | str | Path) -> Image.Image:
    """The picture of a file or of its bytes, before its pixels are read. Raises what Pillow raises."""
    file, end = (io.BytesIO(source), source[-len(TARGA) :]) if isinstance(source, bytes) else (source, b"")
    if not isinstance(source, bytes):
        with open(source, "rb") as whole:
            whole.seek(-min(len(TARGA), whole.seek(0, io.SEEK_END)), io.SEEK_END)
            end = whole.read()
    formats = [*OPENED, "TGA"] if end == TARGA else OPENED
    return Image.open(file, formats=[name for name in formats if name in registered()])


@functools.cache
def registered() -> dict:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.init()
    return Image.OPEN


def header(data: bytes) -> Header:
    """Raises what Pillow raises."""
    with opened(data) as image:
        width, height = image.size
        if orientation(image, data) >= 5:
            width, height = height, width
        if is_deep_png(data):  # Pillow gives most of these as 8 bits
            mode = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}[data[25]] + ";16"
            return Header(height, width, mode, 16, data[25] in (0, 4), data[25] in (4, 6))
        alpha = image.mode in ALPHA_MODES or "transparency" in image.info
        if is_deep_tiff(image):
            grey = image.tag_v2[PHOTOMETRIC] != RGB
            return Header(height, width, f"{image.mode.split(';')[0]};16", 16, grey, alpha)
        deep = image.mode in DEEP_MODES
        return Header(height, width, image.mode, 16 if deep else 8, image.mode in GREY_MODES, alpha)


def pixels(
    image: Image.Image, data: bytes | None = None, needed: int | None = None
) -> tuple[np.ndarray, bytes | None]:
    """[H, W, C] uint8 or uint16, C = 1, 2 (grey and alpha), 3 or 4; and the profile to hand on with them.

    image: as opened from `data`; without these 16 bits of colour are 8. needed: the shorter side that will be
    used; a JPEG more than twice as large is decoded at a fraction of its size. Raises Unsuitable, and
    whatever decoders raise for damaged data.
    """
    profile = image.info.get("icc_profile")
    if data and is_deep_png(data):
        return in_srgb_deep(upright(deep_png(data), orientation(image, data)), profile)
    if data and is_deep_tiff(image):
        return in_srgb_deep(upright(deep_tiff(image, data), orientation(image, data)), profile)
    if image.mode in DEEP_MODES:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise Unsuitable("has 32-bit values; save it with 8 or 16 bits per channel")
        found = values.astype(np.uint16)[..., None]
        # After loading, because Pillow turns TIFF upright itself.
        return in_srgb_deep(upright(found, image.getexif().get(ORIENTATION, 1)), profile)
    if image.mode == "F":
        raise Unsuitable("has floating-point values; save it with 8 or 16 bits per channel")
    if needed and image.format == "JPEG":
        image.draft(None, (2 * needed, 2 * needed))
    plain, profile = in_srgb(image)
    found = np.array(plain)
    found = found[..., None] if found.ndim == 2 else found
    # After loading, because Pillow turns TIFF upright itself and PNG may carry its EXIF behind the pixels.
    return upright(found, image.getexif().get(ORIENTATION, 1)), profile


# --- as shown -------------------------------------------------------------------------------------------


def orientation(image: Image.Image, data: bytes) -> int:
    """EXIF's, before the pixels are read; in a PNG it may be behind them."""
    found = image.getexif().get(ORIENTATION)
    if found is None and image.format == "PNG" and (exif := chunk(data, b"eXIf")):
        behind = Image.Exif()
        behind.load(exif)
        found = behind.get(ORIENTATION)
    return found if found in range(1, 9) else 1


def chunk(data: bytes, name: bytes) -> bytes | None:
    """The body of a PNG's chunk."""
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == name:
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def upright(found: np.ndarray, turned: int) -> np.ndarray:
    """Undo an EXIF orientation (1 to 8; anything else counts as 1)."""
    if turned in (5, 6, 7, 8):
        found = found.transpose(1, 0, 2)
    if turned in (2, 3, 6, 7):
        found = found[:, ::-1]
    if turned in (3, 4, 7, 8):
        found = found[::-1]
    return np.ascontiguousarray(found)


def standard(image: Image.Image) -> Image.Image:
    """As L, LA, RGB or RGBA."""
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        return image.convert("LA" if grey else "RGBA")
    return image.convert("L" if grey else "RGB")


# --- colours --------------------------------------------------------------------------------------------


@functools.cache
def srgb() -> bytes:
    """A profile of sRGB, the same at any time: its date (ICC.1: at byte 24) is not that of its making."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + struct.pack(">6H", 2001, 12, 1, 0, 0, 0) + made[36:]


@functools.lru_cache(maxsize=64)
def conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From colours of one mode to sRGB's; None for a profile that is of another mode, or cannot be used."""
    if mode not in SPACES.get(profile[16:20], ()):
        return None
    try:
        return ImageCms.buildTransform(io.BytesIO(profile), io.BytesIO(srgb()), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


@functools.lru_cache(maxsize=64)
def is_srgb(profile: bytes) -> bool:
    """Whether colours stay as they are: most profiles of pictures are sRGB's, by one name or another."""
    levels = np.arange(0, 256, 15, np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(1, -1, 3)
    way = conversion(profile, "RGB")
    made = np.asarray(ImageCms.applyTransform(Image.fromarray(cube), way)) if way else cube
    return int(np.abs(made.astype(int) - cube).max()) <= SAME


def in_srgb(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """L, LA, RGB or RGBA in sRGB, and the profile to hand on: sRGB's where colours were converted."""
    profile = image.info.get("icc_profile")
    if image.mode in ("CMYK", "LAB"):
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        profile = lab if image.mode == "LAB" else profile
        way = conversion(profile, image.mode) if profile else None
        return (ImageCms.applyTransform(image, way), srgb()) if way else (image.convert("RGB"), None)
    plain = standard(image)
    colours = "L" if plain.mode.startswith("L") else "RGB"
    way = conversion(profile, colours) if profile else None
    if way is None or (colours == "RGB" and is_srgb(profile)):
        return plain, profile
    made = ImageCms.applyTransform(plain.convert(colours), way)
    if colours == "L":
        made = made.getchannel("G")
    if plain.mode.endswith("A"):
        made.putalpha(plain.getchannel("A"))
    return made, srgb() if colours == "RGB" else None


def in_srgb_deep(found: np.ndarray, profile: bytes | None) -> tuple[np.ndarray, bytes | None]:
    """The same for 16 bits, which Pillow's littleCMS does not take; imagecodecs' does."""
    count = 3 if found.shape[2] >= 3 else 1
    space = "RGB" if count == 3 else "L"
    if not profile or conversion(profile, space) is None or (count == 3 and is_srgb(profile)):
        return found, profile
    import imagecodecs

    made = imagecodecs.cms_transform(
        np.ascontiguousarray(found[..., :count] if count == 3 else found[..., 0]), profile, srgb(),
        colorspace="rgb" if count == 3 else "gray", outcolorspace="rgb",
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # which would go by a coarse table
    )  # fmt: skip
    colours = made if count == 3 else made[..., 1:2]
    return np.concatenate([colours, found[..., count:]], -1), srgb() if count == 3 else None


# --- 16 bits --------------------------------------------------------------------------------------------


def is_deep_png(data: bytes) -> bool:
    return data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 25 and data[24] == 16


def deep_png(data: bytes) -> np.ndarray:
    """[H, W, 1..4] uint16. Raises ValueError where it is damaged."""
    import imagecodecs

    try:
        found = imagecodecs.png_decode(data)
    except RuntimeError as error:
        raise ValueError(f"damaged PNG: {error}") from None
    return found[..., None] if found.ndim == 2 else found


def is_deep_tiff(image: Image.Image) -> bool:
    """Whether a TIFF has 16 bits of grey or RGB; of CMYK and the rest Pillow's 8 bits will do."""
    if image.format != "TIFF":
        return False
    bits = image.tag_v2.get(BITS, (1,))
    known = image.tag_v2.get(PHOTOMETRIC) in (GREY_INVERTED, GREY, RGB)
    return known and set(bits if isinstance(bits, tuple) else (bits,)) == {16} and image.mode != "F"


def deep_tiff(image: Image.Image, data: bytes) -> np.ndarray:
    """The first page. Raises ValueError where it is damaged, or not what Pillow saw in it."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters is raised
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            sized = (page.imagelength, page.imagewidth, page.imagedepth)
            if sized != (image.height, image.width, 1) or page.samplesperpixel > 8:
                raise ValueError(f"it says {' x '.join(map(str, page.shape))}")
            found = page.asarray()
            if page.planarconfig == 2 and found.ndim == 3:
                found = np.moveaxis(found, 0, -1)
            extra = [int(kind) for kind in page.extrasamples]
            inverted = int(page.photometric) == GREY_INVERTED
    except Exception as error:  # tifffile's and the decoders' own classes
        raise ValueError(f"damaged TIFF: {error}") from None
    if found.dtype != np.uint16:
        raise Unsuitable(f"has {found.dtype} values; save it with 8 or 16 bits per channel")
    found = found.reshape(image.height, image.width, -1)
    count = 3 if found.shape[2] - len(extra) >= 3 else 1
    colours = 65535 - found[..., :1] if inverted else found[..., :count]
    if not extra or extra[0] not in (ASSOCIATED, UNASSOCIATED):
        return colours
    alpha = found[..., count : count + 1]
    if extra[0] == ASSOCIATED:
        share = np.maximum(alpha, 1).astype(np.float64) / 65535
        colours = np.minimum(np.rint(colours / share), 65535).astype(np.uint16)
    return np.concatenate([colours, alpha], -1)
