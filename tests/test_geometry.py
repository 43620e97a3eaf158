"""From files to training samples: crops, mirroring, aspect ratio, colour jitter, channels, depth, EXIF."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_datasets import folder, levels, load, ramp, sample, save, side_by_side

# --- geometry ---


@pytest.mark.parametrize("resize", ["resize-crop", "scale-crop", "crop", "resize", "pad"])
def test_both_sides_of_a_pair_are_cut_alike(resize, tmp_path):
    """B is A's negative, so a = -b wherever the window lies; it moves and mirrors unless nothing is cut."""
    for number in range(2):
        negative = Image.fromarray(255 - np.asarray(ramp()))
        save(side_by_side(ramp(), negative), tmp_path / "train" / f"{number}.png")
    data = load("paired", tmp_path, size=24, resize=resize, flip=True)
    views = [sample(data, 0, seed) for seed in range(12)]
    for view in views:
        assert view["a"].shape == (3, 24, 24)
        torch.testing.assert_close(view["a"], -view["b"], atol=0.02, rtol=0)
    corners = {tuple((view["a"][:2, 0, 0] * 20).round().tolist()) for view in views}
    assert len(corners) == 2 if resize in ("resize", "pad") else len(corners) > 4


def test_the_papers_crop_is_286_to_256(tmp_path):
    """A 16-pixel crop of a picture squashed to 18 shows 16/18 of it."""
    save(ramp(), tmp_path / "ramp.png")
    data = load("images", tmp_path, resize="resize-crop")
    red = sample(data)["image"][0]
    step = float(red[8, 12] - red[8, 4]) / 8 * 127.5  # grey levels a pixel; 6 a pixel of the picture
    assert step == pytest.approx(6 * 40 / 18, rel=0.05)


@pytest.mark.parametrize(
    ("resize", "kept"),
    [("scale-crop", True), ("crop", True), ("pad", True), ("resize", False), ("resize-crop", False)],
)
def test_aspect_ratio(resize, kept, tmp_path):
    """A wide picture whose colours rise by 2 levels a pixel both ways."""
    y, x = np.mgrid[:40, :80].astype(np.uint8)
    save(Image.fromarray(np.dstack([2 * x, 2 * y, x])), tmp_path / "wide.png")
    image = sample(load("images", tmp_path, resize=resize))["image"]
    across = float(image[0, 8, 10] - image[0, 8, 6])
    down = float(image[1, 10, 8] - image[1, 6, 8])
    assert across / down == pytest.approx(1 if kept else 2, rel=0.1)


def test_one_picture_is_a_domain_of_its_crops(tmp_path):
    """At many scales and places; to test it, the middle is shown."""
    save(ramp().resize((200, 200)), tmp_path / "painting.png")
    data = load("images", tmp_path / "painting.png")
    assert len(data) == 1000
    views = torch.stack([sample(data, 0, seed)["image"] for seed in range(30)])
    widths = (views[:, 0, 8, -1] - views[:, 0, 8, 0]) * 127.5 / 6 / 40  # share of the painting
    assert widths.min() < 0.4 and widths.max() > 0.7 and views[:, 0, 8, 0].std() > 0.1
    folder(tmp_path / "photos", (10, 20, 30))
    both = load("unpaired", a=str(tmp_path / "photos"), b=str(tmp_path / "painting.png"))
    assert len(both) == 3 and sample(both)["b"].shape == (3, 16, 16)


def test_colour_jitter_changes_colours_alone_and_both_sides_alike(tmp_path):
    save(side_by_side(ramp(), ramp()), tmp_path / "train" / "0.png")
    still, moved = (load("paired", tmp_path, color_jitter=strength) for strength in (0.0, 0.4))
    assert torch.equal(sample(still, 0, 1)["a"], sample(still, 0, 2)["a"])
    first, second = sample(moved, 0, 1), sample(moved, 0, 2)
    assert (first["a"] - second["a"]).abs().mean() > 0.02
    assert torch.equal(first["a"], first["b"])
    assert torch.equal(
        sample(load("paired", tmp_path, color_jitter=0.4, split="test"))["a"], sample(still)["a"]
    )


# --- channels ---


def sixteen_bit(path: Path, value: int, size: int = 20) -> Path:
    return save(Image.fromarray(np.full((size, size), value, np.uint16)), path)


@pytest.mark.parametrize(
    ("mode", "colour", "channels"),
    [
        ("L", 77, 1),
        ("RGB", (200, 10, 10), 3),
        ("P", 5, 3),
        ("RGBA", (9, 9, 9, 128), 4),
        ("CMYK", (9,) * 4, 3),
    ],
)
def test_channels_follow_the_data(mode, colour, channels, tmp_path):
    save(Image.new(mode, (20, 20), colour), tmp_path / ("0.tif" if mode == "CMYK" else "0.png"))
    data = load("images", tmp_path)
    assert data.info["channels"] == {"image": channels} and sample(data)["image"].shape[0] == channels


def test_alpha_without_transparency_is_dropped_and_stray_transparency_lies_on_white(tmp_path):
    save(Image.new("RGBA", (20, 20), (9, 9, 9, 255)), tmp_path / "opaque" / "0.png")
    assert load("images", tmp_path / "opaque").info["channels"] == {"image": 3}
    train, test = tmp_path / "train", tmp_path / "test"
    folder(train, (10,))
    save(Image.new("RGBA", (20, 20), (9, 9, 9, 0)), test / "0.png")
    assert levels(load("images", tmp_path, split="test"), "image") == [255]


def test_sixteen_bits_are_kept(tmp_path):
    sixteen_bit(tmp_path / "0.png", 30_001)
    data = load("images", tmp_path)
    assert data.info["bits"] == 16 and data.info["channels"] == {"image": 1}
    assert float(sample(data)["image"][0, 3, 3]) == pytest.approx(30_001 / 32767.5 - 1, abs=1e-5)


def test_photographs_are_turned_as_their_camera_was(tmp_path):
    picture, exif = ramp(), Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    picture.save(tmp_path / "0.png", exif=exif)
    shown = sample(load("images", tmp_path, size=40))["image"]
    turned = torch.from_numpy(np.array(picture.rotate(-90))).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(shown, turned, atol=0.01, rtol=0)
