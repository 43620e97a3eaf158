"""A mapper against a fixed discriminator fools it with garbage; in the game it draws the domain.

A lecture's domain discriminator and mapper (`models/translation/domain.py`): A are zeros, B are sevens. The
fixed D tells real ones apart and then takes nearly all that M makes for B. What M(A) is, a reader trained on
real digits says, which neither saw. Distance to B: MMD² of pixels.
"""

import torch

from datasets.base import Dataset, randint
from models.common import mmd
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures
from translate.figures.plots import rows
from translate.inference.catalog import HERE
from translate.metrics import reader
from translate.training.lesson import Lesson
from translate.training.stream import collate

A, B = "0", "7"


class Two(Dataset):
    """Two classes of pictures as unpaired domains."""

    def __init__(self, data):
        labels, names = data.labels, data.info["classes"]
        self.data = data
        self.numbers = [(labels == names.index(name)).nonzero()[:, 0].tolist() for name in (A, B)]
        channels = data.info["channels"]["image"]
        self.info = data.info | {"kind": "unpaired", "count": len(self.numbers[0]), "classes": []}
        self.info |= {"channels": {"a": channels, "b": channels}, "names": {"a": A, "b": B}}

    def sample(self, index: int, generator: torch.Generator) -> dict:
        other = randint(len(self.numbers[1]), generator)
        a, b = (self.data.sample(n[i], generator) for n, i in zip(self.numbers, (index, other), strict=True))
        return {"a": a["image"], "b": b["image"], "index": index, "file": f"{a['file']} | {b['file']}"}


def apart(made: torch.Tensor, real: torch.Tensor) -> float:
    """MMD² with kernels as wide as half, one and two times the data's own distances."""
    made, real = made.flatten(1), real.flatten(1)
    typical = float(mmd.squared_distances(real, real).median())
    return float(mmd.mmd2(made, real, mmd.rbf([typical * s / 2 for s in (0.5, 1.0, 2.0)])))


def draw(work: Work) -> Drawn:
    data = Two(pictures(work, "labels"))
    batch = collate([data.sample(i, torch.Generator().manual_seed(i)) for i in range(64)])
    shown, numbers = {"A": batch["a"], "B": batch["b"]}, {}
    numbers["MMD² of A to B"] = apart(batch["a"], batch["b"])
    options = dict(size=SIZE, channels=8, patch="70", norm_D="none", batch_size=8, learning_rate=4e-4)
    options |= dict(data=work.data, flip=False, alone=0.5, seed=work.seed, upsample="resize")
    net = reader.load(HERE / "pretrained" / "readers" / "lenet-mnist.safetensors")
    for name, fixed in (("a fixed D", True), ("the game", False)):
        work.say(f"training a mapper against {name}")
        steps = work.of(600, 20)
        lesson = Lesson.of("domain", data, fixed=fixed, steps=steps, channels_D=16, **options)
        lesson.learn(steps)
        with torch.no_grad():
            made, boundary = lesson.task.generate(batch["a"]), lesson.task.objective.boundary
            share = (lesson.task.belongs(made) > boundary).float().mean()
            if fixed:
                known = [lesson.task.belongs(batch[side]) > boundary for side in "ab"]
                right = torch.cat([~known[0], known[1]]).float().mean()
                numbers["real pictures that the fixed D names right"] = float(right)
        numbers[f"M(A) that {name} takes for B"] = float(share)
        numbers[f"M(A) against {name} that is read as {B}"] = net.share(made, "class", B)
        numbers[f"MMD² of M(A) to B, {name}"] = apart(made, batch["b"])
        shown[f"M(A) against {name}"] = made
    return Drawn(rows({title: many[:10] for title, many in shown.items()}, 10), numbers)
