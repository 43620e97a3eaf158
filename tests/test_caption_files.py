"""Which picture a text is about, in which encoding it is, and what is refused."""

import json
import zipfile

import pytest
from PIL import Image

import datasets
from datasets import DataError
from tests.test_captions import picture, seeded

# --- which picture a text is about ------------------------------------------------------------------------


def two_animals(root, texts=()):
    """cat/0.png, red, and dog/0.png, blue; and texts by name."""
    picture(root / "cat" / "0.png", colour="red")
    picture(root / "dog" / "0.png", colour="blue")
    for name, text in dict(texts).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def captions_by_colour(path, **options):
    data = datasets.load("captions", str(path), size=8, flip=False, **options)
    samples = [data.sample(index, seeded()) for index in range(len(data))]
    return {"red" if s["image"][0].mean() > 0 else "blue": s["caption"] for s in samples}


ANIMALS = {"red": "a cat", "blue": "a dog"}
ROWS = "cat/0.png,a cat\ndog/0.png,a dog\n"


@pytest.mark.parametrize(
    "texts",
    [
        {"cat/0.txt": "a cat", "dog/0.txt": "a dog"},
        {"text/cat/0.txt": "a cat", "text/dog/0.txt": "a dog"},
        {"sentences/cat/0.txt": "a cat", "sentences/dog/0.txt": "a dog", "cat/readme.txt": "all cats"},
        {"captions.csv": "file,caption\n" + ROWS},
        {"captions.csv": "file,caption\n" + ROWS.replace("/", "\\")},
        {"captions.csv": "File Name;Caption\n" + ROWS.replace(",", ";")},
        {"captions.tsv": "image\tPrompt\n" + ROWS.replace(",", "\t")},
        {"captions.csv": ROWS},
        {"captions.csv": "prompt,image_file\na cat,./cat/0.png\na dog,./dog/0.png\n"},
        {"captions.csv": "path,text\n/home/a/cat/0.png,a cat\n/home/a/dog/0.png,a dog\n"},
        {"captions.csv": ("file,caption\n" + ROWS).encode("utf-16")},
        {"captions.txt": "image,caption\n" + ROWS},
        {"token.txt": "cat/0.png#0\ta cat\ndog/0.png#0\ta dog\n"},
        {"results.csv": "image_name| comment_number| comment\ncat/0.png| 0| a cat\ndog/0.png| 0| a dog\n"},
        {"captions.json": json.dumps({"cat/0": "a cat", "dog/0": ["a dog"]})},
        {"cat/metadata.jsonl": '{"file_name": "0.png", "text": "a cat"}',
         "dog/metadata.jsonl": '{"file_name": "0.png", "text": "a dog"}'},
        {"annotations/captions_train2017.json": json.dumps(
            {"images": [{"id": 7, "file_name": "cat/0.png"}, {"id": 9, "file_name": "dog/0.png"}],
             "annotations": [{"image_id": 9, "caption": "a dog"}, {"image_id": 7, "caption": "a cat"}]})},
        {"dataset.json": json.dumps({"images": [
            {"filename": "0.png", "filepath": "cat", "sentences": [{"raw": "a cat"}]},
            {"filename": "0.png", "filepath": "dog", "sentences": [{"raw": "a dog"}]}]})},
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_each_picture_has_its_own_captions(tmp_path, texts, packed):
    """Where two pictures of different folders have one name."""
    path = two_animals(tmp_path / "data", texts)
    if packed:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for file in sorted(path.rglob("*.*")):
                archive.write(file, file.relative_to(path))
        path = tmp_path / "all.zip"
    assert captions_by_colour(path) == ANIMALS


@pytest.mark.parametrize(
    "texts",
    [
        {"captions.csv": "file,caption\n0.png,a cat\n0.png,a dog\n"},
        {"captions.json": json.dumps({"0": "an animal"})},
        {"text/0.txt": "an animal"},
    ],
)
def test_a_bare_name_of_two_pictures_is_a_doubt(tmp_path, texts):
    two_animals(tmp_path, texts)
    with pytest.raises(DataError, match="may be .*cat/0.png or .*dog/0.png: tell which"):
        datasets.load("captions", str(tmp_path), size=8)


def test_a_picture_does_not_take_the_text_of_another_folder(tmp_path):
    two_animals(tmp_path, {"cat/0.txt": "a cat"})
    for path in (tmp_path, f"{tmp_path}/dog"):
        with pytest.raises(DataError, match="dog"):
            datasets.load("captions", str(path), size=8)
    (tmp_path / "captions.csv").write_text("file,caption\n" + ROWS)
    (tmp_path / "cat" / "0.txt").unlink()
    assert captions_by_colour(tmp_path / "dog") == {"blue": "a dog"}
    picture(tmp_path / "0.png")
    (tmp_path / "captions.csv").write_text("file,caption\n0.png,neither\n")
    with pytest.raises(DataError, match="no captions for the pictures"):
        datasets.load("captions", str(tmp_path / "dog"), size=8)


def test_parts_with_the_same_names_keep_apart(tmp_path):
    """As Hugging Face's image folders: a metadata file in each part, and 0.png in both."""
    root = two_animals(tmp_path)
    for old, new, caption in (("cat", "train", "a cat"), ("dog", "test", "a dog")):
        (root / old).rename(root / new)
        line = json.dumps({"file_name": "0.png", "text": caption})
        (root / new / "metadata.jsonl").write_text(line)
    for path in (root, root / "train"):
        assert captions_by_colour(path) == {"red": "a cat"}
        assert captions_by_colour(path, split="test") == {"blue": "a dog"}


def test_two_places_joined_keep_their_captions(tmp_path):
    one, two = (two_animals(tmp_path / part, {"captions.csv": "file,caption\n" + ROWS}) for part in "ab")
    (two / "captions.csv").write_text("file,caption\n" + ROWS.replace(",a ", ",the "))
    data = datasets.load("captions", f"{one}+{two}", size=8)
    captions = [data.sample(index, seeded())["caption"] for index in range(4)]
    assert captions == ["a cat", "a dog", "the cat", "the dog"]


def test_system_files_are_no_captions(tmp_path):
    junk = {"._captions.json": b"\0\5\x16\7", "__MACOSX/._captions.json": b"\0\5\x16\7", ".x.jsonl": "{ no"}
    root = two_animals(
        tmp_path / "d", junk | {"captions.json": json.dumps({"cat/0": "a cat", "dog/0": "a dog"})}
    )
    assert captions_by_colour(root) == ANIMALS
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    assert captions_by_colour(tmp_path / "all.zip") == ANIMALS


def test_a_damaged_table_beside_a_good_one_is_named(tmp_path, caplog):
    root = two_animals(tmp_path, {"a.json": "{ no", "b.csv": "file,caption\n" + ROWS})
    assert captions_by_colour(root) == ANIMALS
    assert "a.json is no JSON file" in caplog.text and "b.csv" in caplog.text


# --- encodings and columns --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("latin-1", "un chat doré à l'œil fermé".replace("œ", "oe")),
        ("cp1252", "un chat “doré” – l’œil fermé"),
        ("cp1250", "żółty kot śpi w łóżku, jest bardzo zmęczony i głodny"),
        ("cp1251", "рыжая кошка спит на старом диване у окна"),
        ("utf-8-sig", "un chat doré"),
        ("utf-16-le", "un chat doré qui dort"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "txt"])
def test_encodings_are_told(tmp_path, caplog, encoding, sentence, form):
    if form == "csv":
        table = f'file,caption\ncat/0.png,"{sentence}"\ndog/0.png,a dog\n'
        two_animals(tmp_path, {"captions.csv": table.encode(encoding)})
    else:
        two_animals(tmp_path, {"cat/0.txt": sentence.encode(encoding), "dog/0.txt": "a dog"})
    assert captions_by_colour(tmp_path) == {"red": sentence, "blue": "a dog"}
    assert ("is read as" in caplog.text) == (encoding != "utf-8-sig")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("captions.csv", bytes(range(256)) * 9, "captions.csv is no text in an encoding known here"),
        ("captions.csv", "number,colour\n1,red\n", "captions.csv has the columns number, colour, of which"),
        ("captions.csv", "file,caption\nbird/7.png,a bird\n", "captions.csv names bird/7.png, which is none"),
        ("captions.csv", 'file,caption\ncat/0.png,"a cat\n' + ROWS, "line 2: a quotation mark is not closed"),
        ("captions.csv", "file,caption,by\ncat/0.png,red, and a cat,Ann\n", "line 2 has 4 cells, not 3"),
        ("a.csv", "file,caption\n" + ROWS, "both have captions of .*cat/0.png"),
    ],
)
def test_refusals_name_the_file_and_what_is_in_it(tmp_path, name, text, sentence):
    two_animals(tmp_path, {name: text})
    if name == "a.csv":
        two_animals(tmp_path, {"a2.csv": text})
    with pytest.raises(DataError, match=sentence):
        datasets.load("captions", str(tmp_path), size=8)


def test_captions_may_hold_commas(tmp_path):
    root = two_animals(tmp_path, {"captions.csv": "file,caption\n" + ROWS.replace("a cat", "a cat, red")})
    assert captions_by_colour(root) == {"red": "a cat, red", "blue": "a dog"}


def test_a_few_pictures_without_captions_are_left_out_and_named(tmp_path, caplog):
    for number in range(200):
        picture(tmp_path / f"{number:03d}.png", (8, 8))
        if number not in (7, 90):
            (tmp_path / f"{number:03d}.txt").write_text(f"number {number}")
    data = datasets.load("captions", str(tmp_path), size=8)
    assert len(data) == 198 and data.sample(7, seeded())["caption"] == "number 8"
    assert data.sample(7, seeded())["file"].endswith("008.png")
    assert sorted(data.order(0, 0).tolist()) == list(range(198))
    assert "left out 2 of 200 pictures" in caplog.text and "007.png" in caplog.text
    (tmp_path / "003.txt").unlink()
    with pytest.raises(DataError, match="3 of 200 pictures have no caption"):
        datasets.load("captions", str(tmp_path), size=8)


def test_boxes_belong_to_the_picture_of_their_folder(tmp_path):
    for folder, place in (("a", (0, 0, 8, 8)), ("b", (22, 22, 30, 30))):
        path = tmp_path / "images" / folder / "0.png"
        picture(path, (30, 30), "blue")
        with Image.open(path) as image:
            image.paste("red", place)
            image.save(path)
        picture(tmp_path / "images" / folder / f"{folder}.png", (30, 30), "blue")
    names = ["a/0.png", "a/a.png", "b/0.png", "b/b.png"]
    (tmp_path / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names)))
    (tmp_path / "bounding_boxes.txt").write_text("0 0 0 6 6\n2 24 24 6 6\n")
    (tmp_path / "captions.csv").write_text("file,caption\n" + "".join(f"{name},x\n" for name in names))
    data = datasets.load("captions", str(tmp_path), size=8, resize="resize", flip=False)
    red = [float(data.sample(index, seeded())["image"][0].mean()) for index in range(4)]
    assert red[0] > 0.9 and red[2] > 0.9 and red[1] < -0.9


def test_captions_to_draw_in_any_encoding(tmp_path):
    """`python -m translate text --file`."""
    from datasets.texts import decoded

    assert decoded("un oiseau doré\n".encode("latin-1"), "x.txt") == ("un oiseau doré\n", "cp1252")
    with pytest.raises(DataError, match="x.txt is no text"):
        decoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(200)), "x.txt")
