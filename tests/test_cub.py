"""Birds' captions by who wrote them, colours by other names, and word vectors that stay as they are."""

import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

import datasets
from datasets import DataError
from datasets.colours import SHADES, renamed
from datasets.cub import sources as cub_sources
from models.common.text import GIVEN, word_vectors
from models.text.df_gan import DFGAN
from tests.conftest import build
from tests.test_captions import cub, drawn, seeded  # noqa: F401
from translate.config import UserError
from translate.training.stream import Stream

BIRDS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "cub_birds.zip"


@pytest.fixture
def told(tmp_path):
    """Four pictures of two species, their captions in one table, their writers in another."""
    captions = {
        "a.jpg": ["seen by a person", "and by another"],
        "b.jpg": ["fits the picture", "a gull is white"],
        "c.jpg": ["a gull is white"],
        "d.jpg": ["a red bird with a red crown"],
    }
    kinds = ("human", "gpt4-matched", "class-attr", "human")
    for number, name in enumerate(captions):
        place = tmp_path / "train" / ("001.Gull" if number < 3 else "002.Wren") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (60 * number, 0, 0)).save(place)
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    facts = {n: {"captions": k, "box": [0, 0, 9, 9]} for n, k in zip(captions, kinds, strict=True)}
    (tmp_path / "sources.json").write_text(json.dumps(facts))
    return tmp_path


@pytest.fixture
def vectors(tmp_path):
    """A file of five words, of which red and crimson are nearly the same."""
    torch.manual_seed(0)
    words, table = ["red", "crimson", "bird", "wing", "black"], torch.randn(5, GIVEN)
    table[1] = table[0] + 0.1 * table[1]
    save_file({"vectors": table.half()}, tmp_path / "w.safetensors", {"words": json.dumps(words)})
    return tmp_path / "w.safetensors"


def reading(data, vectors):
    return build(DFGAN, data, replace(DFGAN.tiny(), text_words=vectors))


def test_what_people_wrote_counts_twice(told):
    data = datasets.load("captions", str(told), size=16, resize="resize", flip=False)
    assert len(data) == 6
    epoch = [data.sample(int(i), seeded()) for i in data.order(0, 0)]
    assert Counter(Path(s["file"]).name for s in epoch) == {"a.jpg": 2, "b.jpg": 1, "c.jpg": 1, "d.jpg": 2}
    assert {s["index"] for s in epoch} == {0, 1, 2, 3}, "numbers of pictures"
    assert len(Stream(data, 6, seed=0).batch(0)["caption"]) == 6
    b = next(i for i in range(6) if data.sample(i, seeded())["index"] == 1)
    counts = Counter(data.sample(b, seeded(seed))["caption"] for seed in range(200))
    assert 2 < counts["fits the picture"] / counts["a gull is white"] < 4.5, "3 to 1"


def test_held_out_pictures_count_once(told):
    (told / "train" / "001.Gull" / "b.jpg").rename(told / "b.jpg")
    (told / "valid" / "001.Gull").mkdir(parents=True)
    (told / "b.jpg").rename(told / "valid" / "001.Gull" / "b.jpg")
    (told / "train" / "002.Wren" / "d.jpg").rename(told / "valid" / "001.Gull" / "d.jpg")
    assert len(datasets.load("captions", str(told), size=16, split="test")) == 2


@pytest.mark.parametrize("text", ["[1, 2]", '{"a.jpg": 3}', "{"])
def test_a_damaged_table_is_told(told, text):
    (told / "sources.json").write_text(text)
    with pytest.raises(DataError, match="sources.json"):
        datasets.load("captions", str(told), size=16)


def test_colours_get_other_names():
    caption = "a red bird with grey wings and a reddish crown"
    made = Counter(renamed(caption, seeded(seed)) for seed in range(300))
    assert made[caption] > 150
    for other in made:
        body, wings = other.split()[1], other.split()[4]
        assert body in ("red", *SHADES["red"]) and wings in ("grey", *SHADES["grey"]) and "reddish" in other
    names = [name for kin in (SHADES[k] for k in SHADES if k != "grey") for name in kin]
    assert len(names) == len(set(names)), "one word means one colour"


def test_words_of_no_caption_are_near_their_kin(told, vectors):
    data = datasets.load("captions", str(told), size=16, text_words=vectors)
    assert "crimson" in data.info["vocabulary"] and "person" not in data.info["vocabulary"]
    task = reading(data, vectors).eval()
    before = task.text.pieces.weight.clone()
    told = task.sentences(["red bird", "crimson bird", "black bird"])
    torch.testing.assert_close(told.square().mean(1), torch.ones(3))
    red, crimson, black = F.normalize(told, dim=1)
    assert red @ crimson > red @ black + 0.05
    assert not task.reading("a crimson bird").unknown
    optimizer = task.text_optimizer()["text"]
    task.sentences(["red bird"])
    loss = task.text(task.tokenizer(["red bird"])).sum()
    loss.backward()
    optimizer.step()
    assert torch.equal(task.text.pieces.weight, before), "the words stay as they are"


def test_a_file_that_holds_no_words(told, vectors):
    data = datasets.load("captions", str(told), size=16, text_words=vectors)
    assert word_vectors(vectors, ("[PAD]", "red", "unheard"))[[0, 2]].abs().max() == 0
    vectors.write_bytes(b"no such thing")
    with pytest.raises(UserError, match="no vectors"):
        reading(data, vectors)
    with pytest.raises(DataError, match="no vectors"):
        datasets.load("captions", str(told), size=16, text_words=vectors)
    vectors.unlink()
    with pytest.raises(UserError, match="no such file"):
        reading(data, vectors).optimizers()


def test_cub_without_that_table_is_as_before(cub):  # noqa: F811
    data = datasets.load("captions", str(cub), size=16)
    assert len(data) == 5 and len(drawn(data, 0, 60)[0]) == 10


@pytest.mark.skipif(not BIRDS.exists(), reason="needs ../shared/data/cub_birds.zip")
def test_the_real_birds():
    with zipfile.ZipFile(BIRDS) as archive:
        paths = [name for name in archive.namelist() if name.endswith(".jpg")]
    kinds = Counter(cub_sources([f"{BIRDS}/{path}" for path in paths], str(BIRDS)))
    assert kinds == {"class-attr": 2670, "gpt4-matched": 2268, "human": 1986}
    assert len({Path(path).name for path in paths}) == 6924, "bare names tell pictures apart"


def test_vectors_keep_what_words_differ_in():
    from recipes.word_vectors import reduced

    torch.manual_seed(0)
    told = torch.randn(50, 3) @ torch.randn(3, 20) + 5
    made = reduced(told, 3)
    assert made.shape == (50, 3) and abs(float(made.std()) - 1) < 1e-5
    distances = torch.cdist(told, told)
    ratio = torch.cdist(made, made)[0, 1:] / distances[0, 1:]
    torch.testing.assert_close(ratio, ratio[:1].expand(49), atol=1e-4, rtol=1e-3)
