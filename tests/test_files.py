"""Animations, metadata, cut-outs and names of files, through the command line's own function."""

import shlex
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from PIL.ExifTags import IFD, Base

from tests.conftest import World, build
from translate.commands.image import image
from translate.config import UserError
from translate.inference import images
from translate.inference.animation import film
from translate.inference.classes import to_colours, to_values
from translate.inference.files import plan
from translate.inference.pipeline import Pipeline
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small untrained translator."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder, build(find("cut"), World("unpaired", 16)), 1)
    return str(folder)


@pytest.fixture(scope="module")
def enlarger():
    """Trained to keep colours: it answers with the nearest pixels, as an enlarger's own network would."""
    task = build(find("srgan"), World("lowres", 32)).eval()
    task.generate = lambda image: torch.nn.functional.interpolate(image, scale_factor=4, mode="bicubic")
    return Pipeline(task)


def frames(count=3, size=(20, 18)):
    return [Image.new("RGB", size, (60 * number, 0, 200)) for number in range(count)]


# --- animations and pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tiff"])
def test_every_frame_is_translated(model, tmp_path, suffix):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    timing = {} if suffix == ".tiff" else dict(duration=[70, 30, 120], loop=3)
    made = frames()
    made[0].save(source, save_all=True, append_images=made[1:], **timing)
    assert image((str(source),), model=model, output=str(target), precision="fp32", lossless=True) == 0
    pipeline = Pipeline.from_pretrained(model, "cpu", "fp32")
    with Image.open(target) as moving, Image.open(source) as before:
        assert moving.n_frames == 3 and moving.size == (20, 18)
        for number in range(3):
            moving.seek(number), before.seek(number)
            alone = pipeline(image=before.convert("RGB"))[0]
            close = np.abs(np.asarray(moving.convert("RGB"), int) - np.asarray(alone, int)).mean()
            assert close < (12 if suffix == ".gif" else 0.01)
            if timing:
                moving.load()
                assert moving.info["duration"] == timing["duration"][number]
        if timing:
            assert moving.info["loop"] == 3


def test_what_a_format_cannot_hold_is_said(model, tmp_path, capsys):
    frames()[0].save(tmp_path / "in.gif", save_all=True, append_images=frames()[1:], duration=50)
    assert image((str(tmp_path / "in.gif"),), model=model, output=str(tmp_path / "out.jpg")) == 0
    assert "only the first of its 3 frames; name .gif" in capsys.readouterr().err
    assert image((str(tmp_path / "in.gif"),), model=model, output=str(tmp_path / "out.tiff")) == 0
    assert "TIFF holds pages without durations" in capsys.readouterr().err
    image((str(tmp_path / "in.gif"),), model=model, output=str(tmp_path / "once.gif"))
    with Image.open(tmp_path / "once.gif") as once:
        assert once.n_frames == 3 and "loop" not in once.info


def test_a_folder_of_gifs_keeps_those_that_move(model, tmp_path):
    (tmp_path / "in").mkdir()
    frames()[0].save(tmp_path / "in" / "moves.gif", save_all=True, append_images=frames()[1:])
    frames()[0].save(tmp_path / "in" / "still.gif")
    image((str(tmp_path / "in"),), model=model, output=str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["moves.gif", "still.png"]


def test_a_photograph_is_no_film(tmp_path):
    for name in ("a.png", "a.jpg", "a.tiff"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        assert film(tmp_path / name) is None
    (tmp_path / "broken.gif").write_bytes(b"GIF89a, or not")
    assert film(tmp_path / "broken.gif") is None


# --- metadata -----------------------------------------------------------------------------------------------


def photographed(path):
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Copyright], exif[Base.Orientation] = "Leica", "(c) Ann", 6
    exif[Base.DateTime] = "2024:05:06 07:08:09"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    exif.get_ifd(IFD.GPSInfo)[2] = (52.0, 31.0, 12.0)
    Image.new("RGB", (30, 20), "red").save(path, exif=exif, dpi=(300, 300))
    return str(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".avif"])
def test_metadata_is_kept_but_for_the_place(model, tmp_path, suffix):
    source = photographed(tmp_path / "in.jpg")
    for name, flags in (("kept", {}), ("located", {"keep_location": True}), ("bare", {"metadata": False})):
        target = tmp_path / f"{name}{suffix}"
        assert image((source,), model=model, output=str(target), **flags) == 0
        with Image.open(target) as made:
            exif = made.getexif()
            assert made.size == (20, 30) and exif.get(Base.Orientation, 1) == 1, "turned upright, once"
            if name == "bare":
                assert not exif.get(Base.Copyright) and not exif.get_ifd(IFD.Exif)
                continue
            assert (exif[Base.Make], exif[Base.Copyright]) == ("Leica", "(c) Ann")
            assert exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2024:05:06 07:08:09"
            assert (2 in exif.get_ifd(IFD.GPSInfo)) == (name == "located")
            if suffix in (".jpg", ".png", ".tiff"):
                assert round(float(made.info["dpi"][0])) == 300


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_metadata(tmp_path, format):
    photograph = images.decode(photographed(tmp_path / "in.jpg"))
    import dataclasses
    import io

    deep = dataclasses.replace(photograph, bits=16)
    with Image.open(io.BytesIO(images.encode(deep.tensor, deep, format))) as made:
        assert made.getexif()[Base.Copyright] == "(c) Ann" and round(float(made.info["dpi"][0])) == 300


def test_quality_and_formats(model, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        tmp_path / "in.png"
    )
    source = (str(tmp_path / "in.png"),)
    for quality in (20, 95):
        image(source, model=model, output=str(tmp_path / f"{quality}.jpg"), quality=quality)
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size / 2
    image(source, model=model, output=str(tmp_path / "a.webp"), lossless=True, precision="fp32")
    image(source, model=model, output=str(tmp_path / "a.png"), precision="fp32")
    same = [np.asarray(Image.open(tmp_path / f"a{suffix}")) for suffix in (".webp", ".png")]
    assert np.array_equal(*same)
    image(source, model=model, output=str(tmp_path / "out"), format="avif")
    assert Image.open(tmp_path / "out" / "in.avif").format == "AVIF"
    with pytest.raises(UserError, match="--quality 0 must be 1 to 100"):
        image(source, model=model, output=str(tmp_path / "out"), quality=0)
    with pytest.raises(UserError, match="--format webp is for a folder"):
        image(source, model=model, output=str(tmp_path / "b.png"), format="webp")


# --- names --------------------------------------------------------------------------------------------------


def test_one_collision_does_not_stop_a_folder(tmp_path):
    for name in ("logo.bmp", "logo.gif", "logo.png", "other.bmp"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    jobs, _ = plan((str(tmp_path),), str(tmp_path / "out"))
    names = {job.source.name: job.target.name for job in jobs}
    assert names == {
        "logo.bmp": "logo.png", "logo.gif": "logo-gif.png", "logo.png": "logo-png.png",
        "other.bmp": "other.png",
    }  # fmt: skip


def test_existing_files_may_be_skipped(model, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("precious")
    assert (
        image((str(tmp_path / "*.png"),), model=model, output=str(tmp_path / "out"), skip_existing=True) == 0
    )
    assert (tmp_path / "out" / "a.png").read_text() == "precious" and (tmp_path / "out" / "b.png").exists()
    assert "left as they are: 1 of 2 files" in capsys.readouterr().err


def test_a_url_is_no_file():
    with pytest.raises(UserError, match="is a URL, which is not read; download"):
        plan(("https://example.org/a.png",), "out")


# --- cut-outs and grey pictures -----------------------------------------------------------------------------


def cut_out():
    """A red disc on nothing: half-covered pixels at its edge, black under what is not covered."""
    large = Image.new("L", (400, 400), 0)
    ImageDraw.Draw(large).ellipse((40, 60, 330, 350), fill=255)
    alpha = np.asarray(large.resize((50, 50), Image.LANCZOS))
    pixels = np.zeros((50, 50, 4), np.uint8)
    pixels[alpha > 0, :3], pixels[..., 3] = (255, 40, 40), alpha
    return Image.fromarray(pixels)


def test_an_enlarged_cut_out_has_no_halo(enlarger):
    [made] = enlarger(image=cut_out())
    pixels = np.asarray(made).astype(int)
    visible = pixels[..., 3] > 16
    assert made.size == (200, 200) and np.abs(pixels[visible][:, :3] - (255, 40, 40)).max() <= 1
    soft = (pixels[..., 3] > 20) & (pixels[..., 3] < 235)
    assert soft.sum() < 3200, "the outline is as sharp as the network makes it"


def test_a_translated_cut_out_has_no_halo(model):
    """A translator sees a cut-out on white, as it has learned; its edge takes the colours beside it."""
    pipeline = Pipeline.from_pretrained(model, "cpu", "fp32")
    pipeline.task.generate = lambda image: torch.nn.functional.avg_pool2d(image, 3, 1, 1)  # blurs white in
    pixels = np.asarray(pipeline(image=cut_out())[0]).astype(int)
    edge = (pixels[..., 3] > 30) & (pixels[..., 3] < 250)
    middle = pixels[25, 25, :3]
    assert np.abs(middle - (255, 40, 40)).max() <= 1
    assert np.abs(pixels[edge][:, :3] - middle).mean() < 30


def test_colours_are_filled_in_from_the_nearest_known():
    colours = torch.zeros(1, 1, 4, 6)
    known = torch.zeros(1, 1, 4, 6)
    colours[..., 0], known[..., 0] = 0.25, 1
    colours[..., 5], known[..., 5] = 0.75, 1
    made = images.filled(colours, known)
    assert torch.equal(made[known > 0], colours[known > 0])
    assert made[..., 1].eq(0.25).all() and made[..., 4].eq(0.75).all() and made.ge(0.25).all()


def test_a_grey_picture_stored_in_colour_stays_grey():
    task = build(find("srgan"), World("lowres", 32)).eval()
    tint = torch.tensor([1, 0.9, 0.8]).view(1, 3, 1, 1)
    task.generate = lambda image: tint * torch.nn.functional.interpolate(image, scale_factor=4)
    grey = Image.fromarray(np.dstack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3))
    pixels = np.asarray(Pipeline(task)(image=grey)[0]).astype(int)
    assert pixels.shape == (64, 64, 3) and np.ptp(pixels, axis=2).max() == 0


# --- label maps ---------------------------------------------------------------------------------------------


def test_label_maps_come_out_in_the_values_they_went_in(tmp_path):
    """Trained on masks of 0 to 3: exactly these come out, whatever the network answers."""
    table = [[[0], [0, 0, 0]], [[1], [255, 255, 255]], [[2], [255, 0, 0]], [[3], [0, 0, 255]]]
    values = torch.tensor([0, 1, 2, 3]).view(1, 1, 2, 2) / 127.5 - 1
    colours = to_colours(values, table)
    assert colours.add(1).mul(127.5).round().int()[0, :, 0, 1].tolist() == [255, 255, 255]
    assert torch.equal(to_values(colours + 0.3 * torch.randn(colours.shape).clamp(-1, 1), table), values)
    method = find("pix2pix")
    info = DataInfo(
        kind="paired", name="x", count=3, channels={"a": 3, "b": 3}, label_colours={"a": table, "b": table}
    )
    write_model(tmp_path / "m", method(method.tiny(), info), 1)
    pipeline = Pipeline.from_pretrained(tmp_path / "m", "cpu", "fp32")
    mask = Image.fromarray(np.random.default_rng(0).integers(0, 4, (33, 47), dtype=np.uint8))
    for work_size in (None, 20):
        [made] = pipeline(image=mask, work_size=work_size)
        assert made.mode == "L" and made.size == mask.size and set(np.unique(made)) <= {0, 1, 2, 3}
    pipeline.task.generate = lambda image: image
    [made] = pipeline(image=mask)
    assert np.array_equal(made, mask)


def test_the_printed_command_can_be_pasted(tmp_path):
    from translate.training.loop import used_by

    place = tmp_path / "my photos" / "it's"
    words = shlex.split(used_by(("image",), place))
    assert words[words.index("--model") + 1] == str(place) and sys.executable
