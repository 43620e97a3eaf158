"""Files of 16 bits per channel, for which Pillow has no mode."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

Dots = tuple[float, float] | None  # per inch


def png(pixels: np.ndarray, profile: bytes | None, exif: bytes | None = None, dpi: Dots = None) -> bytes:
    """A 16-bit PNG (ISO/IEC 15948) of [H, W, 1..4] uint16."""
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0] = 2  # filter "up": each byte minus the one above it, modulo 256
    lines[0, 1:], lines[1:, 1:] = rows[0], rows[1:] - rows[:-1]
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0))]
    if profile:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if dpi:
        parts.append(chunk(b"pHYs", struct.pack(">IIB", *(round(dots / 0.0254) for dots in dpi), 1)))
    if exif:
        parts.append(chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(pixels: np.ndarray, profile: bytes | None, exif: bytes | None = None, dpi: Dots = None) -> bytes:
    """A 16-bit TIFF, deflated, of [H, W, 1..4] uint16. Of EXIF the texts of its first directory, which are
    TIFF's own tags."""
    import tifffile

    channels = pixels.shape[2]
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels if channels > 1 else pixels[..., 0],
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=True,
        iccprofile=profile,
        resolution=dpi,
        resolutionunit="inch" if dpi else None,
        metadata=None,
        software=False,
        extratags=[(tag, "s", 0, value, True) for tag, value in tags.items() if isinstance(value, str)],
    )
    return file.getvalue()
