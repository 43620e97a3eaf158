"""Train the readers that judge generated pictures: `python -m benchmarks.readers --data emoji.zip`.

emoji-style: which of the five styles of real emoji a picture is drawn in.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "pretrained" / "readers"


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # emoji.zip, or its folder: {train,test}/{style}/NAME.png
    steps: int = 4000  # batches of 64
    output: Path = FOLDER / "emoji-style.safetensors"


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


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
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
        chosen = torch.randint(len(pictures), (64,), generator=generator)
        return augmented(pictures[chosen], generator), {"style": labels[chosen]}

    readers.fit(reader, batch, settings.steps)
    pictures, labels = everything(test)
    right = readers.accuracy(reader, pictures, {"style": labels})["style"]
    print(f"{right:.2%} of {len(labels)} test pictures read right, styles {', '.join(train.info['classes'])}")
    facts = {"test_accuracy": f"{right:.4f}", "data": "emoji.zip (OpenMoji, Noto, Twemoji, Blobmoji)"}
    readers.save(reader, settings.output, facts)
    print(settings.output)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
