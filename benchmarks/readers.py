"""Train the readers that judge generated pictures: `python -m benchmarks.readers --data emoji.zip`.

From emoji.zip (or its folder), emoji-style: which of the five styles of real emoji a picture is drawn in; and
with `--name emoji-group --width 16 --steps 1200` which of Unicode's groups it shows, in whatever style. From
`birds`, birds: the nine attributes of a drawn bird. From any other labelled data the classes, under the name
given: `--data DIR --name lenet-mnist`, `--data cifar10.zip --name cifar10 --width 16 --mirror --steps 1700`.
Such names are networks of `evaluate --features`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GROUPS = {  # of emoji, as Unicode numbers and calls them
    0: "smileys and emotion", 1: "people and body", 3: "animals and nature", 4: "food and drink",
    5: "travel and places", 6: "activities", 7: "objects", 8: "symbols", 9: "flags",
}  # fmt: skip
FOLDER = Path(__file__).resolve().parent.parent / "pretrained" / "readers"
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # `birds`; emoji.zip or its folder: {train,test}/{style}/NAME.png; or labelled data
    name: str | None = None  # of the reader of labelled data, e.g. lenet-mnist
    trunk: Literal["stages", "lenet"] | None = None  # default lenet for grey pictures of 28 px, else stages
    size: int = 32  # pixels of labelled data, for `stages`; lenet has 28
    width: int = 32  # of the first stage
    mirror: bool = False  # of labelled data: half of the batches mirrored
    steps: int = 4000  # batches of 64
    birds: int = 24_000  # drawn to learn from
    output: Path | None = None  # default pretrained/readers/NAME.safetensors


def everything(data, seed: int = 0):
    """All pictures and labels of a data set: [N, 3, S, S], [N]."""
    import torch

    samples = [data.sample(i, torch.Generator().manual_seed(seed)) for i in range(len(data))]
    return torch.stack([s["image"] for s in samples]), torch.tensor([s["label"] for s in samples])


def augmented(pictures, generator):
    """Each mirrored, turned by up to 12 degrees, scaled by 0.8 to 1.25 and moved by up to 8 % on white.

    What tells the styles apart must not be what is shown or where it lies.
    """
    import math

    import torch
    import torch.nn.functional as F

    def uniform(low, high):
        return low + (high - low) * torch.rand(len(pictures), generator=generator)

    angle, scale = uniform(-12, 12) * math.pi / 180, uniform(-0.22, 0.22).exp()
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [mirror * cos, -sin, uniform(-0.16, 0.16), mirror * sin, cos, uniform(-0.16, 0.16)]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures - 1, grid, mode="bilinear", align_corners=False) + 1


def flock(count: int, split: str, size: int):
    """Birds uint8 [count, 3, size, size] and the number of each attribute's value {head: [count]}."""
    import torch
    from tqdm import tqdm

    from datasets import birds

    world = birds.load("images", size, split)
    pictures = torch.empty(count, 3, size, size, dtype=torch.uint8)
    for i in tqdm(range(count), unit=" birds"):
        pictures[i] = torch.from_numpy(birds.draw(world.bird(i), size, "colour")).permute(2, 0, 1)
    named = [world.attributes(i) for i in range(count)]
    truth = {name: torch.tensor([v.index(t[name]) for t in named]) for name, v in birds.ATTRIBUTES.items()}
    return pictures, truth


def as_generated(pictures, generator):
    """uint8 to [-1, 1], mirrored, softened and made noisy at random: generated birds are not crisp either."""
    import torch
    import torch.nn.functional as F

    x = pictures.float() / 127.5 - 1
    x = x.flip(3) if torch.rand((), generator=generator) < 0.5 else x
    shape = len(x), 1, 1, 1
    soft = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    share, strength = (torch.rand(shape, generator=generator) for _ in range(2))
    return x + share * (soft - x) + 0.2 * strength * torch.randn(x.shape, generator=generator)


def birds_reader(settings: Settings) -> None:
    import torch

    from datasets.birds import ATTRIBUTES
    from translate.metrics import reader as readers

    pictures, truth = flock(settings.birds, "train", 128)
    torch.manual_seed(0)
    reader = readers.Reader(ATTRIBUTES, size=128)

    def batch(t: int):
        generator = torch.Generator().manual_seed(t)
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        return as_generated(pictures[chosen], generator), {k: v[chosen] for k, v in truth.items()}

    readers.fit(reader, batch, settings.steps)
    fresh, truth = flock(2000, "test", 128)
    right = readers.accuracy(reader, fresh.float() / 127.5 - 1, truth)
    for name, share in right.items():
        print(f"{name}: {share:.2%} of {len(fresh)} fresh birds read right")
    facts = {f"accuracy_{name}": f"{share:.4f}" for name, share in right.items()} | {"data": "birds"}
    output = settings.output or FOLDER / "birds.safetensors"
    readers.save(reader, output, facts)
    print(output)


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    if settings.data == "birds":
        birds_reader(settings)
    elif settings.name == "emoji-group":
        group_reader(settings)
    elif settings.name:
        classes_reader(settings)
    else:
        emoji_reader(settings)


def classes_reader(settings: Settings) -> None:
    """The class of a picture, from pictures moved by up to an eighth."""
    import torch

    import datasets
    from translate.metrics import reader as readers

    lenet = settings.trunk == "lenet" or (settings.trunk is None and settings.name.startswith("lenet"))
    size = 28 if lenet else settings.size
    found = dict(size=size, resize="resize", flip=False)
    train = datasets.load("labels", settings.data, **found)
    test = datasets.load("labels", settings.data, split="test", **found)
    known, classes = everything(train)
    known = (127.5 * (known + 1)).round().byte()
    torch.manual_seed(0)
    trunk, width = ("lenet", 20) if lenet else ("stages", settings.width)
    reader = readers.Reader({"class": tuple(train.info["classes"])}, size, width, trunk)

    def batch(t: int):
        generator = torch.Generator().manual_seed(t)
        chosen = torch.randint(len(known), (BATCH,), generator=generator)
        x = moved(known[chosen].float() / 127.5 - 1, generator)
        mirror = settings.mirror and bool(torch.rand((), generator=generator) < 0.5)
        return x.flip(3) if mirror else x, {"class": classes[chosen]}

    readers.fit(reader, batch, settings.steps)
    pictures, labels = everything(test)
    right = readers.accuracy(reader, pictures, {"class": labels})["class"]
    print(f"{right:.2%} of {len(labels)} test pictures read right")
    data = f"{train.info['name']}, {len(train)} training pictures"
    output = settings.output or FOLDER / f"{settings.name}.safetensors"
    readers.save(reader, output, {"test_accuracy": f"{right:.4f}", "data": data})
    print(output)


def moved(pictures, generator):
    """Each moved by up to an eighth of its side, its edges repeated."""
    import torch
    import torch.nn.functional as F

    side = pictures.shape[-1]
    most = side // 8
    wide = F.pad(pictures, (most,) * 4, mode="replicate")
    tops, lefts = torch.randint(2 * most + 1, (2, len(pictures)), generator=generator).tolist()
    cut = [x[:, i : i + side, j : j + side] for x, i, j in zip(wide, tops, lefts, strict=True)]
    return torch.stack(cut)


def table_of(data: str) -> str:
    """`captions.csv` of emoji.zip or its folder: split, file, name, tags, group, subgroup."""
    import zipfile

    if not data.endswith(".zip"):
        return (Path(data) / "captions.csv").read_text()
    with zipfile.ZipFile(data) as archive:
        return archive.read("captions.csv").decode()


def grouped(settings: Settings, part: str, every: int = 1):
    """Pictures [N, 3, size, size] of that part, each emoji in every style, and the places of their groups.

    every: 2 takes half of them.
    """
    import csv

    import torch

    import datasets

    rows = csv.DictReader(table_of(settings.data).splitlines())
    group, numbers = {row["file"]: int(row["group"]) for row in rows if row["group"]}, list(GROUPS)
    found = datasets.load(
        "labels", f"{settings.data}/{part}", size=settings.size, resize="resize", flip=False
    )
    samples = [found.sample(i, torch.Generator()) for i in range(0, len(found), every)]
    known = [(s["image"], group.get(Path(s["file"]).stem)) for s in samples]
    known = [(image, numbers.index(number)) for image, number in known if number in GROUPS]
    return torch.stack([image for image, _ in known]), torch.tensor([place for _, place in known])


def group_reader(settings: Settings) -> None:
    import torch

    from translate.metrics import reader as readers

    pictures, groups = grouped(settings, "train")
    torch.manual_seed(0)
    reader = readers.Reader({"group": tuple(GROUPS.values())}, settings.size, settings.width)

    def batch(t: int):
        generator = torch.Generator().manual_seed(t)
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        return augmented(pictures[chosen], generator), {"group": groups[chosen]}

    readers.fit(reader, batch, settings.steps)
    pictures, groups = grouped(settings, "test")
    right = readers.accuracy(reader, pictures, {"group": groups})["group"]
    most = float(groups.bincount().max() / len(groups))
    print(f"{right:.2%} of {len(groups)} test pictures read right; the largest group has {most:.2%}")
    facts = {"test_accuracy": f"{right:.4f}", "data": "emoji.zip (OpenMoji, Noto, Twemoji, Blobmoji)"}
    output = settings.output or FOLDER / "emoji-group.safetensors"
    readers.save(reader, output, facts)
    print(output)


def emoji_reader(settings: Settings) -> None:
    import torch

    import datasets
    from translate.metrics import reader as readers

    options = dict(size=128, resize="resize", flip=False)
    train = datasets.load("labels", f"{settings.data}/train", **options)
    test = datasets.load("labels", f"{settings.data}/test", **options)
    pictures, labels = everything(train)
    torch.manual_seed(0)
    reader = readers.Reader({"style": tuple(train.info["classes"])}, size=128)

    def batch(t: int):
        generator = torch.Generator().manual_seed(t)
        chosen = torch.randint(len(pictures), (BATCH,), generator=generator)
        return augmented(pictures[chosen], generator), {"style": labels[chosen]}

    readers.fit(reader, batch, settings.steps)
    pictures, labels = everything(test)
    right = readers.accuracy(reader, pictures, {"style": labels})["style"]
    print(f"{right:.2%} of {len(labels)} test pictures read right, styles {', '.join(train.info['classes'])}")
    facts = {"test_accuracy": f"{right:.4f}", "data": "emoji.zip (OpenMoji, Noto, Twemoji, Blobmoji)"}
    output = settings.output or FOLDER / "emoji-style.safetensors"
    readers.save(reader, output, facts)
    print(output)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
