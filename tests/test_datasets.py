"""What training gets from pictures on the disk: layouts, pairs, repetition, caches, errors, the report."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets.base import DataError

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real data sets are not on this machine")


def plain(value: int, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, value if mode == "L" else (value,) * len(mode))


def save(picture: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def folder(root: Path, values, size=(20, 20), suffix="png") -> Path:
    """Pictures 0, 1, ... of one grey each."""
    for number, value in enumerate(values):
        save(plain(value, size), root / f"{number}.{suffix}")
    return root


def side_by_side(a: Image.Image, b: Image.Image) -> Image.Image:
    both = Image.new("RGB", (a.width + b.width, a.height))
    both.paste(a, (0, 0))
    both.paste(b, (a.width, 0))
    return both


def ramp(size: int = 40) -> Image.Image:
    """Red is 6 x, green is 6 y: where a pixel came from can be read from its colour."""
    x = np.arange(size, dtype=np.uint8) * 6
    return Image.fromarray(np.dstack([*np.meshgrid(x, x), np.full((size, size), 99, np.uint8)]))


def load(kind, data="birds", *, size=16, resize="resize", flip=False, **options):
    return datasets.load(kind, str(data), size=size, resize=resize, flip=flip, **options)


def sample(data, index=0, seed=0):
    return data.sample(index, torch.Generator().manual_seed(seed))


def grey(picture: torch.Tensor) -> int:
    """The level 0..255 of a picture of one colour."""
    assert picture.max() - picture.min() < 0.01
    return round((float(picture.mean()) + 1) * 127.5)


def levels(data, key) -> list[int]:
    return [grey(sample(data, i)[key]) for i in range(len(data))]


# --- layouts ---


def paired_folder(root: Path, layout: str) -> dict:
    """Pairs (10, 110), (20, 120), (30, 130) as `layout` has them; what `load` needs to find them."""
    for number, value in enumerate((10, 20, 30)):
        a, b = plain(value), plain(100 + value)
        if layout == "side by side":
            save(side_by_side(a, b), root / "train" / f"{number}.png")
        elif layout == "train/A and train/B":
            save(a, root / "train" / "A" / f"{number}.png")
            save(b, root / "train" / "B" / f"{number}.bmp")
        else:
            save(a, root / "one" / "deep" / f"{number}.png")
            save(b, root / "two" / "deep" / f"{number}.webp")
    return dict(a=str(root / "one"), b=str(root / "two")) if layout == "two places" else dict(data=root)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize("layout", ["side by side", "train/A and train/B", "two places"])
def test_paired_layouts_and_directions(layout, direction, tmp_path):
    data = load("paired", direction=direction, **paired_folder(tmp_path, layout))
    a, b = (10, 20, 30), (110, 120, 130)
    expected = (a, b) if direction == "AtoB" else (b, a)
    for key, values in zip("ab", expected, strict=True):
        assert np.allclose(levels(data, key), values, atol=2)  # WebP is lossy


@pytest.mark.parametrize("layout", ["trainA", "train/A", "A/train"])
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_unpaired_layouts(layout, direction, tmp_path):
    """An epoch goes through A; B is drawn at random, and in order where nothing is augmented."""
    for part, more in (("train", 0), ("test", 5)):
        for side, values in (("A", (10, 20, 30)), ("B", (110, 120))):
            place = layout.replace("train", part).replace("A", side)
            folder(tmp_path / place, [value + more for value in values])
    train = load("unpaired", tmp_path, direction=direction)
    first, second = ("a", "b") if direction == "AtoB" else ("b", "a")
    assert len(train) == 3
    seen = {grey(sample(train, 0, seed)["b"]) for seed in range(20)}
    assert seen == ({110, 120} if direction == "AtoB" else {10, 20, 30})
    test = load("unpaired", tmp_path, direction=direction, split="test")
    assert test.info["split"] == "test"
    assert levels(test, first)[:2] == [15, 25] and levels(test, second)[:2] == [115, 125]


def test_unpaired_places_may_be_anywhere_and_of_any_number(tmp_path):
    folder(tmp_path / "x", (10, 20)), folder(tmp_path / "y", (110, 120, 130, 140, 150))
    data = load("unpaired", a=str(tmp_path / "x"), b=str(tmp_path / "y"))
    assert len(data) == 5 and levels(data, "a") == [10, 20, 10, 20, 10]
    assert data.info["names"] == {"a": "x", "b": "y"}


@pytest.mark.parametrize("part", ["test", "val", "valid", "validation"])
def test_the_test_part_lies_beside_the_training_part(part, tmp_path):
    folder(tmp_path / "train" / "noto", (10, 20)), folder(tmp_path / part / "noto", (30,))
    for place in (tmp_path / "train" / "noto", tmp_path / "train", tmp_path):
        assert levels(load("images", place, split="test"), "image") == [30]
        assert levels(load("images", place), "image") == [10, 20]


def test_without_a_test_part_the_training_pictures_serve_and_it_is_said(tmp_path):
    data = load("images", folder(tmp_path, (10, 20)), split="test", flip=True)
    assert data.info["split"] == "train" and levels(data, "image") == [10, 20]


def test_labels_are_the_folders(tmp_path):
    for part in ("train", "test"):
        for name, value in (("cat", 10), ("dog", 20), ("eel", 30)):
            if (part, name) != ("test", "cat"):
                folder(tmp_path / part / name, (value,))
    train, test = load("labels", tmp_path), load("labels", tmp_path, split="test")
    assert train.info["classes"] == test.info["classes"] == ["cat", "dog", "eel"]
    assert [sample(train, i)["label"] for i in range(3)] == [0, 1, 2]
    assert [(sample(test, i)["label"], grey(sample(test, i)["image"])) for i in range(2)] == [
        (1, 20),
        (2, 30),
    ]


# --- order, repetition, cache ---


def test_an_epoch_is_a_permutation_of_its_own(tmp_path):
    data = load("images", folder(tmp_path, range(0, 240, 10)))
    orders = [tuple(data.order(epoch, seed).tolist()) for epoch, seed in ((0, 0), (1, 0), (0, 1))]
    assert all(sorted(order) == list(range(24)) for order in orders) and len(set(orders)) == 3


@pytest.mark.parametrize("kind", ["paired", "unpaired", "images"])
def test_a_sample_is_a_function_of_its_number_and_generator(kind, tmp_path):
    """Whatever was asked before, in however many threads, with or without a cache."""
    paired_folder(tmp_path, "train/A and train/B")
    for path in tmp_path.rglob("*.*"):
        save(ramp(), path)
    place = tmp_path / "train" / "A" if kind == "images" else tmp_path
    options = dict(resize="resize-crop", flip=True, color_jitter=0.2)
    cached, fresh = (load(kind, place, cache=cache, **options) for cache in ("on", "off"))
    key = "image" if kind == "images" else "a"
    expected = [sample(fresh, i % 3, i)[key] for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for data in (cached, fresh):
            seen = list(pool.map(lambda i, data=data: sample(data, i % 3, i)[key], range(24)))
            assert all(map(torch.equal, seen, expected))


@pytest.mark.parametrize(("cache", "read_again"), [("on", False), ("auto", False), ("off", True)])
def test_a_cache_reads_each_file_once(cache, read_again, tmp_path):
    data = load("images", folder(tmp_path, (10, 20)), cache=cache)
    before = levels(data, "image")
    folder(tmp_path, (30, 40))
    assert before == [10, 20] and levels(data, "image") == ([30, 40] if read_again else [10, 20])


# --- what is wrong ---


def truncated(path: Path) -> Path:
    save(Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)), path)
    path.write_bytes(path.read_bytes()[:400])
    return path


def test_a_truncated_file_is_skipped_and_named(tmp_path, caplog):
    folder(tmp_path, (10, 20, 30))
    truncated(tmp_path / "1.png")
    data = load("images", tmp_path, cache="off")
    with caplog.at_level(logging.WARNING):
        assert levels(data, "image") == [10, 30, 30]
    assert caplog.text.count("1.png") == 1 and "unreadable" in caplog.text


def test_more_than_one_per_cent_bad_stops(tmp_path):
    folder(tmp_path, [50] * 250)
    for number in (3, 77, 200):
        truncated(tmp_path / f"{number}.png")
    data = load("images", tmp_path)
    with pytest.raises(DataError, match=r"3 of 250 pictures cannot be read, more than 1 %; mend .*77\.png"):
        for index in range(250):
            sample(data, index)
    (tmp_path / "200.png").unlink()
    data = load("images", tmp_path)  # 2 of 249 is still below
    assert len({grey(sample(data, index)["image"]) for index in range(249)}) == 1


def mismatched(root):
    folder(root / "x", (1, 2, 3)), folder(root / "y", (1, 2))


def doubled(root):
    folder(root / "x", (1,)), folder(root / "y", (1,))
    save(plain(2), root / "x" / "0.bmp")


WRONG = [
    ("paired", None, dict(a="x", b="y"), mismatched, r"1 pictures have no partner: .*x/2\.png"),
    ("paired", None, dict(a="x", b="y"), doubled, r"0\.(bmp|png) and .*0\.(bmp|png) have one name.*remove"),
    (
        "paired",
        "",
        {},
        lambda r: folder(r / "train", (1,)),
        "paired data needs .*; a picture of 20x20 in .*train",
    ),
    ("paired", "", {}, lambda r: folder(r / "train" / "A", (1,)), "paired data needs DIR/train/"),
    ("paired", None, dict(a="x"), lambda r: None, "both --a PATH and --b PATH"),
    (
        "unpaired",
        "",
        {},
        lambda r: folder(r / "trainA", (1,)),
        "unpaired data needs DIR/trainA and DIR/trainB",
    ),
    (
        "images",
        "empty",
        {},
        lambda r: (r / "empty").mkdir(),
        "images data needs .*found 0 pictures in .*empty",
    ),
    (
        "images",
        "fotos",
        {},
        lambda r: folder(r / "photos", (1,)),
        "there is no .*fotos; did you mean .*photos",
    ),
    ("images", "", {}, lambda r: truncated(r / "a.png"), r"none of the pictures .* can be read: .*a\.png"),
    (
        "images",
        "notes.txt",
        {},
        lambda r: (r / "notes.txt").write_text("x"),
        "notes.txt is neither a picture",
    ),
    ("labels", "", {}, lambda r: folder(r, (1,)), "labels data needs a folder for each class"),
    ("labels", "", dict(a="x"), lambda r: None, "--a and --b are for paired and unpaired data"),
    ("lowress", "", {}, lambda r: None, 'no kind of data called "lowress": choose one of'),
]


@pytest.mark.parametrize(("kind", "place", "options", "make", "sentence"), WRONG)
def test_one_sentence_says_what_is_wrong(kind, place, options, make, sentence, tmp_path):
    make(tmp_path)
    places = {key: str(tmp_path / value) for key, value in options.items()}
    with pytest.raises(DataError, match=sentence) as error:
        load(kind, "birds" if place is None else tmp_path / place, **places)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(resize="stretch"), 'resize "stretch" is unknown: choose one of resize-crop'),
        (dict(load_size=8), "load_size 8 is smaller than size 16"),
        (dict(cache="maybe"), 'cache "maybe" is unknown'),
        (dict(split="dev"), 'split "dev" is unknown'),
        (dict(direction="atob"), 'direction "atob" is unknown'),
    ],
)
def test_options_no_data_has(options, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        load("images", folder(tmp_path, (1, 2)), **options)


def command(*words, cwd) -> subprocess.CompletedProcess:
    line = [sys.executable, *map(str, words)]
    return subprocess.run(line, cwd=cwd, text=True, capture_output=True, env=None)


def test_training_on_a_wrong_layout_is_one_line(tmp_path):
    folder(tmp_path / "train", (1, 2))
    done = command(ROOT / "train.py", "--task", "pix2pix", "--data", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: paired data needs ")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "runs").exists()


# --- the report ---


def test_the_report_counts_and_shows(tmp_path, capsys):
    from datasets.report import main

    folder(tmp_path / "pictures" / "trainA", [10] * 120)
    folder(tmp_path / "pictures" / "trainB", (100, 200), size=(30, 10))
    truncated(tmp_path / "pictures" / "trainA" / "7.png")
    sheet = tmp_path / "sheet.png"
    assert main(str(tmp_path / "pictures"), output=sheet) == 1  # a file is unreadable
    printed = capsys.readouterr().out
    for expected in ("122", "20x20", "30x10", "7.png", "unpaired", "120 samples for training", str(sheet)):
        assert expected in printed, printed
    with Image.open(sheet) as picture:
        assert len({colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}) > 3
    with pytest.raises(DataError, match="sheet.png exists already"):
        main(str(tmp_path / "pictures"), output=sheet)
    assert main(str(tmp_path / "pictures"), output=sheet, overwrite=True) == 1


@real
def test_the_report_on_real_data_as_typed(tmp_path):
    done = command(
        "-m", "translate", "data", REAL / "facades.zip", "--output", tmp_path / "sheet.png", cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "400 samples for training, 100 for testing" in done.stdout and "512x256" in done.stdout
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 500


@real
@pytest.mark.parametrize(
    ("kind", "places", "count", "channels"),
    [
        ("paired", dict(data="facades.zip"), 400, 3),
        ("paired", dict(a="emoji.zip/train/line", b="emoji.zip/train/openmoji"), 2424, 3),
        ("unpaired", dict(data="monet.zip"), 1500, 3),
        ("unpaired", dict(a="bsds500.zip/train/photo", b="paintings.zip/starry_night.jpg"), 200, 3),
        ("labels", dict(data="emoji.zip/train"), 5 * 2424, 3),
        ("labels", dict(data="mnist"), 60_000, 1),
        ("images", dict(data="t91.zip"), 91, 3),
        ("images", dict(data="flowers.zip/train"), 4342, 3),
    ],
)
def test_real_data(kind, places, count, channels):
    places = {key: str(REAL / value) for key, value in places.items()}
    data = load(kind, size=64, resize="resize-crop", flip=True, cache="off", **places)
    assert len(data) == count
    for index in range(0, count, count // 4):
        shown = sample(data, index)
        picture = shown.get("image", shown.get("a"))
        assert picture.shape == (channels, 64, 64) and picture.abs().max() <= 1 and picture.std() > 0.01
