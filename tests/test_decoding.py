"""The door for pictures: training and the page read the same values from every file, and right ones."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from datasets import load
from datasets.pictures import decode
from translate.inference import decoding, images

ADOBE = imagecodecs.cms_profile("adobergb")
SRGB = decoding.srgb()


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def read_by_both(data: bytes) -> np.ndarray:
    """[H, W, C] in whole numbers, which training and the page agree on."""
    header, page = decoding.header(data), images.decode(data)
    top = 2**page.bits - 1
    shown = page.tensor[0].permute(1, 2, 0).add(1).mul(top / 2).round().long()
    training = decode(data, 1 if header.grey else 3, header.bits)
    assert header.bits == page.bits and (header.width, header.height) == page.size
    assert torch.equal(training.permute(1, 2, 0).long(), shown)
    return shown.numpy()


def from_adobe(values: np.ndarray) -> np.ndarray:
    """Adobe RGB (1998) in [0, 1] to sRGB, by the formulas of both (IEC 61966-2-1; one white, D65)."""
    linear = values**2.19921875
    matrix = np.array([[1.39836, -0.39836, 0], [0, 1, 0], [0, -0.04293, 1.04293]])
    linear = (linear @ matrix.T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


COLOURS = np.random.default_rng(0).integers(0, 65536, (12, 20, 3), dtype=np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(byteorder=">"),
        dict(compression="zlib", predictor=True),
        dict(compression="lzw", predictor=True),
        dict(planarconfig="separate"),
        dict(tile=(16, 16)),
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_sixteen_bits_of_colour_in_tiff(options):
    given = COLOURS.transpose(2, 0, 1) if "planarconfig" in options else COLOURS
    assert np.array_equal(read_by_both(tiff(given, photometric="rgb", **options)), COLOURS)


def test_grey_and_alpha_of_tiff():
    """White as 0; colours multiplied by their alpha."""
    grey = COLOURS[..., 0]
    assert np.array_equal(read_by_both(tiff(grey, photometric="minisblack"))[..., 0], grey)
    assert np.array_equal(read_by_both(tiff(65535 - grey, photometric="miniswhite"))[..., 0], grey)
    half = np.concatenate([np.full((4, 4, 3), 16384), np.full((4, 4, 1), 32768)], -1).astype(np.uint16)
    for kind, inside in (("unassalpha", 16384), ("assocalpha", 32767)):
        data = tiff(half, photometric="rgb", extrasamples=[kind])
        page = images.decode(data)
        assert page.alpha.mean() == pytest.approx(0.5, abs=1e-4)
        on_white = 65535 - (65535 - inside) / 2
        assert np.abs(read_by_both(data) - on_white).max() <= 2
        assert decode(data, 4, 16)[:, 0, 0].tolist() == pytest.approx([inside] * 3 + [32768], abs=2)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF"])
def test_eight_bits_with_a_profile_are_converted(format):
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:] = (60, 180, 90)
    decoding.registered()
    image = Image.fromarray(colours)
    loss = dict(quality=100) if format in ("JPEG", "WEBP", "HEIF") else {}
    found = read_by_both(saved(image, format, icc_profile=ADOBE, **loss))
    expected = from_adobe(colours / 255.0) * 255
    assert np.abs(found - expected).max() <= (1 if not loss else 5) and expected[0, 0, 0] < 30
    plain = read_by_both(saved(image, format, icc_profile=SRGB, **loss))
    assert np.abs(plain - colours).max() <= (0 if not loss else 4), "sRGB by its own name stays as it is"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_with_a_profile_are_converted_in_sixteen(format):
    from translate.inference import sixteen

    write = sixteen.png if format == "PNG" else sixteen.tiff
    found = read_by_both(write(COLOURS, ADOBE))
    assert np.abs(found / 65535 - from_adobe(COLOURS / 65535)).max() < 0.002
    assert len(np.unique(found)) > 256, "finer than 8 bits"
    assert images.decode(write(COLOURS, ADOBE)).icc == SRGB
    assert np.array_equal(read_by_both(write(COLOURS, SRGB)), COLOURS)


def test_alpha_is_no_colour():
    see_through = np.dstack([np.full((8, 8, 3), 128, np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8)])
    page = images.decode(saved(Image.fromarray(see_through), "PNG", icc_profile=ADOBE))
    assert np.array_equal(page.alpha[0, 0].mul(255).round().numpy(), see_through[..., 3])
    assert page.icc == SRGB


def cmyk_profile(lightness: int) -> bytes:
    """A profile (ICC.1:2001-04, a table of two values a colour) in which cyan is a grey, 0 to 255."""
    inks = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    nodes = [((1 - k) * (lightness if c else 255), 128, 128) for c, m, y, k in inks]
    line, same = bytes(range(256)), struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + same + 4 * line + bytes(sum(nodes, ())) + 3 * line
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    describes = b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78)
    body, tags = b"", b""
    parts = {b"desc": describes, b"cprt": text, b"wtpt": white, b"A2B0": table, b"A2B1": table}
    for name, part in parts.items():
        part += bytes(-len(part) % 4)
        tags += name + struct.pack(">II", 128 + 4 + 12 * len(parts) + len(body), len(part))
        body += part
    size = 128 + 4 + len(tags) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(parts)) + tags + body


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_by_its_profile(format):
    """CIE's lightness to sRGB by the formulas; without a usable profile cyan is (0, 255, 255)."""
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    inks.paste((0, 0, 0, 0), (0, 0, 16, 8))
    loss = dict(quality=100) if format == "JPEG" else {}
    found = read_by_both(saved(inks, format, icc_profile=cmyk_profile(215), **loss))
    luminance = ((215 / 2.55 + 16) / 116) ** 3
    grey = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    assert np.abs(found[:8] - 255).max() <= 2 and np.abs(found[8:] - grey).max() <= 3 and 200 < grey < 220
    for none in ({}, {"icc_profile": b"no profile at all" * 20}):
        plain = read_by_both(saved(inks, format, **none, **loss))[8:]
        assert np.abs(plain - (0, 255, 255)).max() <= 2


def test_a_folder_of_deep_and_foreign_files_is_learned_as_it_is_shown(tmp_path):
    """TIFF of 16 bits, HEIC and CMYK side by side: 16 bits a channel, each as the page shows it."""
    decoding.registered()
    flat = Image.new("RGB", (16, 16), (60, 180, 90))
    (tmp_path / "a.tif").write_bytes(tiff(np.full((16, 16, 3), 30_001, np.uint16), photometric="rgb"))
    (tmp_path / "b.heic").write_bytes(saved(flat, "HEIF", quality=100, icc_profile=ADOBE))
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    (tmp_path / "c.jpg").write_bytes(saved(inks, "JPEG", quality=100, icc_profile=cmyk_profile(215)))
    data = load("images", str(tmp_path), size=16, flip=False, resize="crop", cache="off")
    assert data.info["bits"] == 16 and data.info["channels"] == {"image": 3} and len(data) == 3
    for number, name in enumerate(("a.tif", "b.heic", "c.jpg")):
        learned = data.sample(number, torch.Generator().manual_seed(0))["image"]
        assert (learned - images.decode(tmp_path / name).tensor[0]).abs().max() < 1e-4, name
    assert data.sample(0, torch.Generator())["image"][0, 0, 0] == pytest.approx(
        30_001 / 32767.5 - 1, abs=1e-5
    )


def test_damaged_deep_files_are_named_as_damaged():
    """Cut anywhere, and sizes that lie: an error that training skips and the page tells, or a picture."""
    from datasets.store import UNREADABLE
    from translate.config import UserError

    whole = tiff(COLOURS, photometric="rgb", compression="lzw")
    for end in (*range(0, 40, 7), len(whole) // 2, len(whole) - 3):
        with pytest.raises(UNREADABLE):
            decode(whole[:end], 3, 16)
        with pytest.raises(UserError):
            images.decode(whole[:end])
    deep = tiff(np.full((4, 4, 3), 7, np.uint32), photometric="rgb")
    for reader in (lambda: decode(deep, 3, 8), lambda: images.decode(deep)):
        with pytest.raises((*UNREADABLE, UserError)):
            reader()


def test_greys_of_colours_are_pillows():
    """And of 16 bits: 65535 * 38470 has no room in 32 bits."""
    image = Image.fromarray((COLOURS >> 8).astype(np.uint8))
    assert np.array_equal(decode(saved(image, "PNG"), 1, 8)[0].numpy(), np.asarray(image.convert("L")))
    white = tiff(np.full((4, 4, 3), 65535, np.uint16), photometric="rgb")
    assert decode(white, 1, 16).unique().tolist() == [65535]


def test_targa_is_known_by_its_end():
    image = Image.new("RGB", (5, 4), (1, 2, 3))
    assert read_by_both(saved(image, "TGA"))[0, 0].tolist() == [1, 2, 3]
    assert read_by_both(saved(image, "TGA", compression="tga_rle")).shape == (4, 5, 3)
