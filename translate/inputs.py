"""What `generate()` may be given. A method says which by name in `takes`; all else about them is said here.

image   [B, C, H, W] in [-1, 1]
shown   the same, of models that name what they are shown: `generate` gives probabilities [B, labels]
frames  [B, T, C, H, W] in [-1, 1], oldest first
mask    [B, 1, H, W], 1 where the picture is to be filled, else 0
text    a list of B captions
label   [B] int64, numbers of `info.classes`
noise   [B, *noise_shape], normal
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from translate.config import UserError, nearest

if TYPE_CHECKING:
    from translate.task import DataInfo, Task


@dataclass(frozen=True)
class Input:
    """One of the names in `takes`."""

    key: str | None  # of a batch; None where data has none of it ("image": the side that is translated)
    flag: str  # where the command line takes it
    command: str  # of `python -m translate`, for a model in which no input above it in INPUTS occurs
    panel: str  # of the page, likewise
    draw: Callable[[Task, int, torch.Generator], Any] | None  # n of them from a seed; None: must be given


def draw_noise(task: Task, n: int, generator: torch.Generator, truncation: float = 0.0) -> Tensor:
    """[n, *noise_shape], one after the other, so that the first k of n are those of k.

    truncation: numbers farther from 0 are drawn anew; 0 is off.
    """
    drawn = []
    for _ in range(n):
        z = torch.randn(task.noise_shape, generator=generator)
        if truncation:
            torch.nn.init.trunc_normal_(z, a=-truncation, b=truncation, generator=generator)
        drawn.append(task.placed(z, generator))
    return torch.stack(drawn)


def draw_labels(task: Task, n: int, generator: torch.Generator) -> Tensor:
    """Every class in turn."""
    return torch.arange(n) % max(1, len(task.info.classes))


def draw_captions(task: Task, n: int, generator: torch.Generator) -> list[str]:
    """Those kept with the model, in turn."""
    known = task.info.captions or ("",)
    return [known[i % len(known)] for i in range(n)]


def draw_masks(task: Task, n: int, generator: torch.Generator) -> Tensor:
    """A square hole of half the side, anywhere: [n, 1, size, size]."""
    size, masks = task.config.size, torch.zeros(n, 1, task.config.size, task.config.size)
    for mask in masks:
        top, left = torch.randint(size - size // 2 + 1, (2,), generator=generator).tolist()
        mask[:, top : top + size // 2, left : left + size // 2] = 1
    return masks


INPUTS = {  # the first that a model takes leads: it chooses the command and the panel
    "image": Input("image", "IN", "image", "picture", None),
    "frames": Input("frames", "IN", "frames", "film", None),
    "text": Input("caption", "CAPTION", "text", "caption", draw_captions),
    "noise": Input(None, "--seed", "sample", "samples", draw_noise),
    "label": Input("label", "--label", "sample", "samples", draw_labels),
    "shown": Input("image", "IN", "classify", "naming", None),
    "mask": Input("mask", "--mask", "image", "picture", draw_masks),
}


def leading(takes: tuple[str, ...]) -> Input:
    """The input that chooses the command and the panel."""
    return next(found for name, found in INPUTS.items() if name in takes)


def usage(takes: tuple[str, ...]) -> str:
    """The command, and what it is given first, e.g. `image IN`."""
    first = leading(takes)
    return " ".join([first.command, *([] if first.flag.startswith("--") else [first.flag])])


def from_seed(task: Task, n: int, seed: int, **given: Any) -> dict[str, Any]:
    """Keywords for n pictures: what is given, the rest drawn from the seed. Raises UserError for the rest of
    what cannot be drawn."""
    values = {}
    for name in task.takes:
        if given.get(name) is not None:
            values[name] = given[name]
        elif (draw := INPUTS[name].draw) is not None:
            values[name] = draw(task, n, torch.Generator().manual_seed(seed))
        else:
            raise UserError(f"the model needs {name}, which cannot be drawn from a seed; give some")
    return values


def from_batch(task: Task, batch: dict[str, Any], direction: str = "AtoB") -> dict[str, Any]:
    """Keywords for a batch's own pictures; noise, and what the batch has not, follows from seed 0."""
    given = {name: batch.get(INPUTS[name].key) for name in task.takes if INPUTS[name].key}
    if "image" in task.takes:
        given["image"] = batch[task.sides(direction)[0]]
    if "frames" in task.takes:  # those after them are the truth
        given["frames"] = given["frames"][:, : task.frames_in or None]
    values = from_seed(task, len(batch["index"]), 0, **given)
    if "label" in values:  # -1: this picture's class is not known
        drawn = INPUTS["label"].draw(task, len(values["label"]), torch.Generator())
        values["label"] = torch.where(values["label"] < 0, drawn.to(values["label"].device), values["label"])
    return on_device(values, next(task.parameters()).device)


def on_device(values: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Tensors moved; captions as they are."""
    return {name: v.to(device) if isinstance(v, Tensor) else v for name, v in values.items()}


def label_weights(info: DataInfo, text: str) -> Tensor:
    """The shares of all classes [classes], which add up to 1, in `scream:0.7+wave:0.3`, or `scream+wave` for
    halves. Raises UserError for what is no class or no share."""
    weights = torch.zeros(len(info.classes))
    for part in text.split("+"):
        name, colon, share = part.strip().rpartition(":")
        try:
            value = float(share) if colon else 1.0
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise UserError(f"--label {text}: {part.strip()} should be a class and its share, such as x:0.5")
        weights[label_number(info, name if colon else part.strip())] += value
    if not weights.sum() > 0:
        raise UserError(f"--label {text}: the shares are 0")
    return weights / weights.sum()


def label_number(info: DataInfo, label: str | int) -> int:
    """The number of a class given by name or number. Raises UserError for one that is none."""
    if str(label) in info.classes:
        return info.classes.index(str(label))
    if str(label).isdecimal() and int(label) < len(info.classes):
        return int(label)
    few = ", ".join(info.classes[:8]) + (", ..." if len(info.classes) > 8 else "")
    hint = nearest(str(label), info.classes) or ";"
    raise UserError(f"there is no class {label!r}{hint} the {len(info.classes)} classes are {few}")
