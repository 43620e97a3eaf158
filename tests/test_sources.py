"""Where pictures come from: folders, zips, single files, tar shards, parquet, MNIST's files, the Hub."""

import gzip
import io
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from datasets import hub
from datasets.base import DataError
from datasets.sources import open_source
from tests.test_datasets import folder, levels, load, plain, sample, save


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
    scribbled = emoji.read_bytes().replace(zipfile.stringCentralDir, b"XXXX", 1)
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


# --- parquet, as on the Hub ---


def parquet(path, rows: list, column="image", labels=None, described=None, other=None, rows_kept=None):
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {column: rows, "label": labels, "other": other}
    table = pa.table({name: values for name, values in columns.items() if values})[:rows_kept]
    if described:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": described}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


@pytest.mark.parametrize("wrapped", [False, True])
def test_parquet_files(wrapped, tmp_path):
    """A column of bytes, or the Hub's {bytes, path}; parts by file name."""
    rows = [encoded(10 * i) for i in range(5)]
    rows = [{"bytes": row, "path": None} for row in rows] if wrapped else rows
    parquet(tmp_path / "train-00000-of-00002.parquet", rows[:3])
    parquet(tmp_path / "train-00001-of-00002.parquet", rows[3:])
    parquet(tmp_path / "test-00000-of-00001.parquet", rows[1:2])
    data = load("images", tmp_path)
    assert levels(data, "image") == [0, 10, 20, 30, 40]
    assert sorted(data.order(0, 0).tolist()) == list(range(5))
    assert levels(load("images", tmp_path, split="test"), "image") == [10]
    assert levels(load("images", tmp_path / "test-00000-of-00001.parquet"), "image") == [10]


@pytest.mark.parametrize("place", ["", "default", "default/train"])
def test_the_parts_of_parquet_may_be_folders(place, tmp_path):
    """As in the Hub's own parquet copies."""
    parquet(tmp_path / "default" / "train" / "0000.parquet", [encoded(10), encoded(20)])
    parquet(tmp_path / "default" / "test" / "0000.parquet", [encoded(30)])
    assert levels(load("images", tmp_path / place), "image") == [10, 20]
    test = load("images", tmp_path / place, split="test")
    assert levels(test, "image") == [30] and test.info["split"] == "test"


@pytest.mark.parametrize("place", ["folder", "folder/pairs.parquet"])
def test_pairs_in_two_columns_of_parquet(place, tmp_path):
    parquet(
        tmp_path / "folder" / "pairs.parquet", [encoded(10), encoded(20)], other=[encoded(30), encoded(40)]
    )
    with pytest.raises(DataError, match=r"several columns of pictures \(image, other\): name one, .*:image"):
        load("images", tmp_path / place)
    data = load("paired", a=f"{tmp_path / place}:image", b=f"{tmp_path / place}:other")
    assert levels(data, "a") == [10, 20] and levels(data, "b") == [30, 40]
    assert data.info["names"] == {"a": "image", "b": "other"}
    with pytest.raises(DataError, match="has no column third of pictures; there is image, other"):
        load("images", f"{tmp_path / place}:third")


def test_a_damaged_row_of_parquet_is_skipped_and_named(tmp_path, caplog):
    rows = [{"bytes": encoded(10), "path": None}, {"bytes": None, "path": "elsewhere.png"}]
    parquet(tmp_path / "s.parquet", [*rows, rows[0]])
    assert levels(load("images", tmp_path / "s.parquet", cache="off"), "image") == [10] * 3
    assert f"{tmp_path / 's.parquet'}, row 1 (the row holds no bytes)" in caplog.text


def test_classes_of_parquet_have_their_names(tmp_path):
    rows, labels = [encoded(10 * i) for i in range(4)], [1, 0, 1, 0]
    described = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "image": {"_type": "Image"}}
    data = load("labels", parquet(tmp_path / "d.parquet", rows, labels=labels, described=described))
    assert data.info["classes"] == ["cat", "dog"]
    assert [sample(data, i)["label"] for i in range(4)] == labels


def test_a_parquet_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"d.parquet has no column of bytes in \['text'\]"):
        load("images", parquet(tmp_path / "d.parquet", ["a", "b"], column="text"))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="text.parquet is no parquet file, or a damaged one"):
        load("images", tmp_path / "text.parquet")


@pytest.mark.parametrize("kind", ["images", "labels", "paired", "unpaired"])
def test_a_parquet_without_rows_is_refused(kind, tmp_path):
    empty = parquet(tmp_path / "d.parquet", [encoded(1)], labels=[1], rows_kept=0)
    with pytest.raises(
        DataError, match=f"{kind.rstrip('s')}.* data needs .*; found 0 pictures in .*d.parquet"
    ):
        load(kind, empty)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nielsr/facades", True), ("nielsr/facades:image", True), ("user/name/config:image", True),
        ("facades", False), ("/etc/facades", False), ("./a/b", False), ("C:/a", False),
    ],
)  # fmt: skip
def test_what_looks_like_a_hub_id(text, expected):
    assert bool(hub.is_id(text)) == expected


def test_a_hub_id_without_network_is_one_sentence(monkeypatch, tmp_path):
    """Nothing is downloaded in tests: the Hub's client is told to be offline."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match="there is no nobody/nothing here, and the Hub gives no data set"
    ) as error:
        load("images", "nobody/nothing")
    assert "\n" not in str(error.value)


# --- MNIST ---


def idx(path, values: np.ndarray):
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(head + values.astype(np.uint8).tobytes())


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_files(suffix, tmp_path):
    digits = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8) * 10
    for part, count in (("train", 5), ("t10k", 2)):
        idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", digits[:count])
        idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", np.array([3, 1, 4, 1, 5])[:count])
    train = load("labels", tmp_path, size=28, flip=True)
    assert train.info["channels"] == {"image": 1} and levels(train, "image") == [0, 10, 20, 30, 40]
    classes = train.info["classes"]
    assert [classes[sample(train, i)["label"]] for i in range(5)] == ["3", "1", "4", "1", "5"]
    test = load("labels", tmp_path, size=28, split="test")
    assert len(test) == 2 and test.info["split"] == "test" and len(load("images", tmp_path)) == 5


def test_digits_are_never_mirrored(tmp_path):
    one_sided = np.zeros((1, 28, 28), np.uint8)
    one_sided[:, :, :10] = 255
    idx(tmp_path / "train-images-idx3-ubyte", one_sided)
    idx(tmp_path / "train-labels-idx1-ubyte", np.array([7]))
    data = load("images", tmp_path, size=28, flip=True)
    assert {float(sample(data, 0, seed)["image"][0, 0, 0]) for seed in range(16)} == {1.0}
    (tmp_path / "pictures").mkdir()
    Image.fromarray(one_sided[0]).save(tmp_path / "pictures" / "0.png")
    data = load("images", tmp_path / "pictures", size=28, flip=True)
    assert {float(sample(data, 0, seed)["image"][0, 0, 0]) for seed in range(16)} == {1.0, -1.0}


def test_mnist_with_a_file_missing_is_one_sentence(tmp_path):
    idx(tmp_path / "train-images-idx3-ubyte", np.zeros((1, 28, 28)))
    with pytest.raises(DataError, match="add the other file"):
        load("labels", tmp_path, size=28)
