"""Captioned pictures in the layouts people have; wrong captions; splits by class; mistakes."""

import csv
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import DataError
from datasets.captions import around

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(path, size=(20, 20), colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def drawn(data, index, count=30):
    """All captions, and all wrong ones, that some draws give."""
    samples = [data.sample(index, seeded(seed)) for seed in range(count)]
    return {s["caption"] for s in samples}, {s["wrong"] for s in samples}


@pytest.fixture
def cub(tmp_path):
    """As CUB-200-2011 lies on disks: images, text_c10 and text, boxes, lists of classes."""
    rows, boxes = [], []
    for number, kind in enumerate(("001.Gull", "001.Gull", "002.Wren", "003.Crow", "003.Crow")):
        name = f"{kind}/{kind[4:]}_{number}"
        picture(tmp_path / "images" / f"{name}.jpg", (60, 40), "blue")
        with Image.open(tmp_path / "images" / f"{name}.jpg") as image:
            image.paste("red", (30, 10, 40, 26))
            image.save(tmp_path / "images" / f"{name}.jpg", quality=100, subsampling=0)
        for folder, lines in (("text_c10", 10), ("text", 1)):
            file = tmp_path / folder / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{kind[4:].lower()} {number} line {i}\n" for i in range(lines)))
        rows.append(f"{number + 1} {name}.jpg")
        boxes.append(f"{number + 1} 30.0 10.0 10.0 16.0")
    (tmp_path / "images.txt").write_text("\n".join(rows))
    (tmp_path / "bounding_boxes.txt").write_text("\n".join(boxes))
    return tmp_path


def test_cub_as_people_have_it(cub):
    data = datasets.load("captions", str(cub), size=16, resize="resize", flip=False)
    assert len(data) == 5 and data.info["kind"] == "captions" and data.info["channels"] == {"image": 3}
    mine, others = drawn(data, 0, 60)
    assert mine == {f"gull 0 line {i}" for i in range(10)}, "ten captions, not the single one"
    assert others and all(not other.startswith("gull") for other in others), "of another class"
    red = data.sample(0, seeded())["image"][:, 7:9, 7:9].mean((1, 2))
    assert red[0] > 0.8 and red[2] < -0.5, "the box is in the middle of the crop"


def test_cub_with_the_text_of_attngan(cub, tmp_path_factory):
    """Its archive: `text/` with ten lines a picture, beside the folder of CUB; pickles of names in train/."""
    root = tmp_path_factory.mktemp("attngan")
    shutil.move(cub / "text_c10", root / "text")
    (cub / "text").rename(cub / "attributes")
    shutil.move(cub, root / "CUB_200_2011")
    for part in ("train", "test"):
        (root / part).mkdir()
        (root / part / "filenames.pickle").write_bytes(b"never opened")
    data = datasets.load("captions", str(root), size=16, resize="resize", flip=False)
    assert len(data) == 5 and drawn(data, 0, 60)[0] == {f"gull 0 line {i}" for i in range(10)}
    red = data.sample(0, seeded())["image"][:, 7:9, 7:9].mean((1, 2))
    assert red[0] > 0.8 and red[2] < -0.5, "the box is in the middle of the crop"


def test_the_crop_is_one_and_a_half_times_the_box():
    assert around((30, 10, 10, 16), 40, 60) == (slice(6, 30), slice(23, 47))
    assert around((0, 0, 30, 20), 40, 60) == (slice(0, 32), slice(0, 38)), "cut at the edge"


def test_whole_classes_are_kept_back(cub):
    (cub / "trainvalclasses.txt").write_text("001.Gull\n003.Crow\n")
    (cub / "testclasses.txt").write_text("002.Wren\n")
    train = datasets.load("captions", str(cub), size=16)
    test = datasets.load("captions", str(cub), size=16, split="test")
    assert len(train) == 4 and len(test) == 1
    assert test.info["split"] == "test" and test.sample(0, seeded())["caption"].startswith("wren")


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "txt", "zip"])
def test_other_layouts(tmp_path, kind):
    told = {"a": ["a red square", "red"], "b": ["a blue square", "blue"]}
    for name, colour in (("a", "red"), ("b", "blue")):
        picture(tmp_path / "data" / "pictures" / f"{name}.png", colour=colour)
    root = tmp_path / "data"
    rows = [(f"pictures/{n}.png", c) for n, captions in told.items() for c in captions]
    if kind == "jsonl":
        lines = [json.dumps({"file_name": f, "text": c}) for f, c in rows]
        (root / "metadata.jsonl").write_text("\n".join(lines))
    elif kind == "csv":
        with open(root / "captions.csv", "w", newline="", encoding="utf-8-sig") as file:
            csv.writer(file).writerows([("file", "caption"), *rows])
    elif kind == "txt":
        for name, captions in told.items():
            (root / "pictures" / f"{name}.txt").write_text("\n\n".join(captions) + "\n")
    else:
        (root / "captions.json").write_text(json.dumps(told))
    path = str(root / "pictures")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for file in root.rglob("*.*"):
                archive.write(file, file.relative_to(root))
        path = f"{tmp_path}/all.zip/pictures"
    data = datasets.load("captions", path, size=16)
    mine, others = drawn(data, 1)
    assert mine == set(told["b"]) and others == set(told["a"])


def test_a_table_of_captions(tmp_path):
    import pyarrow
    from pyarrow.parquet import write_table

    for name, colour in (("a", "red"), ("b", "blue")):
        picture(tmp_path / f"{name}.png", colour=colour)
    cells = [{"bytes": (tmp_path / f"{n}.png").read_bytes(), "path": None} for n in "ab"]
    table = pyarrow.table({"image": cells, "text": ["a red one", "a blue one"]})
    write_table(table, tmp_path / "birds.parquet")
    data = datasets.load("captions", str(tmp_path / "birds.parquet"), size=16)
    assert drawn(data, 0) == ({"a red one"}, {"a blue one"})


def test_mistakes_are_sentences(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    with pytest.raises(DataError, match="captions data needs .*found no captions"):
        datasets.load("captions", str(tmp_path), size=16)
    (tmp_path / "a.txt").write_text("one\n")
    with pytest.raises(DataError, match="1 of 2 pictures have no caption, such as .*b.png"):
        datasets.load("captions", str(tmp_path), size=16)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "captions.json").write_text("{ no json")
    with pytest.raises(DataError, match="captions.json is no JSON file or a damaged one"):
        datasets.load("captions", str(tmp_path), size=16)


@pytest.mark.skipif(not DATA.exists(), reason="the real data is not here")
def test_real_captions():
    flowers = datasets.load("captions", f"{DATA}/flowers.zip", size=32)
    valid = datasets.load("captions", f"{DATA}/flowers.zip", size=32, split="test")
    assert (len(flowers), len(valid), valid.info["split"]) == (4342, 149, "test")
    assert all(len(captions) == 10 for captions in flowers.captions)
    emoji = datasets.load("captions", f"{DATA}/emoji.zip/train/openmoji", size=32)
    by_file = {emoji.domain.source.name(n): c for n, c in enumerate(emoji.captions)}
    assert by_file["1F600.png"] == ["grinning face", "face, grin"]
    assert len(datasets.load("captions", f"{DATA}/emoji.zip/train/openmoji", size=32, split="test")) == 241


def test_wrong_captions_of_birds_are_of_other_birds():
    data = datasets.load("captions", "birds:50", size=16)
    wrong = [data.sample(i, seeded(i)) for i in range(20)]
    assert all(s["wrong"] != s["caption"] for s in wrong) and len({s["wrong"] for s in wrong}) > 10
    assert np.mean([w["wrong"] == data.sample(i, seeded(i))["wrong"] for i, w in enumerate(wrong)]) == 1


def shards(folder, texts):
    """Two tars of three samples each; `texts` gives what lies beside picture i: (suffix, bytes) or None."""
    folder.mkdir(exist_ok=True)
    for n in range(2):
        with tarfile.open(folder / f"part-{n}.tar", "w") as archive:
            for i in range(3 * n, 3 * n + 3):
                file = io.BytesIO()
                Image.new("RGB", (20, 20), (40 * i, 0, 0)).save(file, "PNG")
                members = [("png", file.getvalue())] + ([texts(i)] if texts(i) else [])
                for suffix, data in members if i % 2 else members[::-1]:  # text before or after its picture
                    info = tarfile.TarInfo(f"{i:04d}.{suffix}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return str(folder / "part-{0..1}.tar")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (lambda i: ("txt", f"bird {i}\n  a bird {i}\n\n".encode()), lambda i: {f"bird {i}", f"a bird {i}"}),
        (lambda i: ("json", json.dumps({"caption": f"bird {i}"}).encode()), lambda i: {f"bird {i}"}),
        (lambda i: ("json", json.dumps({"id": 1, "text": ["x", "y"]}).encode()), lambda i: {"x", "y"}),
    ],
)
def test_shards_with_sentences(tmp_path, monkeypatch, texts, expected):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = shards(tmp_path / "s", texts)
    for _ in range(2):  # by a pass over the headers, then from the kept index
        data = datasets.load("captions", path, size=16, resize="resize", flip=False)
        assert len(data) == 6
        for i in range(6):
            assert drawn(data, i)[0] == expected(i)
            assert data.sample(i, seeded())["image"][0].mean() == pytest.approx(40 * i / 127.5 - 1, abs=0.01)


def test_shards_without_or_with_damaged_sentences(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"NAME.txt or NAME.json; found no captions"):
        datasets.load("captions", shards(tmp_path / "none", lambda i: None), size=16)
    with pytest.raises(DataError, match="2 of 6 pictures have no caption, such as .*part-0.tar/0001.png"):
        some = shards(tmp_path / "some", lambda i: ("txt", b"a bird") if i not in (1, 4) else None)
        datasets.load("captions", some, size=16)
    with pytest.raises(DataError, match=r"part-0.tar: the JSON of .*0000.png"):
        datasets.load("captions", shards(tmp_path / "bad", lambda i: ("json", b"{")), size=16)
