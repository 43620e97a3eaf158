"""Pictures of unlike sizes, files and modes as training gets them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_datasets import (
    levels,
    load,
    plain,
    ramp,
    sample,
    save,
)


@pytest.mark.parametrize("resize", ["resize-crop", "scale-crop", "crop", "pad"])
def test_sides_of_other_size_and_file_lie_on_each_other(resize, tmp_path):
    """A is a wide JPEG that lies on its side, so large that it is decoded at a fraction; B a small PNG."""
    y, x = np.mgrid[:240, :480]
    a = Image.fromarray(np.dstack([x / 2, y, y * 0 + 99]).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "train" / "A").mkdir(parents=True)
    a.rotate(90, expand=True).save(tmp_path / "train" / "A" / "0.jpg", exif=exif, quality=98)
    save(a.resize((120, 60)), tmp_path / "train" / "B" / "0.png")
    data = load("paired", tmp_path, size=32, resize=resize, flip=True)
    for seed in range(6):
        view = sample(data, 0, seed)
        assert view["a"].std() > 0.05
        torch.testing.assert_close(view["a"], view["b"], atol=0.05, rtol=0)


def test_crops_lie_anywhere_and_are_mirrored_half_the_time(tmp_path):
    """5 x 5 windows of 36 pixels in 40, each mirrored or not; untouched pixels tell which."""
    save(ramp(), tmp_path / "0.png")
    data = load("images", tmp_path, size=36, resize="crop", flip=True)
    views = [sample(data, 0, seed)["image"][:2].add(1).mul(127.5 / 6).round() for seed in range(400)]
    seen = [tuple(view[:, 0, 0].tolist()) for view in views]
    plain, mirrored = ({(x + edge, y) for x in range(5) for y in range(5)} for edge in (0, 35))
    assert set(seen) == plain | mirrored
    assert 150 < sum(place in plain for place in seen) < 250


@pytest.mark.parametrize("resize", ["resize-crop", "scale-crop", "crop"])
def test_for_testing_the_middle_is_shown_unmirrored(resize, tmp_path):
    """The papers' way shows all of it; the others the square in the middle."""
    wide = Image.fromarray(np.repeat(np.asarray(ramp())[:, :, :1], 3, axis=2)[:16])
    save(wide, tmp_path / "0.png")
    data = load("images", tmp_path, resize=resize, flip=True, split="test")
    views = [sample(data, 0, seed)["image"] for seed in range(8)]
    assert all(torch.equal(view, views[0]) for view in views)
    edges = [float(views[0][0, 8, x]) * 127.5 + 127.5 for x in (0, 15)]
    middle = [6 * 12, 6 * 27]
    assert edges == pytest.approx([4, 230] if resize == "resize-crop" else middle, abs=5)


def test_a_large_jpeg_is_as_sharp_as_a_png(tmp_path):
    """It is decoded at a fraction of its size, but not at less than twice what is needed."""
    rough = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    picture = Image.fromarray(rough).resize((160, 160), Image.Resampling.NEAREST)
    for name, options in (("a/0.jpg", dict(quality=95, subsampling=0)), ("b/0.png", {})):
        (tmp_path / name).parent.mkdir()
        picture.save(tmp_path / name, **options)
    jpeg, png = (sample(load("images", tmp_path / side, size=32))["image"] for side in "ab")
    assert (jpeg - png).abs().mean() < 0.03 < png.std() / 10


@pytest.mark.parametrize(("mode", "colour"), [("L", 90), ("RGBA", (90, 60, 30, 100))])
def test_colour_jitter_leaves_alpha_alone_and_grey_grey(mode, colour, tmp_path):
    save(Image.new(mode, (20, 20), colour), tmp_path / "0.png")
    data = load("images", tmp_path, color_jitter=0.4)
    views = torch.stack([sample(data, 0, seed)["image"][:, 0, 0] for seed in range(8)])
    assert views.shape[1] == len(mode) and (views[:, :3].std(0) > 0.05).all()
    if mode == "RGBA":
        assert views[:, 3].unique().tolist() == pytest.approx([100 / 127.5 - 1])


def test_a_colour_may_be_transparent(tmp_path):
    """Palettes, and PNG's tRNS; and grey may have alpha."""
    for mode, colour in (("P", 0), ("L", 7), ("RGB", (7, 7, 7))):
        place = tmp_path / mode
        place.mkdir()
        Image.new(mode, (20, 20), colour).save(place / "0.png", transparency=colour)
        assert sample(load("images", place))["image"][3].unique().tolist() == [-1]


def test_the_sides_of_a_pair_have_their_own_channels(tmp_path):
    save(plain(10, mode="L"), tmp_path / "train" / "A" / "0.png")
    save(plain(20), tmp_path / "train" / "B" / "0.png")
    data = load("paired", tmp_path, direction="BtoA")
    assert data.info["channels"] == {"a": 3, "b": 1}
    assert (sample(data)["a"].shape[0], sample(data)["b"].shape[0]) == (3, 1)


def test_grey_among_colour_is_colour(tmp_path):
    save(plain(10, mode="L"), tmp_path / "0.png"), save(plain(20), tmp_path / "1.png")
    data = load("images", tmp_path)
    assert data.info["channels"] == {"image": 3} and levels(data, "image") == [10, 20]


def deep_png(path: Path, pixels: np.ndarray, turned: int = 1) -> Path:
    """[H, W, C] of 16 bits, which PIL does not write; `turned` is EXIF's orientation."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    exif = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = (b"IHDR", head), (b"eXIf", exif), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    return path


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_colour_and_alpha_turned(channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (8, 12, channels), np.uint16)
    deep_png(tmp_path / "0.png", pixels, turned=6)
    data = load("images", tmp_path, size=8, resize="crop")
    assert data.info["bits"] == 16 and data.info["channels"] == {"image": channels}
    shown = torch.from_numpy(np.rot90(pixels, -1).astype(np.float32).copy()).permute(2, 0, 1)
    view = sample(data)["image"]
    windows = [shown[:, top : top + 8] / 32767.5 - 1 for top in range(5)]
    assert min((view - window).abs().max() for window in windows) < 1e-5
