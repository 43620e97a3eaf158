"""One method = one file of `models/` = one Task."""

import contextlib
import copy
import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from translate import inputs
from translate.config import RunConfig, UserError, home, tasks

if TYPE_CHECKING:
    from translate.training.update import Update

__all__ = ["DataInfo", "Task", "UserError", "find", "names"]

names = tasks


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What a method must know of its data; saved with the model, so that inference needs no data."""

    kind: str  # "images" "paired" "unpaired" "labels" ...
    name: str  # what --data said
    count: int  # samples
    channels: dict[str, int]  # {"a": 3, "b": 3} or {"image": 1}
    bits: int = 8
    classes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()  # pieces of words, of captions
    captions: tuple[str, ...] = ()  # a few of them, to try
    names: dict[str, str] = field(
        default_factory=dict
    )  # human names of the domains: {"a": "line", "b": "openmoji"}
    split: str = "train"
    grey: str = ""  # of a pair, the side that is the grey of the other
    label_colours: dict[str, list] = field(default_factory=dict)  # of label maps: [value, colour inside]

    @classmethod
    def of(cls, facts: dict) -> "DataInfo":
        """From a data set's `info` or from JSON, where tuples are lists."""
        return cls(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
        )


class Task(nn.Module):
    """A method: its networks, its training step, its inference.

    All learning state is a parameter, a buffer or an optimizer; everything else is a function of (config, t).
    """

    Config: type[RunConfig] = RunConfig
    data: str  # the kind of data it learns from
    also: tuple[str, ...] = ()  # other kinds that it can learn from
    takes: tuple[str, ...]  # what generate() needs: names of `translate.inputs.INPUTS`
    exported: tuple[str, ...]  # submodules that inference needs
    directions: tuple[str, ...] = ("AtoB",)
    stride: int = 1  # inputs' height and width must be a multiple
    noise_shape: tuple[int, ...] = ()  # of one sample, where it takes noise
    code_names: dict[int, str] = {}  # places of the noise that mean something, by name, e.g. {62: "code 2"}
    frames_in: int = 0  # of a film, that it makes the next one from
    by_index: bool = False  # it looks things up by `batch["index"]`: previews then show training pictures
    exemplars: bool = (
        False  # in use, what it filled in is made again of known patches (inference/exemplar.py)
    )
    mixes: bool = False  # its label may be weights of all classes, [B, classes], as well as [B]
    enlarges: int = 1  # how many times larger its pictures are than the input, each way

    def __init__(self, config: RunConfig, info: DataInfo):
        super().__init__()
        self.config, self.info = config, info
        if info.kind == "points" and "points" not in (self.data, *self.also):
            name = type(self).__module__.rpartition(".")[2]
            raise UserError(f"{name} learns from {self.data}, not from points such as {info.name}; try gan")

    @property
    def begins(self) -> int:
        """The update from which all that is exported learns; what is drawn before it says nothing yet."""
        return 0

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One optimizer per network that `step` updates; `update(name, loss)` uses them by name."""
        raise TypeError(f"{type(self).__name__} must define optimizers()")

    def step(self, batch: dict, t: int, update: "Update") -> dict[str, Tensor]:
        """The paper's algorithm box for update `t`; returns detached scalars to log.

        batch: what the data's kind has, and `index`, long [B]: each picture's number in the training data.
        update: `update(name, loss)` descends, `update.mean(value)` is a mean over the processes.
        """
        raise TypeError(f"{type(self).__name__} must define step()")

    def generate(self, **given) -> Tensor:
        """Inference: from the inputs in `takes`, by name, to pictures [B, C', H', W'] in [-1, 1].

        A method that goes both ways also takes `direction`. A method with latents may have
        `encode(image)`, their inverse: pictures [B, C, H, W] to noise [B, *noise_shape].
        """
        raise TypeError(f"{type(self).__name__} must define generate()")

    def placed(self, noise: Tensor, generator: torch.Generator) -> Tensor:
        """What is used of one normal noise [*noise_shape], on the CPU, drawn from a seed: all as it is."""
        return noise

    def before_training(self, dataset) -> None:
        """Called before the first update of every start, resumed or not, on the task's device: may keep what
        it needs of the training data, as plain attributes, and set weights by it once."""

    def before_export(self) -> None:
        """Called before the model is written, e.g. to fit a distribution to codes: sets buffers or networks
        in `exported` that no step reads, so that when it is called does not matter to the training."""

    def forward(self, direction: str = "AtoB", **given) -> Tensor:
        """`generate`, told the direction where there are two."""
        way = {"direction": direction} if len(self.directions) > 1 else {}
        return self.generate(**given, **way)

    def sides(self, direction: str = "AtoB") -> tuple[str, str]:
        """What a batch calls the pictures that go in and those that come out, e.g. ("a", "b")."""
        keys = list(self.info.channels)
        return (keys[0], keys[-1]) if direction == "AtoB" else (keys[-1], keys[0])

    @classmethod
    def tiny(cls) -> RunConfig:
        """Settings that train in seconds on a CPU, for tests."""
        raise TypeError(f"{cls.__name__} must define tiny()")

    def lr_scale(self, t: int, name: str) -> float:
        """Factor on the learning rate of the optimizer `name` at update `t`, in closed form.

        linear: 1 over the first half, then down to 0 (CycleGAN: 100 epochs + 100 epochs of decay).
        """
        return self.scheduled(t, self.config.steps)

    def scheduled(self, t: int, T: int) -> float:
        """The schedule of `--lr-schedule` at update `t` of `T`."""
        if self.config.lr_schedule == "linear":
            return min(1.0, 2.0 * (1.0 - t / T))
        if self.config.lr_schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * t / T))
        return 1.0

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Columns of a preview picture: input, output and, where there is one, the truth."""
        columns = {}
        for direction in self.directions:
            source, target = self.sides(direction)
            made = self(direction=direction, **inputs.from_batch(self, batch, direction))
            if "image" in self.takes:
                columns |= {f"{source} input": batch[source], f"{direction} output": made}
            else:
                columns |= {"real": batch[source]} if len(self.takes) > 1 else {}
                columns["output"] = made
            if self.data == "paired":
                columns["truth"] = batch[target]
        return columns

    # --- moving average of the exported weights -------------------------------------------------------------

    def keep_average(self) -> None:
        """Start the moving average (Polyak 1992; `--ema`) as copies of the exported submodules."""
        self.averaged = nn.ModuleDict({name: copy.deepcopy(getattr(self, name)) for name in self.exported})
        self.averaged.requires_grad_(False)

    @torch.no_grad()
    def update_average(self, t: int) -> None:
        """w̄ <- β w̄ + (1 - β) w with β = min(decay, (1 + t) / (10 + t)): it forgets the start quickly."""
        beta = min(self.config.ema, (1 + t) / (10 + t))
        for name in self.exported:
            mean, live = self.averaged[name], getattr(self, name)
            if averages := list(mean.parameters()):  # a frozen text encoder has none here
                torch._foreach_lerp_(averages, list(live.parameters()), 1 - beta)
            for kept, new in zip(mean.buffers(), live.buffers(), strict=True):
                kept.copy_(new)

    @contextlib.contextmanager
    def using_average(self) -> Iterator[None]:
        """Inside, the exported names stand for their moving averages (where `--ema` keeps any)."""
        if not hasattr(self, "averaged"):
            yield
            return
        live = {name: getattr(self, name) for name in self.exported}
        try:
            for name in self.exported:
                setattr(self, name, self.averaged[name])
            yield
        finally:
            for name, module in live.items():
                setattr(self, name, module)


def find(name: str) -> type[Task]:
    """Import the file of a method and return its Task. Raises UserError naming the nearest method."""
    module = importlib.import_module(f"models.{home(name).parent.name}.{name}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__
    )
