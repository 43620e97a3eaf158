"""One contract for what `generate` is given: methods of classes, masks, frames are previewed and served."""

import re

import pytest
import torch
from PIL import Image
from torch import nn

from tests.conftest import World, build
from translate import commands
from translate.config import RunConfig, UserError
from translate.inference.pipeline import Pipeline
from translate.inputs import INPUTS, from_batch, from_seed, usage
from translate.task import Task
from translate.training.observers import preview_batch


class Toy(Task):
    """Remembers what it was given; one weight, so that it is somewhere."""

    Config, exported = RunConfig, ("net",)

    def __init__(self, config, info):
        super().__init__(config, info)
        self.net = nn.Linear(1, 1)

    @classmethod
    def tiny(cls):
        return cls.Config(size=8, batch_size=2)


class Classes(Toy):
    """The picture is as bright as its class says, with the noise as grain."""

    data, takes, noise_shape = "labels", ("noise", "label"), (1, 8, 8)

    def generate(self, noise, label):
        assert label.dtype == torch.int64
        bright = label.float()[:, None, None, None] / 2
        return (bright + noise * 0.01).expand(-1, 3, -1, -1).clamp(-1, 1)


class Fill(Toy):
    """Black where the mask is."""

    data, takes = "images", ("image", "mask")

    def generate(self, image, mask):
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        return torch.where(mask > 0, -1.0, image)


class Next(Toy):
    """The last frame, a little brighter."""

    data, takes = "frames", ("frames",)

    def generate(self, frames):
        assert frames.shape[1] == 3
        return (frames[:, -1] + 0.25).clamp(-1, 1)


def toy(task_class, kind):
    return build(task_class, World(kind, 8))


def test_a_method_of_classes_is_previewed():
    task = toy(Classes, "labels")
    batch = preview_batch(World("labels", 8), 4)
    made = task.preview(batch)["output"]
    assert torch.allclose(made.mean((1, 2, 3)), batch["label"] / 2, atol=0.02)


def test_pictures_without_a_label_are_previewed_with_some_class():
    task, batch = toy(Classes, "labels"), preview_batch(World("labels", 8), 4)
    batch["label"] = torch.tensor([-1, 1, -1, -1])
    assert from_batch(task, batch)["label"].tolist() == [0, 1, 0, 1]


def test_a_method_of_classes_is_served():
    """Each class in turn, or the one that is asked for by name or number; the noise is the seed's."""
    pipeline = Pipeline(toy(Classes, "labels"), name="classes")
    brightness = [picture.tensor.mean().item() for picture in pipeline.sample(4, seed=1)]
    assert brightness == pytest.approx([0, 0.5, 0, 0.5], abs=0.02)
    only = pipeline.sample(4, seed=1, label="y")
    assert all(picture.tensor.mean() > 0.4 for picture in only)
    assert torch.equal(only[1].tensor, pipeline.sample(2, seed=1)[1].tensor)
    assert torch.equal(only[0].tensor, pipeline.sample(1, seed=1, label=1)[0].tensor)
    [one] = pipeline(label="y", seed=1)
    assert isinstance(one, Image.Image) and one.size == (8, 8)


@pytest.mark.parametrize(
    ("task_class", "kind", "ask", "said"),
    [
        (Classes, "labels", {"label": "z"}, "there is no class 'z'; the 2 classes are x, y"),
        (Classes, "labels", {"label": 7}, "there is no class 7; the 2 classes are x, y"),
        (Classes, "labels", {"text": "a bird"}, "the model takes noise and label, not text"),
        (Fill, "images", {"mask": Image.new("L", (9, 9))}, "the model takes image and mask; give image="),
        (Fill, "images", {"image": Image.new("RGB", (9, 9))}, "fills what a mask marks white; give a mask"),
        (Next, "frames", {"n": 3}, "the model takes frames; give frames="),
    ],
)
def test_mistakes_are_sentences(task_class, kind, ask, said):
    with pytest.raises(UserError, match=re.escape(said)):
        Pipeline(toy(task_class, kind))(**ask)


def test_a_mask_is_filled_at_any_size():
    picture, mask = Image.new("RGB", (45, 38), "white"), Image.new("L", (45, 38))
    mask.paste(255, (10, 5, 30, 9))  # no wider than in training: see test_inpaint
    [made] = Pipeline(toy(Fill, "images"))(picture, mask=mask)
    assert made.size == (45, 38) and made.getbbox() == (0, 0, 45, 38)
    assert made.crop((10, 5, 30, 9)).getextrema() == ((0, 0),) * 3
    assert made.getcolors() and dict((c, n) for n, c in made.getcolors())[(0, 0, 0)] == 20 * 4
    with pytest.raises(UserError, match="the mask has 9 × 9 px, the picture 45 × 38"):
        Pipeline(toy(Fill, "images"))(picture, mask=Image.new("L", (9, 9)))


def test_a_mask_is_cut_into_tiles_with_its_picture():
    picture, mask = Image.new("RGB", (200, 90), "white"), Image.new("L", (200, 90))
    mask.paste(255, (60, 30, 150, 70))
    pipeline = Pipeline(toy(Fill, "images"))
    pipeline.whole_pixels, pipeline.core = 64 * 64, 64
    [made] = pipeline(picture, mask=mask)  # 40 px by 5, to be as wide as in training: 8
    assert made.crop((70, 40, 140, 60)).getextrema() == ((0, 0),) * 3
    made.paste("white", (60, 30, 150, 70))
    assert made.tobytes() == picture.tobytes()


def test_frames_are_continued():
    """Each new frame is made from the last ones, new ones included."""
    frames = [Image.new("RGB", (12, 10), (grey, grey, grey)) for grey in (0, 64, 128)]
    made = Pipeline(toy(Next, "frames"))(frames=frames, n=3)
    assert [picture.size for picture in made] == [(12, 10)] * 3
    assert [picture.getpixel((5, 5))[0] for picture in made] == [160, 192, 224]


def test_every_input_has_its_flag_and_its_command():
    """Flags that the table names are options of that command."""
    import inspect

    for name, entry in INPUTS.items():
        options = inspect.signature(commands.command(entry.command)).parameters
        if entry.flag.startswith("--"):
            assert entry.flag[2:] in options, name
    assert [usage(takes) for takes in (("image", "mask"), ("text", "noise"), ("noise",), ("frames",))] == [
        "image IN", "text CAPTION", "sample", "frames IN",
    ]  # fmt: skip


def test_what_is_drawn_follows_from_the_seed():
    task = toy(Classes, "labels")
    four, two = from_seed(task, 4, 5), from_seed(task, 2, 5)
    assert torch.equal(four["noise"][:2], two["noise"]) and four["label"].tolist() == [0, 1, 0, 1]
    assert not torch.equal(two["noise"], from_seed(task, 2, 6)["noise"])
    task.takes = ("image", "mask")
    masks = from_seed(task, 3, 5, image=torch.zeros(3, 3, 8, 8))["mask"]
    assert masks.shape == (3, 1, 8, 8) and masks.sum((1, 2, 3)).tolist() == [16, 16, 16]
    with pytest.raises(UserError, match="needs image, which cannot be drawn"):
        from_seed(task, 3, 5)
