"""Run folder = model folder: states to resume from, and the model that the command line and the page use.

A state is written to a temporary folder, fsynced, renamed, and marked `complete` last: a kill at any moment
leaves either the old state or the new one. Nothing is pickled.
"""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from translate.config import RunConfig, UserError, from_json, to_json
from translate.inputs import leading
from translate.task import DataInfo, Task, find

MARK = "complete"


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, write) -> None:
    """`write(temporary path)`, then put it in place of `path`: readers see the old file or the new one."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file. Raises OSError, also where safetensors has its own class for a full disk."""
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path, metadata)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(error)) from error


def states(folder: Path) -> list[tuple[int, Path]]:
    """Complete states as (updates done, path), the oldest first."""
    return [(t, path) for t, path in begun(folder) if (path / MARK).exists()]


def begun(folder: Path) -> list[tuple[int, Path]]:
    """The same, with those that a kill left without their mark."""
    numbers = [(re.fullmatch(r"state-(\d+)", path.name), path) for path in folder.glob("state-*")]
    return sorted((int(number[1]), path) for number, path in numbers if number)


def write_state(folder: Path, t: int, tensors: dict[str, Tensor], facts: dict, keep: int) -> Path:
    """Save all that update `t` starts from, then delete all but the newest `keep` states. Raises OSError.

    A complete state of update `t` stays as it is: everything in it is a function of the settings and `t`.
    """
    final, partial = folder / f"state-{t:06d}", folder / f".state-{t:06d}.partial"
    if (final / MARK).exists():
        return final
    unmarked = [path for _, path in begun(folder) if not (path / MARK).exists()]
    for leftover in [*folder.glob(".state-*.partial"), *unmarked]:  # of a kill
        shutil.rmtree(leftover)
    try:
        partial.mkdir(parents=True)
        save_tensors(tensors, partial / "state.safetensors")
        (partial / "state.json").write_text(json.dumps(facts, indent=1))
        for file in partial.iterdir():
            sync(file)
        sync(partial)
        os.replace(partial, final)
        sync(folder)
        replace_file(final / MARK, lambda path: path.write_text(""))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for _, old in states(folder)[:-keep]:
        (old / MARK).unlink()
        shutil.rmtree(old)
    return final


def read_state(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and facts of one state. Raises UserError where it is damaged."""
    try:
        return load_file(folder / "state.safetensors"), json.loads((folder / "state.json").read_text())
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{folder} is damaged ({error}); delete it to resume from the state before it"
        ) from None


def optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as flat names: `optimizer.<name>.<parameter number>.<key>`."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{name}.{i}.{key}": v for i, values in state.items() for key, v in values.items()}


def load_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`; learning rates come from the settings, not from the state.

    Raises UserError where a tensor has not the shape of its parameter: the optimizer was another one.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    prefix, state = f"optimizer.{name}.", {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            number, entry = key[len(prefix) :].split(".", 1)
            state.setdefault(int(number), {})[entry] = value
            if value.ndim and (
                int(number) >= len(parameters) or value.shape != parameters[int(number)].shape
            ):
                raise UserError(
                    f"the saved optimizer {name} is of another version; begin a new --output "
                    "with --init-from this run's folder to go on from its weights"
                )
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def exported_tensors(task: Task) -> dict[str, Tensor]:
    """What inference needs, the moving averages in place of the live weights where there are any."""
    with task.using_average():
        return {
            f"{name}.{k}": v for name in task.exported for k, v in getattr(task, name).state_dict().items()
        }


def write_model(
    folder: Path,
    task: Task,
    steps: int,
    images: int = 0,
    dtype: torch.dtype | None = None,
    **measured: float | None,
) -> Path:
    """Write `config.json`, `weights.safetensors` and, where there is none, a card. Returns the folder.

    dtype: torch.float16 halves shipped weights; None keeps them. measured: more facts for `config.json`, such
    as bf16_psnr. Raises OSError.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    task.before_export()
    tensors = {
        key: value.to(dtype if dtype and value.is_floating_point() else value.dtype)
        for key, value in exported_tensors(task).items()
    }
    name = type(task).__module__.split(".")[-1]
    facts = {
        "task": name,
        "config": to_json(task.config),
        "info": dataclasses.asdict(task.info),
        "steps": steps,
        "images": images,
        "versions": {"torch": torch.__version__.split("+")[0]},
    } | {name: value for name, value in measured.items() if value is not None}
    replace_file(folder / "weights.safetensors", lambda path: save_tensors(tensors, path))
    replace_file(folder / "config.json", lambda path: path.write_text(json.dumps(facts, indent=1)))
    if not (folder / "README.md").exists():
        replace_file(folder / "README.md", lambda path: path.write_text(card(name, task, folder.name)))
    return folder


TAGS = {"image": "image-to-image", "text": "text-to-image", "frames": "image-to-video"}  # the Hub's names


def card(name: str, task: Task, title: str) -> str:
    """A first model card, to be completed by hand: data, terms, scores."""
    info = task.info
    domains = " to ".join(info.names.values()) or info.kind
    data = Path(info.name).name if info.name else " and ".join(info.names.values())
    return f"""---
library_name: translate
pipeline_tag: {TAGS.get(leading(task.takes).command, "unconditional-image-generation")}
tags: [{name}]
---
# {title}

`{name}` trained on {info.count:,} samples of `{data}` ({domains}) at {task.config.size} px.
Settings: `config.json`.

Not yet written: the terms of the data, scores, what the model cannot do.
"""


def read_config(folder: Path) -> tuple[type[Task], RunConfig, DataInfo, dict]:
    """Method, settings, data facts and the whole `config.json` of a model folder. Raises UserError."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / "config.json").read_text())
        task_class = find(facts["task"])
        config = from_json(task_class.Config, facts["config"])
        info = DataInfo.of(facts["info"])
    except FileNotFoundError:
        raise UserError(f"{folder} is no model folder: it has no config.json") from None
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}/config.json cannot be used: {error}; train again or restore it") from None
    return task_class, config, info, facts


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The exported weights of a model folder. Raises UserError."""
    try:
        return load_file(Path(folder) / "weights.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder}/weights.safetensors cannot be read: {error}; train again or restore it"
        ) from None


def read_model(folder: Path, device: str | torch.device = "cpu") -> Task:
    """A trained Task in eval mode with its exported weights (float32). Raises UserError if it is no model.

    It is built without memory (on torch's `meta` device), then given the weights of the file: what training
    alone needs, as a table of codes for a million pictures, is never allocated.
    """
    folder = Path(folder)
    task_class, config, info, _ = read_config(folder)
    tensors = read_weights(folder)
    with torch.device("meta"):
        task = task_class(config, info)
    for name in task.exported:
        own = {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(name + ".")}
        try:
            getattr(task, name).load_state_dict(own, assign=True)
        except RuntimeError as error:
            first = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
            raise UserError(f"{folder}: the weights of {name} do not fit config.json: {first}") from None
    own = [*task._modules, *task._parameters, *task._buffers]
    for name in [name for name in own if name not in task.exported]:
        delattr(task, name)  # discriminators, pools, a k: not needed to use the model
    for name, value in [*task.named_parameters(), *task.named_buffers()]:
        if value.is_meta:
            raise TypeError(
                f"{type(task).__name__}.{name} is in no file: what __init__ computes for inference must be a "
                'persistent buffer of an exported module, or be made with device="cpu"'
            )
    return task.float().to(device).eval()
