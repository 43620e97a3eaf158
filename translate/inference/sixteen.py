"""Pictures of 16 bits per channel, for which Pillow has no mode: read in two passes, written here."""

import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image


def read(image: Image.Image, data: bytes) -> np.ndarray | None:
    """[H, W, 2..4] uint16 where `data` holds 16-bit colour or 16-bit grey with alpha, else None.

    Pillow unpacks such pixels to 8 bits by taking the high byte; told the other byte order, the low one.
    """
    layout = image.tile[0].args if getattr(image, "tile", None) else ""
    layout = layout if isinstance(layout, str) else layout[0] if layout else ""
    if image.format == "PNG" and layout == "LA;16B":
        # The same bytes are a valid 8-bit RGBA picture: (grey high, grey low, alpha high, alpha low).
        header = b"IHDR" + data[16:24] + b"\x08\x06" + data[26:29]
        patched = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
        split = np.asarray(Image.open(io.BytesIO(patched))).astype(np.uint16)
        return split[..., 0::2] << 8 | split[..., 1::2]
    if image.mode not in ("RGB", "RGBA") or layout[-4:-1] != ";16":
        return None
    swapped = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    low = Image.open(io.BytesIO(data))
    other = layout[:-1] + swapped[layout[-1]]
    low.tile = [
        tile._replace(args=other if isinstance(tile.args, str) else (other, *tile.args[1:]))
        for tile in low.tile
    ]
    return np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)


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
    """A 16-bit little-endian TIFF (revision 6.0; one deflated strip) of [H, W, 1..4] uint16.

    Of EXIF the texts of its first directory, which are TIFF's own tags.
    """
    height, width, channels = pixels.shape
    strip = zlib.compress(pixels.astype("<u2").tobytes(), 6)
    ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
    tags = [
        (256, LONG, 1, struct.pack("<I", width)),
        (257, LONG, 1, struct.pack("<I", height)),
        (258, SHORT, channels, struct.pack("<H", 16) * channels),
        (259, SHORT, 1, struct.pack("<H", 8)),  # compression: deflate
        (262, SHORT, 1, struct.pack("<H", 2 if channels >= 3 else 1)),  # RGB, or grey with black 0
        (273, LONG, 1, struct.pack("<I", 8)),  # the strip starts behind the header
        (277, SHORT, 1, struct.pack("<H", channels)),
        (278, LONG, 1, struct.pack("<I", height)),
        (279, LONG, 1, struct.pack("<I", len(strip))),
    ]
    if dpi:
        tags += [
            (tag, RATIONAL, 1, struct.pack("<II", round(dots * 100), 100))
            for tag, dots in zip((282, 283), dpi, strict=True)
        ]
        tags.append((296, SHORT, 1, struct.pack("<H", 2)))  # dots per inch
    if exif:
        said = Image.Exif()
        said.load(exif)
        texts = {tag: value.encode() + b"\0" for tag, value in said.items() if isinstance(value, str)}
        tags += [(tag, ASCII, len(text), text) for tag, text in texts.items()]
    if channels in (2, 4):
        tags.append((338, SHORT, 1, struct.pack("<H", 2)))  # the last channel is alpha, not premultiplied
    if profile:
        tags.append((34675, UNDEFINED, len(profile), profile))
    body = strip + b"\0" * (len(strip) % 2)
    directory = struct.pack("<H", len(tags))
    start = 8 + len(body)
    extra_at, extra = start + 2 + 12 * len(tags) + 4, b""
    for tag, kind, count, value in sorted(tags):
        if len(value) > 4:  # only values up to four bytes fit in the entry itself
            value, extra = struct.pack("<I", extra_at + len(extra)), extra + value + b"\0" * (len(value) % 2)
        directory += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + body + directory + struct.pack("<I", 0) + extra
