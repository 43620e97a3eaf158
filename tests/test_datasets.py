"""What training gets from pictures on the disk: layouts, pairs, repetition, caches, errors, the report."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets.store import keeps

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
        a, b = plain(value, (32, 32)), plain(100 + value, (32, 32))
        if layout == "side by side":
            save(side_by_side(a, b), root / "train" / f"{number}.jpg")
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
        assert np.allclose(levels(data, key), values, atol=2)  # JPEG and WebP are lossy


def test_partners_are_found_by_name_whatever_their_order(tmp_path):
    """As names sort, x comes after x.k among PNGs, but before it among BMPs."""
    for suffix, more in (("png", 0), ("bmp", 100)):
        for name, value in (("x", 10), ("x.k", 20), ("y/x", 30)):
            save(plain(value + more), tmp_path / suffix / f"{name}.{suffix}")
    data = load("paired", a=str(tmp_path / "png"), b=str(tmp_path / "bmp"))
    assert sorted(zip(levels(data, "a"), levels(data, "b"), strict=True)) == [(10, 110), (20, 120), (30, 130)]


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


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_two_places_have_a_test_part_where_both_have(kind, tmp_path):
    folder(tmp_path / "trainA", (10, 20)), folder(tmp_path / "trainB", (110, 120))
    folder(tmp_path / "testA", (15,))
    places = {side.lower(): str(tmp_path / f"train{side}") for side in "AB"}
    alone = load(kind, **places, split="test")
    assert alone.info["split"] == "train" and levels(alone, "a") == [10, 20] and len(alone) == 2
    folder(tmp_path / "testB", (115,))
    both = load(kind, **places, split="test")
    assert both.info["split"] == "test" and (levels(both, "a"), levels(both, "b")) == ([15], [115])


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


@pytest.mark.parametrize("kind", ["paired", "unpaired", "labels"])
def test_an_epoch_shows_every_sample_of_any_kind(kind, tmp_path):
    for side in "AB":
        folder(tmp_path / "train" / side, range(0, 120, 10))
    data = load(kind, tmp_path)
    orders = [tuple(data.order(epoch, 0).tolist()) for epoch in range(3)]
    count = 24 if kind == "labels" else 12
    assert all(sorted(order) == list(range(count)) for order in orders) and len(set(orders)) == 3


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
    state = torch.get_rng_state()
    expected = [sample(fresh, i % 3, i)[key] for i in range(24)]
    assert torch.equal(torch.get_rng_state(), state) and not torch.equal(expected[0], expected[3])
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


def test_the_cache_holds_resized_bytes_and_only_what_fits(tmp_path):
    data = load("images", folder(tmp_path, (10, 20), size=(64, 64)))
    levels(data, "image")
    kept = [data.domain.store.kept[number][0] for number in range(2)]
    assert [picture.shape for picture in kept] == [(3, 16, 16)] * 2
    assert all(picture.dtype == torch.uint8 for picture in kept)
    assert data.domain.cost() == 2 * 3 * 16 * 16
    assert keeps("auto", 1e6) and not keeps("auto", 1e15) and keeps("on", 1e15) and not keeps("off", 1)
