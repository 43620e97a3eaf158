"""Whether a made picture is a copy: the training pictures most like it."""

import threading
import weakref
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import datasets
from datasets.base import DataError
from translate.config import UserError
from translate.inference.pipeline import Pipeline, Progress

MOST = 4000  # training pictures looked through, evenly from all over the data
SIDE = 16  # pixels, side of what is compared
TYPICAL = 400  # training pictures whose own distance to the nearest other is the measure


@dataclass(frozen=True)
class Found:
    """The nearest training pictures of one made picture."""

    pictures: list[Tensor]  # [C, S, S] in [-1, 1], the nearest first
    distances: list[float]  # root mean squares of differences, in multiples of what is typical in training
    files: list[str]

    @property
    def note(self) -> str:
        near = self.distances[0]
        verdict = "nearly a copy" if near < 0.3 else "rather like it" if near < 0.7 else "no copy"
        return (
            f"The nearest training picture ({self.files[0]}) is {near:.2f} times as far as training pictures "
            f"are from their own nearest: {verdict}."
        )


def small(pictures: Tensor) -> Tensor:
    """[N, C, H, W] to [N, features]."""
    return F.interpolate(pictures.float(), (SIDE, SIDE), mode="area").flatten(1)


class Nearest:
    """Small copies of a model's training pictures. Raises UserError where these are not here."""

    def __init__(self, pipeline: Pipeline, progress: Progress | None = None):
        task = pipeline.task
        options = datasets.options_of(task.config) | {"flip": False}
        try:
            self.data = datasets.load(task.data, task.config.data, size=task.config.size, **options)
        except (DataError, UserError, OSError) as error:
            raise UserError(f"The training pictures of {pipeline.name} are not here ({error}).") from None
        count = min(MOST, len(self.data))
        self.numbers = [i * len(self.data) // count for i in range(count)]
        rows = []
        for done, number in enumerate(self.numbers):
            rows.append(small(self.picture(number)[None]))
            if progress and done % 50 == 0:
                progress(done, count)
        self.known = torch.cat(rows)
        some = self.known[:: max(1, count // TYPICAL)]
        between = torch.cdist(some, self.known).sort(dim=1).values
        self.typical = float(between[:, min(1, count - 1)].median()) or 1.0

    def picture(self, number: int) -> Tensor:
        return self.data.sample(number, torch.Generator().manual_seed(0))["image"]

    def of(self, made: Tensor, count: int = 4) -> Found:
        """made: [C, S, S] in [-1, 1]."""
        distances = torch.cdist(small(made[None]), self.known)[0]
        near = distances.topk(min(count, len(self.numbers)), largest=False)
        numbers = [self.numbers[i] for i in near.indices.tolist()]
        files = [
            str(self.data.sample(n, torch.Generator().manual_seed(0)).get("file", n)).rpartition("/")[2]
            for n in numbers
        ]
        found = [self.picture(n) for n in numbers]
        return Found(found, [d / self.typical for d in near.values.tolist()], files)


known: weakref.WeakKeyDictionary[Pipeline, Nearest] = weakref.WeakKeyDictionary()
lock = threading.Lock()


def nearest(pipeline: Pipeline, progress: Progress | None = None) -> Nearest:
    """Those of a loaded model, looked through once."""
    with lock:
        if pipeline not in known:
            known[pipeline] = Nearest(pipeline, progress)
        return known[pipeline]
