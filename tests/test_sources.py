"""Where pictures come from: folders, zips, single files, tar shards, parquet, MNIST's files, the Hub."""

import gc
import io
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from datasets.base import DataError
from datasets.sources import open_source
from tests.test_datasets import folder, grey, levels, load, plain, sample, save


def encoded(value: int, suffix: str = "png") -> bytes:
    file = io.BytesIO()
    plain(value).save(file, suffix)
    return file.getvalue()


def zipped(path, names: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def emoji(tmp_path):
    """emoji.zip/train/{noto,line}, as the real one."""
    names = {f"train/{s}/{i}.png": encoded(v + i) for s, v in (("noto", 10), ("line", 100)) for i in range(3)}
    rest = {"__MACOSX/train/noto/._0.png": b"", "train/noto/.hidden.png": b"", "notes.txt": b"no picture"}
    return zipped(tmp_path / "emoji.zip", names | {"test/noto/0.png": encoded(50)} | rest)


# --- folders and zips ---


def test_a_folder_is_searched_through_in_any_spelling(tmp_path):
    for number, name in enumerate(("a.JPG", "deep/er/b.jpeg", "deep/c.Png", "d.webp", "e.tiff", "f.bmp")):
        save(plain(10 * number), tmp_path / name)
    save(plain(99), tmp_path / ".trash" / "g.png")
    (tmp_path / "readme.md").write_text("no picture")
    source = open_source(tmp_path)
    names = ["a.JPG", "d.webp", "deep/c.Png", "deep/er/b.jpeg", "e.tiff", "f.bmp"]
    assert [source.name(i) for i in range(len(source))] == names


def test_links_are_followed_and_loops_end(tmp_path):
    folder(tmp_path / "real", (10, 20))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    assert len(open_source(tmp_path / "data")) == 2


@pytest.mark.parametrize(
    ("inner", "expected"),
    [("", 7), ("/train", 6), ("/train/noto", 3), ("/train/noto/1.png", 1)],
)
def test_a_zip_is_a_folder(inner, expected, emoji):
    assert len(open_source(f"{emoji}{inner}")) == expected


def test_pairs_from_folders_inside_a_zip_and_their_test_part(emoji):
    data = load("paired", a=f"{emoji}/train/noto", b=f"{emoji}/train/line")
    assert levels(data, "a") == [10, 11, 12] and levels(data, "b") == [100, 101, 102]
    assert data.info["names"] == {"a": "noto", "b": "line"}
    test = load("images", f"{emoji}/train/noto", split="test")
    assert levels(test, "image") == [50] and test.info["split"] == "test"


def test_one_picture_of_a_zip_is_a_domain(emoji):
    place = f"{emoji}/train/noto/1.png"
    data, test = load("images", place), load("images", place, split="test")
    assert len(data) == 1000 and grey(sample(data, 999)["image"]) == 11
    assert len(test) == 1 and sample(test)["file"] == place


def test_a_wrapping_folder_in_a_zip_is_stepped_into(tmp_path):
    names = {
        f"horses-main/train{s}/{i}.png": encoded(v + i) for s, v in (("A", 10), ("B", 60)) for i in (0, 1)
    }
    data = load("unpaired", zipped(tmp_path / "horses.zip", names))
    assert levels(data, "a") == [10, 11]


def test_a_zip_is_read_from_many_threads(emoji):
    source = open_source(emoji)
    alone = [source.read(i) for i in range(len(source))]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, list(range(len(source))) * 20)) == alone * 20


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("emoji.zip/train/notto", "emoji.zip holds no train/notto; did you mean train/noto"),
        ("emoji.zip/train/noto/9.png", "emoji.zip holds no train/noto/9.png"),
        ("emojis.zip", "there is no .*emojis.zip; did you mean .*emoji.zip"),
        ("broken.zip", "broken.zip is no zip file, or a damaged one"),
        ("broken.zip/train", "broken.zip is a file but no zip"),
        ("scribbled.zip", "scribbled.zip is no zip file, or a damaged one"),
        ("scribbled.zip/train", "scribbled.zip is no zip file, or a damaged one"),
        ("texts.zip", "found 0 pictures in .*texts.zip"),
    ],
)
def test_places_that_are_not_there(place, sentence, emoji):
    (emoji.parent / "broken.zip").write_bytes(emoji.read_bytes()[:300])
    scribbled = emoji.read_bytes().replace(zipfile.stringCentralDir, bytes(4), 1)
    (emoji.parent / "scribbled.zip").write_bytes(scribbled)
    zipped(emoji.parent / "texts.zip", {"a.txt": b"text"})
    with pytest.raises(DataError, match=sentence):
        open_source(emoji.parent / place)


def test_a_damaged_picture_in_a_zip_is_skipped_and_named(emoji, caplog):
    data = bytearray(emoji.read_bytes())
    data[data.index(b"train/noto/1.png") + 60] ^= 255
    emoji.write_bytes(data)
    assert levels(load("images", f"{emoji}/train/noto", cache="off"), "image") == [10, 12, 12]
    assert caplog.text.count("emoji.zip/train/noto/1.png") == 1


# --- tar shards ---


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The indices of shards are kept in the user's cache; here in a fresh one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def shard(path, members: dict[str, bytes]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_shards_by_pattern_and_by_folder(home):
    for n in range(3):
        shard(
            home / "s" / f"part-{n:04d}.tar",
            {f"{i:06d}.png": encoded(10 * n + i) for i in (2 * n, 2 * n + 1)},
        )
    expected = [0, 1, 12, 13, 24, 25]
    for place in ("part-{0000..0002}.tar", "*.tar", ""):
        data = load("images", home / "s" / place)
        assert levels(data, "image") == expected
        assert sorted(data.order(0, 0).tolist()) == list(range(6))
        assert data.order(0, 0).tolist() != data.order(1, 0).tolist()
    assert len(load("images", home / "s" / "part-{0000..0001}.tar")) == 4
    assert sample(load("images", home / "s"), 3)["file"].endswith("part-0001.tar/000003.png")
    assert list((home / "cache").rglob("*.npz"))  # the next run need not scan


def test_many_indices_are_read_at_once(home):
    """numpy parses a header for each array; CPython 3.11 mixes up the depths of two threads' syntax trees
    where garbage is collected between."""
    for n in range(16):
        shard(home / "s" / f"{n:04d}.tar", {f"{n}.png": encoded(n)})
    load("images", home / "s")

    def switch(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    thresholds = gc.get_threshold()
    gc.callbacks.append(switch)
    gc.set_threshold(5)
    try:
        for _ in range(10):
            assert len(load("images", home / "s")) == 16
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(switch)


def test_a_damaged_index_is_made_anew(home):
    shard(home / "s.tar", {"0.png": encoded(10)})
    assert levels(load("images", home / "s.tar"), "image") == [10]
    (index,) = (home / "cache").rglob("*.npz")
    index.write_bytes(index.read_bytes()[:200])
    assert levels(load("images", home / "s.tar"), "image") == [10]


@pytest.mark.parametrize("place", ["", "train", "train/s-{0..1}.tar"])
def test_shards_have_a_test_part_too(place, home):
    for name, value in (("train/s-0", 10), ("train/s-1", 20), ("test/s-0", 30), ("test/s-1", 40)):
        shard(home / "s" / f"{name}.tar", {"0.png": encoded(value)})
    assert levels(load("images", home / "s" / place), "image") == [10, 20]
    test = load("images", home / "s" / place, split="test")
    assert levels(test, "image") == [30, 40] and test.info["split"] == "test"


def test_classes_that_are_no_numbers_do_not_spoil_the_pictures(home):
    shard(home / "s.tar", {"0.png": encoded(10), "0.cls": b"cat"})
    assert levels(load("images", home / "s.tar"), "image") == [10]
    with pytest.raises(DataError, match="labels data needs"):
        load("labels", home / "s.tar")


def test_pairs_and_classes_in_shards(home):
    members = {}
    for i in range(3):
        members |= {
            f"{i}.input.png": encoded(10 + i),
            f"{i}.target.png": encoded(100 + i),
            f"{i}.cls": b"%d" % (i % 2),
        }
    shard(home / "pairs.tar", members)
    data = load("paired", a=f"{home}/pairs.tar:input", b=f"{home}/pairs.tar:target")
    assert levels(data, "a") == [10, 11, 12] and levels(data, "b") == [100, 101, 102]
    labels = load("labels", f"{home}/pairs.tar:target.png")
    assert [sample(labels, i)["label"] for i in range(3)] == [0, 1, 0] and labels.info["classes"] == [
        "0",
        "1",
    ]
    with pytest.raises(DataError, match="several pictures .input.png, target.png.: name one, as in"):
        load("images", home / "pairs.tar")


def test_a_shard_that_changed_is_read_anew(home):
    shard(home / "s.tar", {"0.png": encoded(10)})
    assert levels(load("images", home / "s.tar"), "image") == [10]
    shard(home / "s.tar", {"0.png": encoded(20), "1.png": encoded(30)})
    assert levels(load("images", home / "s.tar"), "image") == [20, 30]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("gone-{0..1}.tar", "there is no .*gone-0.tar"),
        ("gone-*.tar", "no tar file matches .*gone"),
        ("text.tar", "text.tar is no uncompressed tar file"),
        ("within-header.tar", "within-header.tar is no uncompressed tar file, or a damaged one"),
        ("within-picture.tar", "within-picture.tar is no uncompressed tar file, or a damaged one"),
        ("scribbled.tar", "scribbled.tar is no uncompressed tar file, or a damaged one"),
        ("empty.tar", "the samples of .*empty.tar have no picture"),
    ],
)
def test_shards_that_cannot_serve(place, sentence, home):
    (home / "text.tar").write_text("no tar" * 500)
    whole = shard(home / "whole.tar", {f"{i}.png": encoded(i) for i in range(3)}).read_bytes()
    second = whole.index(b"1.png")
    (home / "within-header.tar").write_bytes(whole[: second + 100])
    (home / "within-picture.tar").write_bytes(whole[: second + 550])
    (home / "scribbled.tar").write_bytes(whole[:second] + b"?" * 512 + whole[second + 512 :])
    shard(home / "empty.tar", {"0.txt": b"x"})
    with pytest.raises(DataError, match=sentence):
        load("images", home / place)
