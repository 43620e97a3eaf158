"""The run folder: prepare, resume, note, save. What is in it is said in `checkpoint`.

Stop at any moment, run the same command again, get the same weights.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from translate import inputs
from translate.config import RunConfig, UserError, nearest, to_json
from translate.probe import Choice
from translate.task import Task
from translate.training import changes, checkpoint
from translate.training.lock import locked
from translate.training.processes import barrier, gathered
from translate.training.update import NonFinite, Update
from translate.training.way import agreed, saved, way_of


class Run:
    """One training's folder, from here on: `start` is the update it begins with.

    Made in all processes alike; the first one alone writes. Used as a context, which holds the folder's lock
    and closes trackers. Raises UserError where the folder cannot be had or holds another run.
    """

    def __init__(self, task: Task, config: RunConfig, example: Callable[[], dict]):
        """example: gives a batch of the data, by whose shapes `auto` is measured."""
        from accelerate import Accelerator

        self.task, self.config, self.folder = task, config, Path(config.output)
        self.example = example
        self.accelerator = Accelerator(log_with=trackers(config), project_dir=self.folder)
        self.world, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        self.device, self.first = self.accelerator.device, self.accelerator.is_main_process
        self.images = config.batch_size * self.world * config.accumulate  # of one update
        self.start, self.before = 0, 0  # updates, and pictures seen in them
        self.changes: list[dict] = []  # made on purpose, up to here
        self.stack = contextlib.ExitStack()
        check_launch(self.world)

    def __enter__(self) -> "Run":
        try:
            with barrier(self.accelerator):
                if self.first:
                    prepare(self.folder)
                    self.stack.enter_context(locked(self.folder))
            self.begin()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        with self.stack, contextlib.suppress(OSError):  # even where the disk is full
            self.accelerator.end_training()

    def begin(self) -> None:
        """Weights to start from, onto the device, the newest state, the log up to there, trackers."""
        config, task, remarks = self.config, self.task, []
        begun = bool(checkpoint.states(self.folder))
        with barrier(self.accelerator):
            if config.init_from and not begun:
                remarks.append(start_from(config.init_from, task))
        if config.ema:
            task.keep_average()
        task.to(self.device)
        self.choice = agreed(self.accelerator, self.chosen)
        self.precision, self.layout = self.choice.way.autocast, self.choice.way.memory_format
        self.update = Update(task, config, self.accelerator, self.precision)
        with barrier(self.accelerator):
            remarks += self.resume()
        check_shared(self.accelerator, self.folder, self.start)
        if self.start >= config.steps:
            return
        self.say(*remarks)
        if config.mixed_precision == "auto":
            self.say(f"runs in {self.choice}")
        with barrier(self.accelerator), disk_errors(self.folder, self.start):
            if self.first:
                truncate(self.folder / "logs.jsonl", self.start)
            if config.report_to:
                start_trackers(self.accelerator, config)

    def chosen(self) -> Choice:
        """How it runs: as it began, as told, or as is fastest here."""
        auto = self.config.mixed_precision == "auto"
        return auto and saved(self.folder) or way_of(self.task, self.config, self.example, self.device)

    def say(self, *lines: str) -> None:
        """Of several processes, one speaks."""
        for line in lines if self.first else []:
            print(line)

    def seen(self, t: int) -> int:
        """Pictures that the first `t` updates see; a run may have gone on with other batches."""
        return self.before + (t - self.start) * self.images

    def resume(self) -> list[str]:
        """Load the newest complete state, where there is one: lines that say so and what is another now.

        Raises UserError where the folder holds a run with other settings.
        """
        found = checkpoint.states(self.folder)
        if not found:
            return []
        t, path = found[-1]
        tensors, facts = checkpoint.read_state(path)
        made = changes.changes(self.folder, facts["config"], to_json(self.config), t)
        try:
            self.task.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("task.")})
        except RuntimeError as error:
            what = str(error).splitlines()[-1].strip()
            reason = f" or {changes.flag(made[0]['setting'])} {made[0]['now']}" if made else ""
            raise UserError(
                f"{path} does not fit this version's networks or this data{reason}: {what}"
            ) from None
        for name, optimizer in self.update.optimizers.items():
            checkpoint.load_optimizer(name, optimizer, tensors)
        for name, scaler in self.update.scalers.items():
            scaler.load_state_dict(facts["scalers"][name])
        self.start, self.before = t, facts["images"]
        self.changes = facts.get("changes", []) + made
        noted = [f"note: {changes.sentence(change)}" for change in made]
        return [f"{self.folder} continues at update {t:,}", *noted, *self.differences(facts)]

    def differences(self, facts: dict) -> list[str]:
        """What changes the course of a run that goes on."""
        remarks, before = [], facts["config"]["steps"]
        if before != self.config.steps and self.config.lr_schedule != "constant":
            remarks.append(
                f"note: --steps was {before}, is {self.config.steps}: the learning-rate schedule changes too"
            )
        samples, now = facts["info"]["count"], self.task.info.count
        if samples != now:
            remarks.append(f"note: the data had {samples:,} samples, has {now:,}: the order changes")
        if facts["processes"] != self.world:
            remarks.append(
                f"note: the run had {facts['processes']} processes, has {self.world}: the order changes"
            )
        return remarks

    def note(self, t: int, values: dict[str, float]) -> None:
        """One more line of `logs.jsonl`, and to the trackers. Raises OSError."""
        images = self.seen(t)
        if self.config.report_to:
            rates = {f"lr_{name}": self.task.lr_scale(t, name) for name in self.update.optimizers}
            self.accelerator.log(values | rates | {"images": images}, step=t)
        if self.first:
            entry = {"step": t, "images": images, "time": round(time.time(), 1)}
            with (self.folder / "logs.jsonl").open("a") as file:
                file.write(json.dumps(entry | {k: float(f"{v:.6g}") for k, v in values.items()}) + "\n")

    def save(self, t: int, **measured: float | None) -> None:
        """Write the model, then the state that update `t` starts from, so that no state lacks its model.

        measured: facts for `config.json`.
        """
        tensors = {f"task.{k}": v for k, v in self.task.state_dict().items()}
        for name, optimizer in self.update.optimizers.items():
            tensors |= checkpoint.optimizer_tensors(name, optimizer)
        facts = {
            "t": t,
            "images": self.seen(t),
            "changes": self.changes,
            "processes": self.world,
            "config": to_json(self.config),
            "info": dataclasses.asdict(self.task.info),
            "way": dataclasses.asdict(self.choice.way),
            "scalers": {name: scaler.state_dict() for name, scaler in self.update.scalers.items()},
        }
        checkpoint.write_model(self.folder, self.task, t, self.seen(t), **measured)
        if self.changes:
            changes.on_card(self.folder, self.changes)
        checkpoint.write_state(self.folder, t, tensors, facts, self.config.keep_states)

    def refuse(self, t: int, problem: NonFinite, files: list[str]) -> None:
        """Non-finite numbers: save what is still sound, then say where it happened and what helps.

        A network that this update moved before it failed at another one stays moved. Raises UserError.
        """
        files = gathered(self.accelerator, files if problem.here else [])
        with barrier(self.accelerator):
            if not self.first:
                return
            kept = "the weights are damaged: the last good state is kept"
            values = [v for v in self.task.state_dict().values() if v.is_floating_point()]
            if all(bool(torch.isfinite(v).all()) for v in values):
                with disk_errors(self.folder, t):
                    self.save(t)
                kept = f"state saved in {self.folder}"
            names = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
            raise UserError(
                f"update {t:,}: {problem}; files of the batch: {names}; {kept}. Mend these files and run "
                "the same command again, if need be with --allow-change and a lower --learning-rate, "
                "or start anew elsewhere (--output) with --clip 1 or --mixed-precision no"
            )


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
def disk_errors(folder: Path, t: int) -> Iterator[None]:
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


def truncate(path: Path, start: int) -> None:
    """Drop lines after the state that training resumes from, and a line that a kill cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
    checkpoint.replace_file(path, lambda new: new.write_text("".join(kept)))


def check_launch(world: int) -> None:
    """Raises UserError where processes do not know of each other: each would overwrite the other's run."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != world:
        raise UserError(
            f"{started} processes were started, but Accelerate sees {world}: "
            "without GPUs, set ACCELERATE_USE_CPU=true before torchrun"
        )


def check_shared(accelerator, folder: Path, start: int) -> None:
    """Raises UserError where the processes (of several machines) see different states."""
    if accelerator.num_processes > 1:
        starts = accelerator.gather(torch.tensor([start], device=accelerator.device)).tolist()
        if len(set(starts)) > 1:
            raise UserError(
                f"the processes see different states in {folder} (updates {starts}): "
                "--output must be a folder that all machines share"
            )


def trackers(config: RunConfig) -> list[str] | None:
    """Names for Accelerate's trackers. Raises UserError where one is unknown or not installed."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    known = [str(name) for name in LOGGER_TYPE_TO_CLASS]
    for name in config.report_to:
        if name not in known:
            closest = nearest(name, known) or "."
            raise UserError(f"--report-to {name}: unknown{closest} The trackers are {', '.join(known)}")
        if importlib.util.find_spec(name) is None:
            raise UserError(f"--report-to {name}: the package is not installed; `pip install {name}`")
    return list(config.report_to) or None


def start_trackers(accelerator, config: RunConfig) -> None:
    """Begin a run called like the output folder, under `translate` where the tracker has projects."""
    name = {"name": Path(config.output).name}
    values = {k: str(v) for k, v in to_json(config).items()}
    accelerator.init_trackers("translate", config=values, init_kwargs={"wandb": name, "trackio": name})


@torch.no_grad()
def bf16_psnr(task: Task, batch: dict) -> float:
    """How faithful the translation is in bfloat16: PSNR in dB to float32's, of the worse direction.

    Inference takes the fast path where this is high enough. batch: on the task's device.
    """
    task.eval()
    device, found = batch["index"].device, []
    with task.using_average():
        for direction in task.directions:
            given = inputs.from_batch(task, batch, direction)
            exact = task(direction=direction, **given).float()
            with torch.autocast(device.type, torch.bfloat16):
                fast = task(direction=direction, **given).float()
            found.append(10 * torch.log10(4 / (fast - exact).square().mean().clamp(min=1e-10)))
    return round(float(min(found)), 2)
