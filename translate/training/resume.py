"""Stop at any moment, run the same command again, get the same weights: what is saved and restored."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from translate.config import RunConfig, UserError, to_json
from translate.task import Task
from translate.training import checkpoint
from translate.training.update import Update

# Settings that may differ when a run is continued; all others belong to its result.
FREE = {
    "output",
    "workers",
    "cache",
    "save_every",
    "save_minutes",
    "keep_states",
    "preview_every",
    "preview_count",
}
FREE |= {"log_every", "report_to", "steps"}


def save(
    folder: Path, task: Task, update: Update, config: RunConfig, t: int, images: int, **measured: float | None
) -> None:
    """Write the model, then the state that update `t` starts from, so that no state lacks its model.

    measured: facts for `config.json`.
    """
    tensors = {f"task.{k}": v for k, v in task.state_dict().items()}
    for name, optimizer in update.optimizers.items():
        tensors |= checkpoint.optimizer_tensors(name, optimizer)
    facts = {
        "t": t,
        "images": images,
        "processes": update.accelerator.num_processes,
        "config": to_json(config),
        "info": dataclasses.asdict(task.info),
        "scalers": {name: scaler.state_dict() for name, scaler in update.scalers.items()},
    }
    checkpoint.write_model(folder, task, t, images, **measured)
    checkpoint.write_state(folder, t, tensors, facts, config.keep_states)


def resume(folder: Path, task: Task, update: Update, config: RunConfig) -> tuple[int, list[str]]:
    """Load the newest complete state: (updates done, lines that say so and what differs from the run so far).

    Raises UserError where the folder holds a run with other settings.
    """
    found = checkpoint.states(folder)
    if not found:
        return 0, []
    t, path = found[-1]
    tensors, facts = checkpoint.read_state(path)
    before, now = facts["config"], to_json(config)
    for k in now:
        if k not in FREE and k in before and before[k] != now[k]:
            raise UserError(
                f"{folder} holds a run with --{k.replace('_', '-')} {before[k]}, this command says {now[k]}; "
                f"use the same value to continue it or another --output to start anew"
            )
    try:
        task.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("task.")})
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit this version's networks or this data: {str(error).splitlines()[-1].strip()}"
        ) from None
    for name, optimizer in update.optimizers.items():
        checkpoint.load_optimizer(name, optimizer, tensors)
    for name, scaler in update.scalers.items():
        scaler.load_state_dict(facts["scalers"][name])
    remarks = [f"{folder} continues at update {t:,}"]
    if before["steps"] != now["steps"] and config.lr_schedule != "constant":
        remarks.append(
            f"note: --steps was {before['steps']}, is {now['steps']}: the learning-rate schedule changes too"
        )
    samples, processes = facts["info"]["count"], facts["processes"]
    if samples != task.info.count:
        remarks.append(f"note: the data had {samples:,} samples, has {task.info.count:,}: the order changes")
    if processes != (now_running := update.accelerator.num_processes):
        remarks.append(f"note: the run had {processes} processes, has {now_running}: the order changes")
    return t, remarks


def start_from(folder: Path, task: Task) -> str:
    """Give a new run the weights of another run (its newest state) or of a model folder, where they fit.

    Returns a line that names the networks of which not all fits. Raises UserError where nothing does.
    """
    if found := checkpoint.states(folder):
        tensors = {
            k[5:]: v for k, v in checkpoint.read_state(found[-1][1])[0].items() if k.startswith("task.")
        }
    else:
        tensors = checkpoint.read_weights(folder)
    networks = {name for name, module in task.named_children() if next(module.parameters(), None) is not None}
    own = {k: v for k, v in task.state_dict().items() if k.split(".")[0] in networks}
    fits = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    if not fits:
        raise UserError(
            f"--init-from {folder}: none of its {len(tensors)} tensors fits these networks; "
            "use the --task and widths it was trained with"
        )
    task.load_state_dict(fits, strict=False)
    new = sorted({k.split(".")[0] for k in own if k not in fits})
    return f"started from {folder}; " + (f"not all of {', '.join(new)} fits" if new else "everything fits")


def prepare(folder: Path) -> None:
    """Make the output folder and prove that it can be written. Raises UserError."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"--output {folder} cannot be written: {reason(error)}; {last_good(folder)}. "
            "Make it writable or choose another folder"
        ) from None


@contextlib.contextmanager
def telling(folder: Path, t: int) -> Iterator[None]:
    """Turn a failed write (disk full, folder gone) into one sentence that names the last good state."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"update {t:,}: cannot write to {folder}: {reason(error)}; {last_good(folder)}. "
            "Mend it and run the same command again"
        ) from error


def reason(error: OSError) -> str:
    return error.strerror or " ".join(str(error).split())


def last_good(folder: Path) -> str:
    try:
        found = checkpoint.states(folder)
    except OSError:
        found = []
    return f"the last good state is {found[-1][1]}" if found else "no state was saved yet"
