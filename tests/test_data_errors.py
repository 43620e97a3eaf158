"""Damaged and wrong data: what is said about it; and the report on a place."""

import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.base import DataError
from tests.test_datasets import (
    REAL,
    folder,
    grey,
    levels,
    load,
    paired_folder,
    plain,
    real,
    sample,
    save,
)
from translate import __main__
from translate.cli import exit_code


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


@pytest.mark.parametrize("layout", ["side by side", "train/A and train/B"])
def test_with_a_truncated_file_its_pair_is_skipped(layout, tmp_path, caplog):
    data = load("paired", cache="off", **paired_folder(tmp_path, layout))
    bad = next(file for file in (tmp_path / "train").rglob("1.*") if file.parent.name != "A")
    bad.write_bytes(bad.read_bytes()[:200])
    assert np.allclose(levels(data, "a"), [10, 30, 30], atol=2)
    assert np.allclose(levels(data, "b"), [110, 130, 130], atol=2)
    assert caplog.text.count(str(bad)) == 1


def test_a_label_stays_with_its_picture_when_one_is_skipped(tmp_path):
    for name, value in (("cat", 10), ("dog", 20), ("eel", 30)):
        folder(tmp_path / name, (value,))
    truncated(tmp_path / "cat" / "0.png")
    data = load("labels", tmp_path)
    assert [(sample(data, i)["label"], grey(sample(data, i)["image"])) for i in range(3)] == [
        (1, 20),
        (1, 20),
        (2, 30),
    ]


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
        r"paired data needs .*; .*train/0\.png is no pair: it is 20x20",
    ),
    ("paired", "", {}, lambda r: folder(r / "train" / "A", (1,)), "paired data needs DIR/train/"),
    ("paired", None, dict(a="x"), lambda r: None, "both --a PATH and --b PATH"),
    (
        "paired",
        "empty",
        {},
        lambda r: (r / "empty").mkdir(),
        "paired data needs .*found 0 pictures in .*empty",
    ),
    ("unpaired", "e", {}, lambda r: (r / "e").mkdir(), "unpaired data needs .*found 0 pictures in .*/e"),
    (
        "unpaired",
        None,
        dict(a="e", b="e"),
        lambda r: (r / "e").mkdir(),
        "unpaired data needs .*0 pictures in .*/e",
    ),
    ("images", "zzz", {}, lambda r: None, "there is no .*zzz: name a folder, a zip, a picture"),
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
    (
        "images",
        "",
        {},
        lambda r: truncated(r / "a.png"),
        r"none of the pictures .* can be read, such as .*a\.png .*: mend",
    ),
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


@pytest.mark.parametrize(
    ("make", "flags", "sentence"),
    [
        (lambda r: folder(r / "train", (1, 2)), "--task pix2pix --data .", "paired data needs .*train"),
        (mismatched, "--task pix2pix --a x --b y", "paired data needs the same file names in .*x and .*y"),
        (lambda r: (r / "e").mkdir(), "--task cyclegan --data e", "unpaired data needs .*0 pictures in .*e"),
        (lambda r: None, "--task cyclegan --data gone", "there is no .*gone"),
        (lambda r: folder(r / "train", (1, 2)), "--task cyclegan --data .", "unpaired data needs .*trainA"),
    ],
)
def test_training_on_wrong_data_is_one_line(make, flags, sentence, trainer, tmp_path):
    make(tmp_path)
    places = ("e", "x", "y", "gone", ".")
    words = [tmp_path / word if word in places else word for word in flags.split()]
    code, printed = trainer.run(*words, "--output", tmp_path / "run")
    assert code == 2 and re.fullmatch(f"error: .*{sentence}.*\n", printed), printed
    assert not (tmp_path / "run").exists()


def test_training_stops_at_too_many_damaged_pictures(trainer, tiny_cyclegan, tmp_path):
    folder(tmp_path / "trainA", (1, 2, 3)), folder(tmp_path / "trainB", (1, 2, 3))
    for number in (0, 1):
        truncated(tmp_path / "trainA" / f"{number}.png")
    code, printed = trainer.run(
        *tiny_cyclegan, "--data", tmp_path, "--steps", 3, "--output", tmp_path / "run"
    )
    assert code == 2 and "Traceback" not in printed
    last = printed.splitlines()[-1]
    assert last.startswith("error: 2 of 3 pictures cannot be read, more than 1 %") and "trainA/1.png" in last


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


@pytest.fixture
def typed(monkeypatch, capsys):
    """typed(WORD, ...): what `python -m translate data WORD ...` returns and prints."""

    def typed(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["translate", "data", *map(str, words)])
        code = exit_code(__main__.main)
        return code, *capsys.readouterr()

    return typed


def test_the_contact_sheet_shows_both_sides_next_to_each_other(typed, tmp_path):
    folder(tmp_path / "trainA", (10, 20, 30)), folder(tmp_path / "trainB", (210,) * 3)
    truncated(tmp_path / "trainA" / "broken.png")
    code, printed, _ = typed(tmp_path, "--output", tmp_path / "sheet.png")
    assert code == 0 and "7 pictures" in printed and "trainA (4), trainB (3)" in printed
    assert "unreadable  1 (all decoded)" in printed and f"{tmp_path}/trainA/broken.png: image file" in printed
    assert "unpaired    4 samples for training, no test part; a RGB, b RGB" in printed
    assert "no paired   paired data needs the same file names in" in printed
    with Image.open(tmp_path / "sheet.png") as sheet:
        cells = [sheet.getpixel((4 + 132 * place + 64, 68)) for place in range(8)]
        assert [c[0] for c in cells] == [10, 210, 20, 210, 30, 210, 10, 210]  # the broken one's neighbour
        assert sheet.getpixel((134, 68)) == (255, 255, 255)


def test_the_report_on_two_places(typed, tmp_path):
    mismatched(tmp_path)
    code, printed, _ = typed(tmp_path, "--a", tmp_path / "x", "--b", tmp_path / "y")
    assert code == 0 and "unpaired    3 samples for training" in printed
    assert f"no paired   paired data needs the same file names in {tmp_path}/x and {tmp_path}/y" in printed
    assert f"{tmp_path}/x/2.png" in printed


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("gone", "there is no .*gone"),
        ("empty", r"found 0 pictures in .*empty: name a place that holds \.jpg, \.png"),
        ("x --a x", "needs both --a PATH and --b PATH; only one was given"),
        ("x --a x --b gone", "there is no .*gone"),
        ("broken.zip", "broken.zip is no zip file, or a damaged one: download or pack it again"),
        ("notes.txt", "notes.txt is neither a picture nor a zip"),
    ],
)
def test_the_report_says_in_one_line_what_is_wrong(flags, sentence, typed, tmp_path):
    mismatched(tmp_path), (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_text("no zip"), (tmp_path / "notes.txt").write_text("text")
    code, printed, said = typed(*(word if word[0] == "-" else tmp_path / word for word in flags.split()))
    assert code == 2 and not printed and re.fullmatch(f"error: .*{sentence}.*\n", said), said


@real
def test_the_report_on_real_pairs(typed, tmp_path):
    code, printed, _ = typed(REAL / "facades.zip", "--output", tmp_path / "sheet.png")
    assert code == 0 and "500 pictures" in printed and "all 512x256" in printed
    assert "unreadable  0 (all decoded)" in printed
    assert "400 samples for training, 100 for testing; a RGB, b RGB, 8 bits" in printed
    with Image.open(tmp_path / "sheet.png") as sheet:
        left, right = (np.asarray(sheet.crop((x, 4, x + 128, 132)), int) for x in (4, 136))
    assert right.std(axis=(0, 1)).max() > 20 and np.abs(left - right).mean() > 20


@real
@pytest.mark.parametrize(
    ("kind", "places", "counts", "channels"),
    [
        ("paired", dict(data="facades.zip"), (400, 100), (3, 3)),
        ("paired", dict(a="emoji.zip/train/line", b="emoji.zip/train/openmoji"), (2424, 241), (3, 3)),
        ("paired", dict(a="bsds500.zip/train/photo", b="bsds500.zip/train/boundary"), (200, 200), (3, 1)),
        ("paired", dict(a="set5.zip/lr_x4", b="set5.zip/hr"), (5, 5), (3, 3)),
        ("unpaired", dict(data="monet.zip"), (1500, 1500), (3, 3)),
        (
            "unpaired",
            dict(a="bsds500.zip/train/photo", b="paintings.zip/starry_night.jpg"),
            (200, 200),
            (3, 3),
        ),
        ("labels", dict(data="emoji.zip/train"), (5 * 2424, 5 * 241), (3,)),
        ("labels", dict(data="mnist"), (60_000, 10_000), (1,)),
        ("images", dict(data="emoji.zip/train/noto"), (2424, 241), (3,)),
        ("images", dict(data="t91.zip"), (91, 91), (3,)),
        ("images", dict(data="paintings.zip"), (7, 7), (3,)),
        ("images", dict(data="flowers.zip/train"), (4342, 149), (3,)),
    ],
)
def test_real_data(kind, places, counts, channels):
    places = {key: str(REAL / value) for key, value in places.items()}
    for split, count in zip(("train", "test"), counts, strict=True):
        data = load(kind, size=64, resize="resize-crop", flip=True, cache="off", split=split, **places)
        assert len(data) == count and tuple(data.info["channels"].values()) == channels
        for index in range(0, count, -(-count // 4)):
            shown = sample(data, index)
            for key, expected in data.info["channels"].items():
                picture = shown[key]
                assert picture.shape == (expected, 64, 64) and picture.abs().max() <= 1
                assert picture.std() > 0.01
