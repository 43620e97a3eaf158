"""Label maps and masks: few values, none mixed; and pairs whose names differ a little."""

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import DataError
from datasets.classes import Classes, apart, exchanged
from datasets.report import report
from datasets.sources import open_source


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def photo(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path, values, size=(40, 30)):
    """Discs of these values, grey or colours, on the first of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: size[1], : size[0]]
    values = np.array(values, np.uint8)
    number = ((np.hypot(x - size[0] / 2, y - size[1] / 2) / size[1]) * 2 * len(values)).astype(int) % len(
        values
    )
    Image.fromarray(values[number]).save(path)


def pairs(root, values, name="{}.png"):
    for number in range(3):
        photo(root / "A" / f"{number}.png")
        mask(root / "B" / name.format(number), values)
    return dict(a=f"{root}/A", b=f"{root}/B", size=16)


def levels(data, side="b"):
    seen = torch.cat([data.sample(i, seeded(s))[side].flatten(1) for i in range(3) for s in range(3)], 1)
    return {tuple(value) for value in seen.add(1).mul(127.5).round().int().T.tolist()}


def test_a_mask_of_few_values_keeps_them(tmp_path):
    """By the default resizing a mask of 0 and 255 came out with 75 values."""
    data = datasets.load("paired", "", **pairs(tmp_path, [0, 255]))
    assert levels(data) == {(0,), (255,)}
    swapped = datasets.load("paired", "", direction="BtoA", **pairs(tmp_path, [0, 255]))
    assert len(levels(swapped, "a")) > 2, (
        "on the side of the input two values may be lines, which stay smooth"
    )
    three = datasets.load("paired", "", direction="BtoA", **pairs(tmp_path / "x", [0, 128, 255]))
    assert levels(three, "a") == {(0,), (128,), (255,)}, "between the first and the last lies another class"


def test_nearest_takes_the_pixel_in_the_middle():
    from datasets.geometry import resized

    row = torch.arange(6, dtype=torch.uint8).expand(1, 2, 6)
    assert resized(row, (2, 2), nearest=True)[0].tolist() == [[1, 4], [1, 4]]
    assert resized(row, (1, 12), nearest=True)[0].tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]


def test_numbers_of_classes_are_told_and_become_colours(tmp_path, caplog):
    options = pairs(tmp_path, [0, 1, 2, 3])
    dark = datasets.load("paired", "", **options)
    assert "the grey values 0, 1, 2, 3 alone" in caplog.text and "--labels-b" in caplog.text
    assert max(max(value) for value in levels(dark)) == 3
    data = datasets.load("paired", "", labels_b=True, **options)
    assert data.info["channels"] == {"a": 3, "b": 3}
    told = data.info["label_colours"]["b"]
    assert [value for value, _ in told] == [[0], [1], [2], [3]]
    assert levels(data) == {tuple(colour) for _, colour in told}
    distance = torch.pdist(torch.tensor([colour for _, colour in told]).float())
    assert distance.min() >= 255, "far from each other"
    swapped = datasets.load("paired", "", labels_b=True, direction="BtoA", **options)
    assert swapped.info["label_colours"] == {"a": told} and levels(swapped, "a") == levels(data)


def test_colours_of_classes_are_their_own(tmp_path):
    colours = [(255, 0, 0), (0, 0, 255), (0, 255, 0)]
    data = datasets.load("paired", "", labels_b=True, color_jitter=0.5, **pairs(tmp_path, colours))
    assert levels(data) == set(colours), "and no jitter changes them"
    unpaired = datasets.load("unpaired", "", labels_b=True, color_jitter=0.5, **pairs(tmp_path, colours))
    assert levels(unpaired) == set(colours) and list(unpaired.info["label_colours"]) == ["b"]


def test_photographs_are_no_label_maps(tmp_path):
    with pytest.raises(DataError, match="more than 256 colours, so they are no label maps"):
        datasets.load("paired", "", labels_a=True, **pairs(tmp_path, [0, 255]))
    with pytest.raises(
        DataError, match="--labels-a.* are for paired and unpaired pictures, not for images data"
    ):
        datasets.load("images", f"{tmp_path}/A", size=16, labels_a=True)


def test_values_and_colours_are_exchanged_both_ways():
    classes = Classes(((0,), (7,), (9,)), tuple(apart(3, [(0,), (7,), (9,)])))
    picture = torch.tensor([[[0, 7, 9, 8]]], dtype=torch.uint8)
    coloured = classes(picture)
    assert coloured.shape == (3, 1, 4)
    assert exchanged(coloured, classes.colours, classes.values).tolist() == [[[0, 7, 9, 7]]]
    assert len(set(apart(256, [(n,) for n in range(256)]))) == 256


def test_side_by_side_pairs_have_label_maps_too(tmp_path):
    for number in range(3):
        photo(tmp_path / "photo.png")
        mask(tmp_path / "mask.png", [(0, 0, 0), (200, 0, 0)])
        both = Image.new("RGB", (80, 30))
        both.paste(Image.open(tmp_path / "photo.png"), (0, 0))
        both.paste(Image.open(tmp_path / "mask.png"), (40, 0))
        (tmp_path / "train").mkdir(exist_ok=True)
        both.save(tmp_path / "train" / f"{number}.png")
    data = datasets.load("paired", f"{tmp_path}/train", size=16, labels_b=True)
    assert levels(data) == {(0, 0, 0), (200, 0, 0)}


@pytest.mark.parametrize("name", ["{}_B.png", "{}-mask.PNG", "{}.PNG"])
def test_names_of_partners_may_differ_in_what_all_end_in(tmp_path, name):
    options = pairs(tmp_path, [0, 255], name)
    for file in sorted((tmp_path / "A").iterdir()):
        file.rename(file.with_name(f"{file.stem}{'_A' if '_B' in name else ''}.png"))
    data = datasets.load("paired", "", **options)
    files = [data.sample(number, seeded())["file"].split(" | ") for number in range(3)]
    assert [[f.rpartition("/")[2][0] for f in pair] for pair in files] == [["0"] * 2, ["1"] * 2, ["2"] * 2]


def test_case_and_pictures_without_partner(tmp_path, caplog):
    options = pairs(tmp_path, [0, 255])
    (tmp_path / "B" / "1.png").rename(tmp_path / "B" / "one.png")
    with pytest.raises(
        DataError, match="2 pictures have no partner: .*A/1.png, .*B/one.png; --skip-unpaired"
    ):
        datasets.load("paired", "", **options)
    data = datasets.load("paired", "", skip_unpaired=True, **options)
    assert len(data) == 2 and data.sample(1, seeded())["file"].count("2.png") == 2
    assert "left out 2 pictures without a partner" in caplog.text
    for folder, name in (("A", "ONE.png"),):
        (tmp_path / folder / "1.png").rename(tmp_path / folder / name)
    assert len(datasets.load("paired", "", **options)) == 3
    for file in (tmp_path / "B").iterdir():
        file.rename(file.with_name(f"other {file.name}"))
    with pytest.raises(DataError, match="6 pictures have no partner"):
        datasets.load("paired", "", skip_unpaired=True, **options)


def test_the_report_tells_masks_and_captions(tmp_path):
    pairs(tmp_path, [0, 1, 2])
    said = str(report("", a=f"{tmp_path}/A", b=f"{tmp_path}/B"))
    assert "b: 3 grey values: 0, 1, 2; if they stand for classes: --labels-b" in said
    for number in range(3):
        (tmp_path / "A" / f"{number}.txt").write_bytes("a bird\na second caf\xe9\n".encode("latin-1"))
    (tmp_path / "A" / "2.txt").unlink()
    said = str(report(f"{tmp_path}/A"))
    assert "2 pictures with, 1 without; 2 a picture; 4 different words, 4 of them more than once" in said
    assert f"from {tmp_path}/A/*.txt, cp1252 in {tmp_path}/A/0.txt" in said
    assert "e.g. a bird" in said and f"without: {tmp_path}/A/2.png" in said


def test_the_classes_of_all_pictures_count(tmp_path):
    for number in range(40):
        mask(tmp_path / f"{number:02d}.png", [0, 1] if number != 17 else [0, 5])
    assert Classes.of(open_source(tmp_path)).values == ((0,), (1,), (5,))
