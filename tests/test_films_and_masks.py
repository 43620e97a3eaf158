"""Films from files and made here, masks drawn and given, and few labels."""

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import DataError
from datasets.frames import natural
from datasets.masked import drawn


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def level(frame):
    return round(float(frame.mean().add(1).mul(127.5)))


def film(folder, levels, size=(12, 10)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(levels):
        frame = Image.new("RGB", size, (value,) * 3)
        frame.putpixel((0, 0), (min(255, value + 3), value, value))
        frame.save(folder / f"frame-{number}.png")


def clip(path, levels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.new("L", (12, 10), value) for value in levels]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, **options)


# --- films ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["on", "off"])
def test_folders_of_frames_are_films(tmp_path, cache):
    film(tmp_path / "one", range(0, 240, 20))  # frame-10 comes after frame-9
    film(tmp_path / "two", (10, 30, 50))
    film(tmp_path / "short", (100,))
    data = datasets.load("frames", str(tmp_path), size=8, length=3, cache=cache)
    assert len(data) == 10 + 1 and data.info["channels"] == {"frames": 3}
    samples = [data.sample(index, seeded()) for index in range(11)]
    assert all(s["frames"].shape == (3, 3, 8, 8) for s in samples)
    shown = [[level(frame[0]) for frame in s["frames"]] for s in samples]
    assert [20 * n for n in (9, 10, 11)] in shown and [10, 30, 50] in shown
    assert all(second > first for s in shown for first, second in zip(s, s[1:], strict=False))
    assert {s["file"] for s in samples} >= {f"{tmp_path}/two, frames 1 to 3"}


def test_frames_of_one_film_are_cut_alike(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8))
    (tmp_path / "still").mkdir()
    for number in range(4):
        picture.save(tmp_path / "still" / f"{number}.png")
    data = datasets.load("frames", str(tmp_path), size=8, length=4, resize="crop")
    for seed in range(5):
        frames = data.sample(0, seeded(seed))["frames"]
        assert all(torch.equal(frame, frames[0]) for frame in frames)
    assert not torch.equal(frames, data.sample(0, seeded(0))["frames"])


@pytest.mark.parametrize("suffix", ["gif", "webp", "apng"])
def test_animations_are_films(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {"format": "PNG"} if suffix == "apng" else {}
    clip(tmp_path / "train" / f"a.{suffix}", (0, 80, 160, 240), **options)
    clip(tmp_path / "test" / f"b.{suffix}", (240, 160, 80), **options)
    for cache in ("on", "off"):
        data = datasets.load("frames", str(tmp_path), size=8, length=3, cache=cache)
        shown = [[level(frame) for frame in data.sample(i, seeded())["frames"]] for i in range(2)]
        assert np.abs(np.array(shown) - [[0, 80, 160], [80, 160, 240]]).max() <= 1
    test = datasets.load("frames", str(tmp_path), size=8, length=3, split="test")
    assert len(test) == 1 and test.info["split"] == "test"


def test_videos_are_films(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for value in (20, 90, 160, 230):
            pixels = np.full((32, 32, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    for place in (tmp_path, tmp_path / "a.mp4"):
        data = datasets.load("frames", str(place), size=8, length=3, cache="off")
        assert len(data) == 2
        shown = [level(frame) for frame in data.sample(1, seeded())["frames"]]
        assert np.abs(np.array(shown) - [90, 160, 230]).max() < 8


@pytest.mark.parametrize(
    ("data", "length", "sentence"),
    [
        ("{}/short", 5, "--length 5 frames are more than any film in .*short has: .*short has 3"),
        ("{}/short", 1, "--length 1 is too short"),
        ("moving-digits:x", 5, "should be moving-digits or moving-digits:COUNT"),
        ("{}/absent", 5, "there is no .*absent"),
        ("{}/broken.mp4", 5, "broken.mp4 is no video that can be read|pip install av"),
    ],
)
def test_what_is_no_film(tmp_path, data, length, sentence):
    film(tmp_path / "short", (1, 2, 3))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=sentence):
        datasets.load("frames", data.format(tmp_path), size=8, length=length)


def test_names_are_in_the_order_of_their_numbers():
    assert sorted(["f10", "f9", "F1", "f1b"], key=natural) == ["F1", "f1b", "f9", "f10"]


@pytest.mark.parametrize("name", ["moving-digits", "bouncing-balls"])
def test_films_made_here_know_where_everything_is(name):
    data = datasets.load("frames", f"{name}:20", size=64, length=12)
    test = datasets.load("frames", f"{name}:20", size=64, length=12, split="test")
    assert len(data) == 20 and test.info["split"] == "test"
    first = data.sample(3, seeded(0))
    again, other = data.sample(3, seeded(9)), test.sample(3, seeded(0))
    assert torch.equal(first["frames"], again["frames"]) and not torch.equal(first["frames"], other["frames"])
    assert first["frames"].shape == (12, 1, 64, 64) and first["frames"].abs().max() <= 1
    bright = (first["frames"][:, 0] + 1) / 2
    axis = torch.arange(64.0)
    for frame, places in zip(bright, first["positions"], strict=True):
        inside = torch.zeros(64, 64, dtype=torch.bool)
        for y, x in places.tolist():
            reach = 15 if name == "moving-digits" else 9
            inside |= ((axis[:, None] - y).abs() <= reach) & ((axis[None] - x).abs() <= reach)
        assert frame[~inside].max() == 0, "nothing is where nothing should be"
    steps = first["positions"].diff(dim=0).norm(dim=2)
    assert steps.max() < 14 and steps.mean() > 1


def test_balls_keep_their_energy_and_distance():
    data = datasets.load("frames", "bouncing-balls", size=64, length=40)
    positions = data.sample(1, seeded())["positions"]
    assert min(torch.pdist(frame).min() for frame in positions) > 14
    assert positions.min() > 6 and positions.max() < 58
    free = positions.diff(dim=0).square().sum((1, 2)).sqrt()
    assert free.median() == pytest.approx(float(free.max()), rel=0.1), (
        "each frame between bounces moves alike"
    )


# --- masks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["free-form", "rectangles", "both"])
@pytest.mark.parametrize("size", [8, 64])
def test_masks_are_of_many_shapes_and_leave_something(kind, size):
    masks = torch.stack([drawn(kind, size, seeded(seed)) for seed in range(60)])
    shares = masks.mean((1, 2, 3))
    assert set(masks.unique().tolist()) == {0, 1} and masks.shape == (60, 1, size, size)
    assert shares.min() > 0 and shares.max() <= 0.61 and shares.std() > 0.03
    assert torch.equal(masks[5], drawn(kind, size, seeded(5)))
    if kind == "rectangles":
        assert all(m.sum() == m.amax(1).sum() * m.amax(2).sum() for m in masks[:, 0, None])


def test_masked_pictures(tmp_path):
    film(tmp_path / "pictures", range(0, 200, 50))
    data = datasets.load("masked", f"{tmp_path}/pictures", size=16)
    one, two = data.sample(1, seeded(1)), data.sample(1, seeded(2))
    assert one["mask"].shape == (1, 16, 16) and not torch.equal(one["mask"], two["mask"])
    assert data.info["kind"] == "masked" and one["image"].shape == (3, 16, 16)
    test = datasets.load("masked", f"{tmp_path}/pictures", size=16, split="test")
    assert torch.equal(test.sample(1, seeded(1))["mask"], test.sample(1, seeded(2))["mask"]), "runs compare"
    (tmp_path / "masks").mkdir()
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 8, 8))
    mask.save(tmp_path / "masks" / "a.png")
    data = datasets.load("masked", f"{tmp_path}/pictures", size=16, masks=f"{tmp_path}/masks", flip=False)
    found = data.sample(0, seeded())["mask"]
    assert found.sum() == 16 and found[0, 4:8].sum() == 16
    with pytest.raises(
        DataError, match="--masks freeform is none of free-form, rectangles, both, and there is no"
    ):
        datasets.load("masked", f"{tmp_path}/pictures", size=16, masks="freeform")


# --- few labels -----------------------------------------------------------------------------------------


def test_so_many_of_each_class_keep_their_labels():
    data = datasets.load("labels", "digits", size=8, labelled=5)
    labels = torch.tensor([data.sample(index, seeded())["label"] for index in range(len(data))])
    known = labels[labels >= 0]
    assert known.bincount(minlength=10).tolist() == [5] * 10 and (labels == -1).sum() == len(labels) - 50
    everything = datasets.load("labels", "digits", size=8)
    truth = torch.tensor([everything.sample(index, seeded())["label"] for index in range(len(data))])
    assert torch.equal(known, truth[labels >= 0])
    again = datasets.load("labels", "digits", size=8, labelled=5)
    other = datasets.load("labels", "digits", size=8, labelled=5, labelled_seed=1)
    assert torch.equal(again.labels, data.labels) and not torch.equal(other.labels, data.labels)
    test = datasets.load("labels", "digits", size=8, labelled=5, split="test")
    assert min(test.sample(index, seeded())["label"] for index in range(50)) >= 0
    with pytest.raises(DataError, match="--labelled 999 is more than the .* pictures of class 0"):
        datasets.load("labels", "digits", size=8, labelled=999)


def test_the_built_in_birds_have_holes_but_stand_still():
    sample = datasets.load("masked", "birds:4", size=16, masks="rectangles").sample(1, seeded())
    assert sample["image"].shape == (3, 16, 16) and 0 < sample["mask"].mean() < 1
    with pytest.raises(DataError, match="stand still; built-in films are moving-digits"):
        datasets.load("frames", "birds:4", size=16)
    with pytest.raises(DataError, match="--labelled is for pictures of your own"):
        datasets.load("labels", "birds:4", size=16, labelled=2)
