"""Pictures in parquet files, as on the Hub, and in MNIST's files."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from datasets import hub
from datasets.base import DataError
from datasets.sources import open_source
from tests.test_datasets import folder, levels, load, sample
from tests.test_sources import encoded, zipped

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


def test_a_column_has_its_test_part_beside_it(tmp_path):
    for part, value in (("train", 10), ("test", 30)):
        parquet(tmp_path / part / "p.parquet", [encoded(value)], other=[encoded(value + 5)])
    for place in ("train", "train/p.parquet"):
        test = load("images", f"{tmp_path / place}:other", split="test")
        assert levels(test, "image") == [35] and test.info["split"] == "test"


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("emoji.zip:image", "emoji.zip is no parquet file, so there is no column image in it"),
        ("folder:image", "folder holds no parquet or tar files, so there is no column image in it"),
    ],
)
def test_only_tables_and_shards_have_columns(place, sentence, tmp_path):
    zipped(tmp_path / "emoji.zip", {"0.png": encoded(1)}), folder(tmp_path / "folder", (1,))
    with pytest.raises(DataError, match=sentence):
        open_source(tmp_path / place)


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


def spoil(name):
    def spoil(root):
        (root / name).write_bytes((root / name).read_bytes()[:-1])

    return spoil


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: (r / "train-labels-idx1-ubyte").unlink(), "train-images.* add the other file"),
        (spoil("train-images-idx3-ubyte"), "train-images-idx3-ubyte cannot be read .*: download it again"),
        (
            spoil("t10k-labels-idx1-ubyte.gz"),
            "t10k-labels-idx1-ubyte.gz cannot be read .*: download it again",
        ),
        (
            lambda r: idx(r / "train-labels-idx1-ubyte", np.zeros(2)),
            "train-images.* has 3 pictures, but .*train-labels.* 2 labels: one is damaged, fetch them again",
        ),
        (lambda r: idx(r / "train-labels-idx1-ubyte", np.zeros((3, 1))), "idx file of bytes with 1 axes"),
    ],
)
def test_damaged_mnist_files_are_one_sentence(change, sentence, tmp_path):
    for part, suffix in (("train", ""), ("t10k", ".gz")):
        idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", np.zeros((3, 28, 28)))
        idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", np.arange(3))
    assert len(load("labels", tmp_path, size=28)) == 3
    change(tmp_path)
    with pytest.raises(DataError, match=sentence) as error:
        load("labels", tmp_path, size=28)
    assert "\n" not in str(error.value)
