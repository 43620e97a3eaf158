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
    """Mirrored, moved by up to 3 pixels: what tells the styles apart must not be where things lie."""
    import torch

    if torch.rand((), generator=generator) < 0.5:
        pictures = pictures.flip(3)
    dy, dx = torch.randint(-3, 4, (2,), generator=generator).tolist()
    return pictures.roll((dy, dx), (2, 3))


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
