"""What lies in `pretrained/`: small, complete, honest about itself, and it works."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from datasets.sources import open_source
from translate.inference import images
from translate.inference.catalog import HERE, entries
from translate.inference.pipeline import Pipeline
from translate.metrics import enlarged
from translate.metrics import reader as readers
from translate.task import find

DATA = HERE.parent / "shared" / "data"
SHIPPED = entries([HERE / "pretrained"])
DRAWERS = [entry for entry in SHIPPED if "text" in find(entry.task).takes]
SAMPLERS = [entry for entry in SHIPPED if {*find(entry.task).takes} in ({"noise"}, {"noise", "label"})]
TRANSLATORS = [entry for entry in SHIPPED if entry not in DRAWERS + SAMPLERS]


def named(entry):
    return entry.name


def test_two_translators_are_shipped_and_all_weights_are_small():
    assert {"sketch-to-emoji", "emoji-noto-twemoji"} <= {entry.name for entry in SHIPPED}
    sizes = [path.stat().st_size for path in (HERE / "pretrained").rglob("*.safetensors")]
    assert max(sizes) <= 20e6 and sum(sizes) <= 140e6


@pytest.mark.parametrize("entry", SHIPPED, ids=named)
def test_a_shipped_folder_is_complete(entry):
    """Half precision, a measured bf16, no absolute path, a card with terms and scores."""
    weights = load_file(entry.folder / "weights.safetensors")
    assert {str(value.dtype) for value in weights.values() if value.is_floating_point()} == {"torch.float16"}
    settings = json.dumps(entry.facts)
    assert not re.search(r'"(/[^"]|[A-Z]:\\\\)', settings), "absolute paths are of no use to others"
    assert entry.preview.name == "preview.png"
    if entry in TRANSLATORS:
        assert entry.facts["bf16_psnr"] > 30 and entry.examples
    if entry in DRAWERS:
        assert len(entry.facts["info"]["captions"]) >= 3, "captions to try"
    if entry.name in ("digits-vae", "digits-gan", "digits-glann", "digits-cgan"):
        assert (entry.folder / "weights.safetensors").stat().st_size < 4e6
    for heading in ("## Data and terms", "## Scores", "## What it cannot do"):
        assert heading in entry.card
    assert "Not yet written" not in entry.card and 20 < len(entry.description) < 200


@pytest.mark.parametrize("entry", TRANSLATORS, ids=named)
def test_a_shipped_model_changes_its_examples_and_keeps_their_size(entry):
    pipeline = Pipeline.from_pretrained(entry.name)
    for path in entry.examples:
        example, more = Image.open(path).convert("RGB"), {}
        if "mask" in pipeline.takes:  # a quarter of the size is enough
            example.thumbnail((128, 128))
            mask = Image.open(entry.folder / "masks" / f"{path.stem}.png").resize(example.size)
            more = {"mask": mask}
        for direction in pipeline.task.directions:
            [made] = pipeline(image=example, direction=direction, **more)
            factor = pipeline.task.enlarges
            assert made.size == (factor * example.width, factor * example.height)
            made = made.resize(example.size)
            before, after = (np.asarray(picture.convert("RGB"), float) for picture in (example, made))
            changed = np.abs(after - before).mean()
            assert after.std() > 10 and changed > (1 if factor == 1 else 0.1)
            assert changed < 120 or "palette" in entry.facts, "colours of labels are no picture's"


@pytest.mark.parametrize("entry", DRAWERS, ids=named)
def test_a_shipped_drawer_draws_what_it_is_told(entry):
    """Pictures of one caption and seed repeat; others differ; colours are many."""
    pipeline, (first, second, *_) = Pipeline.from_pretrained(entry.name), entry.facts["info"]["captions"]
    made = [p.tensor.float() for p in pipeline.imagine(first, 4, seed=1)]
    again = [p.tensor.float() for p in pipeline.imagine(first, 4, seed=1)]
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))
    assert made[0].shape[-1] == entry.size and min(p.std() for p in made) > 0.1
    assert (made[0] - made[1]).abs().mean() > 0.02, "another seed, another picture"
    other = [p.tensor.float() for p in pipeline.imagine(second, 4, seed=1)]
    assert torch.stack([(a - b).abs().mean() for a, b in zip(made, other, strict=True)]).mean() > 0.02


@pytest.mark.parametrize("entry", SAMPLERS, ids=named)
def test_a_shipped_sampler_draws_many_different_pictures(entry):
    """The same from a seed, no two alike; an encoder, where there is one, finds what makes them again."""
    pipeline = Pipeline.from_pretrained(entry.name)
    made, again = (torch.cat([p.tensor.float() for p in pipeline.sample(16, seed=1)]) for _ in "ab")
    assert torch.equal(made, again) and made.shape[-1] == entry.size
    apart = (made[:, None] - made).square().flatten(2).mean(2)
    assert (apart + torch.eye(16) > 0.05).all(), "no two alike"
    if hasattr(pipeline.task, "encode"):
        rebuilt = pipeline.task.generate(noise=pipeline.task.encode(made))
        assert (rebuilt - made).square().mean() < 0.2 * apart.mean()


@pytest.mark.parametrize(("model", "digits"), [("digits-cgan", "07"), ("digits-infogan", "036")])
def test_the_digit_that_is_asked_for_is_drawn(model, digits):
    """InfoGAN's code found sevens and nines alike; of the others, what G draws of a code Q reads as it."""
    pipeline = Pipeline.from_pretrained(model)
    reader = readers.load(HERE / "pretrained" / "readers" / "lenet-mnist.safetensors")
    for digit in digits:
        made = torch.cat([p.tensor.float() for p in pipeline.sample(20, seed=2, label=digit)])
        assert reader.share(made, "class", digit) >= 0.9
        if hasattr(pipeline.task, "classify"):
            assert (pipeline.task.classify(made).argmax(1) == int(digit)).float().mean() >= 0.9


def test_outlines_are_coloured_within_their_lines():
    """The corner stays white, the lines stay dark, the inside gets colours."""
    entry = next(entry for entry in SHIPPED if entry.name == "sketch-to-emoji")
    pipeline = Pipeline.from_pretrained("sketch-to-emoji")
    coloured = []
    for path in entry.examples:
        outline = np.asarray(Image.open(path).convert("RGB"), float)
        made = np.asarray(pipeline(image=path)[0].convert("RGB"), float)
        assert made[:4, :4].mean() > 235 and made[outline.max(2) < 30].mean() < 80
        coloured.append((np.ptp(made, axis=2) > 40).mean())
    assert np.mean(coloured) > 0.05


@pytest.mark.skipif(not (DATA / "set5.zip").exists(), reason="the real data is not here")
def test_enlargers_reach_their_scores_on_set5():
    """Mean PSNR of Y over Set5 x4, border 4, as the pipeline makes the pictures; bicubic has 28.43 dB."""
    least = {"faithful": 31.5, "fast": 30.6, "sharp": 26.0}
    for entry in SHIPPED:
        if entry.facts["task"] == "srgan":
            pipeline = Pipeline.from_pretrained(entry.name)
            made, truths = [], []
            for i in range(1, 6):
                low, high = (f"{DATA}/set5.zip/{part}/img_00{i}.png" for part in ("lr_x4", "hr"))
                low, high = (images.decode(open_source(path).read(0)) for path in (low, high))
                made.append(pipeline.translate(low).tensor.float())
                truths.append(high.tensor[..., : made[-1].shape[-2], : made[-1].shape[-1]])
            assert enlarged.psnr(made, truths, 4).value >= least[entry.facts["look"]], entry.name
            assert sum(p.numel() for p in pipeline.task.G.parameters()) <= (
                100_000 if entry.facts["look"] == "fast" else 10**7
            )


def test_rectangles_become_a_house():
    """Walls are light and hardly coloured, doors and windows darker than the wall around them."""
    entry = next(entry for entry in SHIPPED if entry.name == "labels-to-facade")
    pipeline = Pipeline.from_pretrained("labels-to-facade")
    labels = [*entry.facts["palette"]]
    colours = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in entry.facts["palette"].values()])
    for path in entry.examples:
        plan = np.asarray(Image.open(path).convert("RGB"), int)
        at = ((plan[:, :, None] - colours) ** 2).sum(3).argmin(2)
        made = np.asarray(pipeline(image=path)[0].convert("RGB"), float)
        wall, window, door = (made[at == labels.index(name)] for name in ("wall", "window", "door"))
        assert wall.mean() > 90 and np.ptp(wall, axis=1).mean() < 60
        assert window.mean() < wall.mean() - 5 and door.mean() < wall.mean() - 25


def test_the_reader_of_styles_knows_its_five():
    reader = readers.load(HERE / "pretrained" / "readers" / "emoji-style.safetensors")
    assert reader.heads == {"style": ("blob", "line", "noto", "openmoji", "twemoji")}


def test_the_reader_of_groups_knows_what_emoji_show():
    """On pictures that it never saw; a reader that says "people" to all has 0.58."""
    place = HERE.parent / "shared" / "data" / "emoji.zip"
    if not place.exists():
        pytest.skip("the real data is not here")
    from benchmarks import readers as script

    reader = readers.load(HERE / "pretrained" / "readers" / "emoji-group.safetensors")
    assert reader.heads == {"group": tuple(script.GROUPS.values())}
    pictures, groups = script.grouped(script.Settings(data=str(place)), "test", every=7)
    assert readers.accuracy(reader, pictures, {"group": groups})["group"] > 0.68


def test_the_reader_of_birds_knows_fresh_birds():
    """At least 98 % of every attribute, of birds that nobody drew before."""
    from datasets import birds

    reader = readers.load(HERE / "pretrained" / "readers" / "birds.safetensors")
    assert reader.heads == birds.ATTRIBUTES
    world = birds.load("images", 128, "test", count=10**6)
    numbers = range(500_000, 500_120)
    pictures = torch.stack([birds.picture(world.bird(i), 128) for i in numbers])
    answers = reader.read(pictures)
    for name, values in birds.ATTRIBUTES.items():
        right = [
            values[int(a)] == world.attributes(i)[name] for a, i in zip(answers[name], numbers, strict=True)
        ]
        assert np.mean(right) >= 0.98, name
