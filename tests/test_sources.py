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
        ("texts.zip", "found 0 pictures in .*texts.zip"),
    ],
)
def test_places_that_are_not_there(place, sentence, emoji):
    (emoji.parent / "broken.zip").write_bytes(emoji.read_bytes()[:300])
    zipped(emoji.parent / "texts.zip", {"a.txt": b"text"})
    with pytest.raises(DataError, match=sentence):
        open_source(emoji.parent / place)


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
        ("empty.tar", "the samples of .*empty.tar have no picture"),
    ],
)
def test_shards_that_cannot_serve(place, sentence, home):
    (home / "text.tar").write_text("no tar" * 500)
    shard(home / "empty.tar", {"0.txt": b"x"})
    with pytest.raises(DataError, match=sentence):
        load("images", home / place)


# --- parquet, as on the Hub ---


def parquet(
    path, rows: list, column: str = "image", labels: list[int] | None = None, described: dict | None = None
):
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({column: rows} | ({"label": labels} if labels else {}))
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


def test_classes_of_parquet_have_their_names(tmp_path):
    rows, labels = [encoded(10 * i) for i in range(4)], [1, 0, 1, 0]
    described = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "image": {"_type": "Image"}}
    data = load("labels", parquet(tmp_path / "d.parquet", rows, labels=labels, described=described))
    assert data.info["classes"] == ["cat", "dog"]
    assert [sample(data, i)["label"] for i in range(4)] == labels


def test_a_parquet_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="d.parquet"):
        load("images", parquet(tmp_path / "d.parquet", ["a", "b"], column="text"))


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
