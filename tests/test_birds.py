"""The built-in world of birds: deterministic, alike at any size, and what it says of itself is true."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import datasets
from datasets import birds
from datasets.birds_drawing import PALETTE

KINDS = {
    "paired": ("a", "b"),
    "unpaired": ("a", "b"),
    "captions": ("image",),
    "labels": ("image",),
    "images": ("image",),
    "lowres": ("low", "high"),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_bird_is_a_function_of_its_number():
    assert birds.bird(7) == birds.bird(7) != birds.bird(8)
    pictures = [birds.draw(birds.bird(i), 64) for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda i: birds.draw(birds.bird(i), 64), range(6)))
    assert all(np.array_equal(one, two) for one, two in zip(pictures, again, strict=True))
    assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("size", [32, 64, 100, 256])
def test_the_same_bird_at_any_size(size):
    small = torch.from_numpy(birds.draw(birds.bird(3), size)).float().permute(2, 0, 1)[None]
    large = torch.from_numpy(birds.draw(birds.bird(3), 512)).float().permute(2, 0, 1)[None]
    shrunk = torch.nn.functional.interpolate(large, size=size, mode="bilinear", antialias=True)
    assert (small - shrunk).abs().mean() < 6  # grey levels


def test_every_value_of_every_attribute_occurs():
    seen = {name: set() for name in birds.ATTRIBUTES}
    for i in range(600):
        for name, value in birds.bird(i).attributes.items():
            seen[name].add(value)
    assert {name: set(values) for name, values in birds.ATTRIBUTES.items()} == seen


@pytest.mark.parametrize("part", ["crown", "back", "belly", "wing", "tail", "beak"])
def test_a_colour_can_be_seen_where_it_is_named(part):
    """Changing one part's colour changes pixels, and those pixels come near the new colour."""
    for i in range(5):
        first = replace(birds.bird(i), wing_pattern="plain", **{part: "blue"})
        second = replace(first, **{part: "yellow"})
        blue, yellow = (birds.draw(b, 128).astype(float) for b in (first, second))
        changed = np.abs(blue - yellow).sum(-1) > 150
        assert changed.sum() >= 10, (part, i, changed.sum())
        for picture, colour in ((blue, "blue"), (yellow, "yellow")):
            tone = np.median(picture[changed], axis=0)  # shaded, so only the hue can be compared
            nearest = min(PALETTE, key=lambda name: np.abs(hue(PALETTE[name]) - hue(tone)).sum())
            assert nearest == colour, (part, i, tone)


def hue(tone):
    return np.array(tone, float) / max(tone)


def test_wing_patterns_differ_on_the_wing_alone():
    for i in range(5):
        plain = replace(birds.bird(i), wing_pattern="plain")
        for pattern in ("striped", "spotted"):
            changed = birds.draw(plain, 128) != birds.draw(replace(plain, wing_pattern=pattern), 128)
            assert 20 < changed.any(-1).sum() < 128 * 128 / 8


def test_ten_different_true_captions_each():
    named = set()
    for i in range(300):
        bird = birds.bird(i)
        sentences = birds.captions(bird)
        assert len(set(sentences)) == 10 and sentences == birds.captions(bird)
        for sentence in sentences:
            told = birds.attributes_in(sentence)
            assert told, sentence
            assert told == {name: bird.attributes[name] for name in told}, (sentence, bird)
            named |= set(told)
    assert named == set(birds.ATTRIBUTES)


@pytest.mark.parametrize(
    "sentence, told",
    [
        (
            "This bird is completely red with black wings and pointy beak",
            dict(crown="red", back="red", belly="red", tail="red", wing="black", beak_shape="pointed"),
        ),
        (
            "A small sized bird that has a cream belly and a short pointed bill",
            dict(size="small", belly="white", beak_shape="short"),
        ),
        ("the wings are black and the beak is long.", dict(wing="black", beak_shape="long")),
        ("a bird with a gray head and white wing bars", dict(crown="grey", wing_pattern="striped")),
        ("a yellow bird with a black crown", dict(back="yellow", belly="yellow", crown="black")),
        ("", {}),
        ("ein schöner Vogel 🐦", {}),
    ],
)
def test_attributes_in_free_text(sentence, told):
    assert birds.attributes_in(sentence) == told


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data(kind):
    data = datasets.load(kind, "birds:20", size=32)
    state = torch.get_rng_state()
    sample, again, other = (data.sample(3, generator(s)) for s in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert len(data) == 20 and sorted(data.order(0, 0).tolist()) == list(range(20))
    for key in KINDS[kind]:
        size = 8 if key == "low" else 32
        assert sample[key].shape == (3, size, size) and sample[key].dtype == torch.float32
        assert -1 <= sample[key].min() < sample[key].max() <= 1
        assert torch.equal(sample[key], again[key]) and data.info["channels"][key] == 3
    assert sample["index"] == 3 and "bird 3" in sample["file"]
    if kind == "captions":
        assert sample["caption"] in birds.captions(birds.bird(3))
    if kind == "labels":
        assert data.info["classes"][sample["label"]] == birds.bird(3).belly
    if kind == "unpaired":
        assert torch.equal(sample["a"], other["a"]) and not torch.equal(sample["b"], other["b"])


def test_unpaired_sides_and_the_hidden_partner():
    data = datasets.load("unpaired", "birds:50", size=64)
    sample = data.sample(5, generator())
    assert data.bird(5).wing_pattern == "plain" and torch.equal(sample["a"], birds.picture(data.bird(5), 64))
    partner = data.hidden_partner(5)
    differs = (partner != sample["a"]).any(0)
    assert 0 < differs.sum() < 64 * 64 / 8 and "partner" not in " ".join(sample)


def test_direction_swaps_the_sides():
    there, back = (datasets.load("paired", "birds", size=32, direction=d) for d in ("AtoB", "BtoA"))
    assert torch.equal(there.sample(1, generator())["a"], back.sample(1, generator())["b"])
    assert there.info["names"] == {"a": "ink", "b": "bird"} and back.info["names"] == {
        "a": "bird",
        "b": "ink",
    }


def test_test_birds_are_other_birds():
    train, test = (datasets.load("images", "birds:100", size=32, split=s) for s in ("train", "test"))
    assert not {train.bird(i).index for i in range(100)} & {test.bird(i).index for i in range(100)}
    assert test.info["split"] == "test"


@pytest.mark.parametrize("data, size, mend", [("birds:0", 64, "birds:COUNT"), ("birds", 8, "--size 64")])
def test_impossible_birds(data, size, mend):
    with pytest.raises(datasets.DataError, match=mend):
        datasets.load("images", data, size=size)


@pytest.mark.parametrize("kind", ["paired", "unpaired", "captions", "lowres"])
def test_birds_kept_in_memory_are_those_drawn_anew(kind):
    kept, drawn = (birds.load(kind, 32, count=6, cache=cache) for cache in ("on", "off"))
    for _ in range(2):
        for i in range(6):
            ours, theirs = (data.sample(i, torch.Generator().manual_seed(i)) for data in (kept, drawn))
            assert all(torch.equal(v, theirs[k]) for k, v in ours.items() if isinstance(v, torch.Tensor))
            for value in ours.values():
                if isinstance(value, torch.Tensor):
                    value.zero_()  # what a training does with a sample must not reach what is kept
    assert drawn.kept is None and len(kept.kept) >= 6
    assert birds.load(kind, 2048, count=10**7).kept is None, "auto: not where they do not fit"
