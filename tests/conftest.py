"""What the tests of training share."""

import dataclasses
import os
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the networks are tiny; another split of sums rounds otherwise
os.environ.setdefault("ACCELERATE_USE_CPU", "true")

import numpy as np
import pytest
import torch
from PIL import Image

from tests.children import Trainer


class World:
    """Random pictures of any kind of data, in the protocol of `datasets`: all from (index, generator)."""

    def __init__(self, kind: str, size: int, count: int = 7, broken: int | None = None):
        self.keys = {"paired": ("a", "b"), "unpaired": ("a", "b"), "lowres": ("low", "high")}.get(
            kind, ("image",)
        )
        self.size, self.broken = size, broken
        self.frames = kind == "frames"
        if self.frames:
            self.keys = ("frames",)
        classes = ["x", "y"] if kind in ("labels", "sets") else []
        self.info = dict(kind=kind, name="world", count=count, channels=dict.fromkeys(self.keys, 3), bits=8)
        self.info |= dict(classes=classes, names={}, split="train")
        if kind == "captions":
            words = ["a", "bird", "number", *map(str, range(count + 1))]
            self.info["vocabulary"] = ["[PAD]", "[UNK]", "[CLS]", *words]

    def __len__(self) -> int:
        return self.info["count"]

    def order(self, epoch: int, seed: int) -> torch.Tensor:
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(1000 * seed + epoch))

    def sample(self, index: int, generator: torch.Generator) -> dict:
        sample = {"index": index, "file": f"picture-{index}.png"}
        for number, key in enumerate(self.keys):
            size = self.size // 4 if key == "low" else self.size
            fixed = torch.Generator().manual_seed(100 * index + number)
            picture = torch.rand(3, size, size, generator=fixed) * 2 - 1
            flipped = torch.rand((), generator=generator) < 0.5
            sample[key] = picture.flip(2) if flipped else picture
            if index == self.broken:
                sample[key] = sample[key] / 0.0
        if self.frames:  # five that fade
            sample["frames"] = torch.stack([sample["frames"] * (1 - 0.2 * place) for place in range(5)])
        if self.info["kind"] == "masked":
            sample["mask"] = torch.zeros(1, self.size, self.size)
            sample["mask"][:, index % 4 :: 2, 2 : self.size // 2] = 1
        if self.info["kind"] == "labels":
            sample["label"] = index % 2
        if self.info["kind"] == "captions":  # numbers of pictures as words
            sample |= {"caption": f"a bird number {index}", "wrong": f"a bird number {index + 1}"}
        return sample


def build(task_class: type, dataset, config=None):
    """A Task built the way `train.py` does it."""
    from translate.task import DataInfo

    config = config or task_class.tiny()
    torch.manual_seed(config.seed)
    return task_class(config, DataInfo.of(dataset.info))


@pytest.fixture
def learn(tmp_path):
    """learn(task class, dataset, **settings): the task after `train`; its folder is `task.config.output`."""
    from translate.training.loop import train

    def learn(task_class, dataset, previews=None, **settings):
        quiet = {"output": tmp_path / "run", "preview_every": 0, "mixed_precision": "no"}
        config = dataclasses.replace(task_class.tiny(), **(quiet | settings))
        task = build(task_class, dataset, config)
        train(task, dataset, config, previews)
        return task

    return learn


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of unpaired and of paired PNGs: trainA, trainB and pairs/train with A|B side by side."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i in range(7):
        a, b = (
            Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((24, 24)) for _ in "ab"
        )
        both = Image.new("RGB", (48, 24))
        both.paste(a, (0, 0))
        both.paste(b, (24, 0))
        for folder, picture in (("trainA", a), ("trainB", b), ("pairs/train", both)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            picture.save(root / folder / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def trainer(tmp_path_factory):
    """Runs `train.py` in child processes."""
    trainer = Trainer(tmp_path_factory.mktemp("trainer"))
    yield trainer
    trainer.close()


@pytest.fixture
def tiny_cyclegan(pictures) -> list[str]:
    """Flags of a CycleGAN with everything that must be resumed: pool, EMA, augmentation, schedule."""
    flags = f"--task cyclegan --data {pictures} --size 16 --load-size 20 --generator resnet6 --channels 4"
    return (
        f"{flags} --patch 16 --pool 3 --ema 0.9 --batch-size 2 --mixed-precision no --preview-every 0".split()
    )


@pytest.fixture
def shelf(models, tmp_path, monkeypatch):
    """The page's shelf over the test file's own `models`."""
    pytest.importorskip("gradio")
    from translate.ui.shelf import Shelf

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Shelf([models])
