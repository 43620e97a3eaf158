"""How a training runs: precision and memory layout, as told or measured, and kept for the life of the run."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from translate.calls import Layer, of_step
from translate.config import RunConfig
from translate.probe import Choice, Way, choose, shapes
from translate.task import Task
from translate.training import checkpoint
from translate.training.stream import to_device

DIGITS = {"no": "float32", "bf16": "bf16", "fp16": "fp16"}
WAYS = [Way(), Way(channels_last=False), Way("bf16")]


class Unfollowed(Exception):
    """A step that cannot be recorded without numbers; in float32 it can be trained."""


def way_of(task: Task, config: RunConfig, example: Callable[[], dict], device: torch.device) -> Choice:
    """What `--mixed-precision` says; `auto` is measured, on the layers of the last update of all.

    example: gives some samples of the data, of which the shapes count. device: where it will train.
    """
    if config.mixed_precision != "auto":
        return Choice(Way(DIGITS[config.mixed_precision]), reason="as told")
    batch = enlarged(example(), config.batch_size)
    pictures = [(name, tuple(v.shape)) for name, v in batch.items() if isinstance(v, torch.Tensor)]
    key = f"train {type(task).__module__} {config.batch_size} {pictures} {shapes(task)}"

    def layers() -> list[Layer]:
        try:
            return of_step(task, to_device(batch, next(task.parameters()).device), config.steps - 1)
        except Exception as error:  # whatever it does that shapes alone do not tell
            raise Unfollowed(f"its step needs data to be followed: {type(error).__name__}") from error

    try:
        return choose(key, layers, WAYS, device, train=True)
    except Unfollowed as problem:
        return Choice(WAYS[0], reason=str(problem))


def enlarged(batch: dict, n: int) -> dict:
    """A batch of n, its samples in turn."""
    places = [i % len(batch["index"]) for i in range(n)]
    return {k: v[places] if isinstance(v, torch.Tensor) else [v[i] for i in places] for k, v in batch.items()}


def saved(folder: Path) -> Choice | None:
    """How the run in this folder went so far, where it has come to a state that says so."""
    if states := checkpoint.states(folder):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # damaged: `resume` says so
            facts = json.loads((states[-1][1] / "state.json").read_text())
            return Choice(Way(**facts["way"]), reason="as the run began")
    return None


def agreed(accelerator, choose: Callable[[], Choice]) -> Choice:
    """The choice of the first process, in all of them."""
    choice = choose() if accelerator.is_main_process else Choice(Way(), reason="as the first process chose")
    if accelerator.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        found = broadcast_object_list([asdict(choice.way)])
        choice = replace(choice, way=Way(**found[0]))
    return choice
