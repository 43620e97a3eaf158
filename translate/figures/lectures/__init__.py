"""One file, one figure: see `translate.figures.lecture`. These look through everything, as programs do."""

from functools import lru_cache

import torch
from torch import Tensor

import datasets
from datasets.base import Dataset
from translate.figures.lecture import Work
from translate.task import Task
from translate.training.lesson import Lesson
from translate.training.stream import collate

SIZE = 28


def pictures(work: Work, kind: str = "images", split: str = "train", size: int = SIZE):
    """The work's data set, never mirrored."""
    return datasets.load(kind, work.data, size=size, split=split, resize="resize", flip=False)


def some(data, count: int, seed: int = 0) -> dict:
    """A batch of samples from all over a data set, the same for the same seed."""
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:count].tolist()
    return collate([data.sample(i, torch.Generator().manual_seed(i)) for i in chosen])


class InMemory(Dataset):
    """The first `count` samples of data with captions, drawn once; wrong captions are others of theirs."""

    def __init__(self, data, count: int):
        self.samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(count)]
        self.info = data.info | {"count": count}

    def sample(self, index: int, generator: torch.Generator) -> dict:
        other = int(torch.randint(1, len(self), (), generator=generator))
        return self.samples[index] | {"wrong": self.samples[(index + other) % len(self)]["caption"]}


def z(task: Task, count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, *task.noise_shape, generator=torch.Generator().manual_seed(seed))


@lru_cache(8)
def autoencoder(method: str, work: Work, **settings) -> Task:
    """The lectures' 784-400-20 (or another `latent`), trained on the work's digits: 5 epochs of MNIST."""
    work.say(f"training {method} on {work.data}")
    steps = work.of(3000, 60)
    options = dict(network="dense", size=SIZE, latent=20, batch_size=100, data=work.data, seed=work.seed)
    if method == "vae":
        options["likelihood"] = "bernoulli"
    lesson = Lesson.of(method, pictures(work), steps=steps, **options | settings)
    lesson.learn(steps)
    return lesson.task
