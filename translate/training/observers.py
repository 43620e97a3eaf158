"""Who watches a training: functions of what it has come to, called at times that follow from `t` alone."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from translate import figures
from translate.config import RunConfig
from translate.task import Task
from translate.training import checkpoint
from translate.training.stream import collate


@dataclass(frozen=True)
class Seen:
    """What an observer is shown after update `t`."""

    t: int
    logs: dict[str, float]  # of the newest line of logs.jsonl
    norms: dict[str, float]  # of the gradients, by optimizer, likewise
    task: Task
    samples: dict  # a batch of held-out pictures, on the task's device; see `samples_for`
    folder: Path
    precision: torch.dtype | None

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """Inside, the task answers as it will be used: moving averages, eval mode, no gradients."""
        self.task.eval()
        device = next(self.task.parameters()).device.type
        with torch.no_grad(), self.task.using_average():
            with torch.autocast(device, self.precision, enabled=self.precision is not None):
                yield


class Observer:
    """Called in the first process with a `Seen`, every `every` updates and after the last; 0: never.

    What it returns is written to `logs.jsonl` and to the trackers.
    """

    every: int = 0
    hasty: bool = False  # also when `--save-minutes` have passed

    def due(self, t: int, steps: int, late: bool = False) -> bool:
        return bool(self.every) and (t % self.every == 0 or t == steps or late and self.hasty)

    def __call__(self, seen: Seen) -> dict[str, float] | None:
        raise TypeError(f"{type(self).__name__} must define __call__()")


class Previews(Observer):
    """`previews/step-NNNNNNNN.png`: inputs, outputs and truths."""

    hasty = True

    def __init__(self, config: RunConfig):
        self.every = config.preview_every

    def __call__(self, seen: Seen) -> None:
        with seen.inference():
            picture = figures.grid(seen.task.preview(seen.samples), notes=seen.samples.get("caption"))
        path = seen.folder / "previews" / f"step-{seen.t:08d}.png"
        path.parent.mkdir(exist_ok=True)
        checkpoint.replace_file(path, lambda new: picture.save(new, format="PNG"))


def samples_for(task: Task, dataset, held_out, count: int) -> dict:
    """A batch to watch: held-out samples, but training ones where the method looks things up by their index.

    held_out: None where there are none.
    """
    return preview_batch(dataset if held_out is None or task.by_index else held_out, count)


def preview_batch(dataset, count: int) -> dict:
    """Samples from all over the data (neighbours are often alike), augmented alike every time.

    `previewed` of a data set is the least number: of points, a cloud.
    """
    count = min(max(count, getattr(dataset, "previewed", 0)), len(dataset))
    chosen = [i * len(dataset) // count for i in range(count)]
    return collate([dataset.sample(i, torch.Generator().manual_seed(i)) for i in chosen])


class Means:
    """Running means of a step's logs between two lines of `logs.jsonl`."""

    def __init__(self):
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, logs: dict[str, Tensor]) -> None:
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float()
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self, accelerator) -> dict[str, float]:
        """The means over steps and processes since the last call."""
        names, counts = [*self.sums], self.counts
        means = [self.sums[name].reshape(()).to(accelerator.device) / counts[name] for name in names]
        self.sums, self.counts = {}, {}
        if not names:
            return {}
        # In one message and one wait for the device, however many there are.
        return dict(zip(names, accelerator.reduce(torch.stack(means), "mean").tolist(), strict=True))
