"""Whether a made picture is a copy: the training pictures most like it."""

import hashlib
import os
import secrets
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import datasets
from datasets.base import DataError
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.ui.lanes import Lanes, Report
from translate.ui.words import W

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
        verdict = (
            W.nearest.nearly_a_copy
            if near < 0.3
            else W.nearest.rather_like_it
            if near < 0.7
            else W.nearest.no_copy
        )
        return W.nearest.verdict.format(file=self.files[0], distance=near, verdict=verdict)


def small(pictures: Tensor) -> Tensor:
    """[N, C, H, W] to [N, features]."""
    return F.interpolate(pictures.float(), (SIDE, SIDE), mode="area").flatten(1)


def cache_folder() -> Path:
    """Where small copies outlive the page: `$XDG_CACHE_HOME/translate`, or `~/.cache/translate`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "translate"


class Nearest:
    """Small copies of a model's training pictures, made in a thread of its own that gives way to jobs.

    They are kept on disk for the next start. Raises UserError where the pictures are not here.
    """

    def __init__(self, lanes: Lanes, pipeline: Pipeline):
        task = pipeline.task
        options = datasets.options_of(task.config) | {"flip": False}
        try:
            self.data = datasets.load(task.data, task.config.data, size=task.config.size, **options)
        except (DataError, UserError, OSError) as error:
            raise UserError(W.nearest.not_here.format(name=pipeline.name, error=error)) from None
        count = min(MOST, len(self.data))
        self.numbers = [i * len(self.data) // count for i in range(count)]
        about = [
            task.data,
            task.config.data,
            task.config.size,
            count,
            len(self.data),
            SIDE,
            sorted(options.items()),
        ]
        name = hashlib.sha256(repr(about).encode()).hexdigest()[:24]
        self.file, self.lanes = cache_folder() / f"nearest-{name}.safetensors", lanes
        self.done, self.known, self.failure = 0, None, None
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        try:
            self.known = self.cache_folder() if self.file.exists() else self.made()
            some = self.known[:: max(1, len(self.known) // TYPICAL)]
            between = torch.cdist(some, self.known).sort(dim=1).values
            self.typical = float(between[:, min(1, len(self.known) - 1)].median()) or 1.0
        except (UserError, OSError, SafetensorError) as error:  # of data that vanished meanwhile
            self.failure = error

    def cache_folder(self) -> Tensor:
        return load_file(self.file)["small"].float()

    def made(self) -> Tensor:
        rows = []
        for number in self.numbers:
            rows.append(small(self.picture(number)[None]))
            self.done = len(rows)
            if self.lanes.computing is not None:
                time.sleep(0.02)
        found = torch.cat(rows)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(f".{secrets.token_hex(4)}")
        save_file({"small": found.half()}, part)
        part.replace(self.file)
        return found.half().float()

    def wait(self, session: str, report: Report | None) -> None:
        """Until it is ready. Raises UserError, and Stopped where the session asks for it."""
        with self.lanes.beside(session, report) as job:
            while self.thread.is_alive():
                job.tell(
                    self.done / len(self.numbers),
                    W.nearest.progress.format(done=self.done, of=len(self.numbers)),
                )
                job.check()
                self.thread.join(0.1)
        if self.failure:
            raise UserError(W.nearest.unreadable.format(error=self.failure))

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


def prepared(lanes: Lanes, pipeline: Pipeline) -> Nearest:
    """Those of a loaded model, perhaps still at work. Raises UserError."""
    with lock:
        if pipeline not in known or known[pipeline].failure:
            known[pipeline] = Nearest(lanes, pipeline)
        return known[pipeline]


def nearest(lanes: Lanes, pipeline: Pipeline, session: str = "", report: Report | None = None) -> Nearest:
    """The same, ready. Raises UserError."""
    found = prepared(lanes, pipeline)
    found.wait(session, report)
    return found
