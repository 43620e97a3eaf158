"""translate.inference.images: real files in, real files out."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from translate.config import UserError
from translate.inference import decoding, images, sixteen


def ramp(height, width, channels, dtype):
    """Values that differ everywhere and use low and high bytes."""
    top = np.iinfo(dtype).max
    values = np.arange(height * width * channels).reshape(height, width, channels) * 7919 % (top + 1)
    return values.astype(dtype)


def saved(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def back(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("mode,channels", [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_eight_bits_come_back_exactly(mode, channels):
    pixels = ramp(9, 7, channels, np.uint8)
    if channels in (2, 4):
        pixels[..., -1] |= 1  # colours under alpha 0 are not defined
    data = saved(Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode), "PNG")
    picture = images.decode(data)
    assert (
        picture.tensor.shape == (1, 1 if channels < 3 else 3, 9, 7) and picture.tensor.dtype == torch.float32
    )
    assert picture.size == (7, 9) and (picture.alpha is not None) == (channels in (2, 4))
    assert picture.tensor.min() >= -1 and picture.tensor.max() <= 1
    out = back(images.encode(picture.tensor, picture))
    assert np.array_equal(out.reshape(pixels.shape), pixels)


def test_values_are_minus_one_to_one():
    picture = images.decode(saved(Image.fromarray(np.array([[0, 255]], np.uint8)), "PNG"))
    assert picture.tensor.flatten().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_come_back_exactly(format, channels):
    pixels = ramp(11, 5, channels, np.uint16)
    if channels in (2, 4):
        pixels[..., -1] |= 0x8000
    if format == "TIFF" and channels == 2:
        pytest.skip("Pillow reads no 16-bit TIFF of grey and alpha")
    data = sixteen.png(pixels, None) if format == "PNG" else sixteen.tiff(pixels, None)
    picture = images.decode(data)
    assert picture.bits == 16 and picture.format == format
    again = images.decode(images.encode(picture.tensor, picture, format))
    assert again.bits == 16
    difference = (images.off_white(again.tensor, again.alpha) if channels in (2, 4) else again.tensor)[0]
    expected = torch.from_numpy(pixels[..., : 1 if channels < 3 else 3].astype(np.float32)) / 32767.5 - 1
    assert (difference.permute(1, 2, 0) - expected).abs().max() < 1e-5
    if channels in (1, 3):
        out = again.tensor[0].permute(1, 2, 0).add(1).mul(32767.5).round().numpy()
        assert np.array_equal(out, pixels)


def test_our_sixteen_bit_files_are_what_others_write(tmp_path):
    kornia_rs = pytest.importorskip("kornia_rs.io")
    pixels = ramp(13, 17, 3, np.uint16)
    (tmp_path / "ours.png").write_bytes(sixteen.png(pixels, None))
    (tmp_path / "ours.tiff").write_bytes(sixteen.tiff(pixels, None))
    assert np.array_equal(kornia_rs.read_image_png_u16(str(tmp_path / "ours.png"), "rgb"), pixels)
    assert np.array_equal(kornia_rs.read_image_tiff_u16(str(tmp_path / "ours.tiff"), "rgb"), pixels)
    kornia_rs.write_image_png_u16(str(tmp_path / "theirs.png"), pixels, "rgb")
    kornia_rs.write_image_tiff_u16(str(tmp_path / "theirs.tiff"), pixels, "rgb")
    for name in ("theirs.png", "theirs.tiff"):
        picture = images.decode(tmp_path / name)
        read = picture.tensor[0].permute(1, 2, 0).add(1).mul(32767.5).round().numpy()
        assert picture.bits == 16 and np.array_equal(read, pixels)


def test_sixteen_bit_grey_png_from_pillow():
    pixels = ramp(6, 6, 1, np.uint16)[..., 0]
    picture = images.decode(saved(Image.fromarray(pixels), "PNG"))
    image = images.to_image(picture.tensor, picture)
    assert picture.bits == 16 and image.mode == "I;16" and np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, format):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8], upright[:8, 24:] = 255, 128  # white top left, grey top right
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        orientation
    ]  # what a viewer will apply, undone
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if format in ("JPEG", "WEBP") else {}
    picture = images.decode(saved(stored.convert("RGB"), format, exif=exif, **options))
    out = np.asarray(images.to_image(picture.tensor, picture).convert("L")).astype(int)
    assert out.shape == (16, 32) and abs(out - upright).mean() < 4


def test_sixteen_bit_orientation():
    pixels = ramp(4, 6, 3, np.uint16)
    data = sixteen.png(pixels, None)
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    picture = images.decode(data[:33] + chunk + data[33:])
    assert picture.bits == 16 and picture.size == (4, 6)
    out = picture.tensor[0].permute(1, 2, 0).add(1).mul(32767.5).round().numpy()
    assert np.array_equal(out, np.rot90(pixels, -1))


def test_palette_with_transparency_and_bilevel():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    picture = images.decode(saved(image, "PNG", transparency=0))
    assert picture.tensor.shape[1] == 3 and picture.alpha[0, 0, 0, 0] == 0 and picture.alpha.sum() == 15
    assert picture.tensor[0, :, 0, 0].tolist() == [1, 1, 1], "what is transparent counts as white"
    assert images.decode(saved(Image.new("1", (3, 3), 1), "PNG")).tensor.shape == (1, 1, 3, 3)


def test_cmyk_becomes_rgb():
    picture = images.decode(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = picture.tensor.mean((0, 2, 3)).tolist()
    assert picture.tensor.shape[1] == 3 and red > 0.9 and green < -0.9 and blue < -0.9


def test_animated_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "lime", "blue")]
    picture = images.decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.format == "PNG" and picture.tensor[0, :, 2, 2].tolist() == [1, -1, -1]


@pytest.mark.parametrize("format", ["WEBP", "BMP", "AVIF", "PPM", "JPEG2000"])
def test_other_formats(format):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    picture = images.decode(saved(image, format))
    assert (picture.tensor.mean((0, 2, 3)) - torch.tensor([200, 100, 50]) / 127.5 + 1).abs().max() < 0.03


def test_profile_is_handed_on_where_it_fits():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = images.decode(saved(Image.new("RGB", (4, 4)), "PNG", icc_profile=profile))
    for format in images.SUFFIXES:
        data = images.encode(picture.tensor, picture, format)
        assert Image.open(io.BytesIO(data)).info["icc_profile"] == profile
        grey = images.encode(picture.tensor[:, :1], picture, format)
        assert "icc_profile" not in Image.open(io.BytesIO(grey)).info, "an RGB profile does not fit grey"
    deep = images.decode(sixteen.png(ramp(4, 4, 3, np.uint16), profile))
    assert deep.icc == profile
    for format in ("PNG", "TIFF"):
        assert images.decode(images.encode(deep.tensor, deep, format)).icc == profile


def test_soft_edges_have_no_white_fringe():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 0], pixels[0, :, 3] = 255, (255, 128, 3)  # red, ever more transparent
    picture = images.decode(saved(Image.fromarray(pixels), "PNG"))
    assert picture.tensor[0, 1, 0, 1] > -0.1, "on white paper it is pink"
    assert np.array_equal(back(images.encode(picture.tensor, picture)), pixels)
    flat = back(images.encode(picture.tensor, picture, "JPEG"))
    assert flat.shape == (1, 3, 3) and flat[0, 2].min() > 200, "JPEG lays it on white"


def test_alpha_follows_an_enlarged_picture():
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    picture = images.decode(saved(Image.fromarray(pixels), "PNG"))
    out = back(images.encode(torch.zeros(1, 3, 16, 16), picture))
    assert out.shape == (16, 16, 4) and out[0, 0, 3] == 0 and out[-1, -1, 3] == 255


def test_channels_for_the_model():
    grey = images.decode(saved(Image.new("L", (2, 2), 255), "PNG"))
    colour = images.decode(saved(Image.new("RGB", (2, 2), (255, 0, 0)), "PNG"))
    assert images.with_channels(grey, 3).shape == (1, 3, 2, 2)
    assert images.with_channels(grey, 4)[0, :, 0, 0].tolist() == [1, 1, 1, 1]
    luma = images.with_channels(colour, 1)
    assert luma.shape == (1, 1, 2, 2) and luma[0, 0, 0, 0].item() == pytest.approx(0.299 * 2 - 1, abs=1e-6)
    with pytest.raises(UserError, match="5 channels"):
        images.with_channels(grey, 5)


def jpeg():
    return saved(Image.fromarray(ramp(64, 64, 3, np.uint8)), "JPEG")


@pytest.mark.parametrize(
    "name,make,message",
    [
        ("text.png", lambda path: path.write_text("Dear picture,\n" * 9), "holds text, not a picture"),
        ("none.png", lambda path: path.write_bytes(b""), "is empty"),
        ("cut.jpg", lambda path: path.write_bytes(jpeg()[:-900]), "damaged or cut off"),
        (
            "cut.png",
            lambda path: path.write_bytes(saved(Image.effect_noise((64, 64), 50), "PNG")[:2000]),
            "damaged",
        ),
        ("noise.jpg", lambda path: path.write_bytes(bytes(range(256)) * 9), "no picture that can be read"),
        ("page.pdf", lambda path: path.write_bytes(b"%PDF-1.7\n" + bytes(99)), "PDF"),
        ("draw.svg", lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG"),
        (
            "run.eps",
            lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9"),
            "not a pict",
        ),
        ("folder.png", lambda path: path.mkdir(), "is a folder"),
        ("absent.png", lambda path: None, "does not exist"),
    ],
)
def test_what_is_no_picture_gets_one_sentence(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        images.decode(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_a_sentence_or_a_picture():
    whole = [
        jpeg(),
        sixteen.png(ramp(20, 20, 3, np.uint16), None),
        sixteen.tiff(ramp(20, 20, 3, np.uint16), None),
    ]
    whole += [
        saved(Image.fromarray(ramp(32, 32, 4, np.uint8)), format) for format in ("PNG", "WEBP", "TIFF", "GIF")
    ]
    for data in whole:
        for end in range(1, len(data), max(1, len(data) // 40)):
            try:
                images.decode(data[:end], name="cut")
            except UserError as error:
                assert str(error).startswith("cut ")


def test_bombs_are_refused_before_they_are_unpacked():
    header = sixteen.png(np.zeros((1, 1, 3), np.uint16), None)
    body = b"IHDR" + struct.pack(">II", 60_000, 60_000) + header[24:29]
    huge = header[:12] + body + struct.pack(">I", zlib.crc32(body)) + header[33:]
    with pytest.raises(UserError, match="megapixels"):
        images.decode(huge, name="bomb.png")
    with pytest.raises(UserError, match="40 x 30 pixels"):
        images.decode(saved(Image.new("L", (40, 30)), "PNG"), max_pixels=1000)


def test_heic(tmp_path):
    decoding.registered()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "phone.heic", quality=100)
    picture = images.decode(tmp_path / "phone.heic")
    assert picture.size == (64, 64) and picture.format == "PNG"
    assert (picture.tensor.mean((0, 2, 3)) - torch.tensor([1.0, -1.0, -1.0])).abs().max() < 0.03
    (tmp_path / "broken.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    with pytest.raises(UserError, match="broken.heic"):
        images.decode(tmp_path / "broken.heic")


def test_floating_point_is_refused_clearly():
    with pytest.raises(UserError, match="floating-point"):
        images.decode(saved(Image.new("F", (4, 4)), "TIFF"), name="depth.tiff")
