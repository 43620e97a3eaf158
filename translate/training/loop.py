"""The one training loop: fetch, reseed, step, log, watch, save. The same command again resumes."""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from translate.config import RunConfig
from translate.inputs import usage
from translate.task import Task
from translate.training.observers import Means, Observer, Previews, Seen, preview_batch, samples_for
from translate.training.processes import barrier, stoppable
from translate.training.run import Run, bf16_psnr, disk_errors
from translate.training.stream import Stream, mix, to_device
from translate.training.update import NonFinite, Steady, Update

__all__ = ["NonFinite", "Update", "train"]


def train(task: Task, dataset, config: RunConfig, held_out=None, observers: Sequence[Observer] = ()) -> Path:
    """Train to `config.steps` updates, from the newest complete state of `config.output` where there is one.

    held_out: dataset whose samples observers see (default: the training data). observers: called beside the
    previews. Returns the run folder. Raises UserError for what the user can mend; KeyboardInterrupt after
    Ctrl-C or SIGTERM, once the state is saved.
    """
    with Run(task, config, lambda: preview_batch(dataset, 2)) as run:
        if run.start >= config.steps:
            done = f"{run.folder} already has {run.start:,} of {config.steps:,} updates"
            run.say(f"{done}; raise --steps to train on")
            return run.folder
        with barrier(run.accelerator):
            task.before_training(dataset)
        watch = Watch(run, dataset, held_out, [Previews(config), *observers])
        stream = Stream(
            dataset, config.batch_size, config.seed, run.rank, run.world, config.workers, run.seen(0)
        )
        steady, norms = Steady(task), batch_norms(task)
        with (
            contextlib.closing(stream.starting_at(run.start * config.accumulate)) as batches,
            stoppable(run.accelerator, 60 * config.save_minutes) as ask,
            progress(run.seen(run.start), run.seen(config.steps), shown=run.first) as bar,
        ):
            for t in range(run.start, config.steps):
                torch.manual_seed(mix(config.seed, run.rank, t))
                watch.add(descend(run, t, batches, steady))
                average(norms, run)
                if config.ema:
                    task.update_average(t)
                bar.update(run.images)
                interrupted, late = ask()
                watch(t + 1, late, interrupted, bar)
                if interrupted and t + 1 < config.steps:
                    saved = f"stopped at update {t + 1:,}; state saved in {run.folder}"
                    bar.close()
                    raise KeyboardInterrupt(f"{saved}; the same command again continues")
        run.say(f"done: {run.folder}. Use it: {used_by(task.takes, run.folder)}")
    return run.folder


def used_by(takes: tuple[str, ...], folder: Path) -> str:
    """The command that uses a model, ready to be pasted."""
    output = "" if "shown" in takes else " --output OUT"
    return f"python -m translate {usage(takes)} --model {shlex.quote(str(folder))}{output}"


def descend(run: Run, t: int, batches: Iterator[dict], steady: Steady) -> list[dict[str, Tensor]]:
    """Update `t`: the logs of its `--accumulate` batches. Raises UserError where numbers are not finite."""
    found = []
    run.update.schedule(t)
    run.task.train()
    steady.keep()
    files: list[str] = []
    try:
        for number in range(run.config.accumulate):
            batch = next(batches)
            files += batch.get("file", [])
            run.update.begin(number)
            with torch.autocast(run.device.type, run.precision, enabled=run.precision is not None):
                found.append(run.task.step(to_device(batch, run.device, run.layout), t, run.update))
    except NonFinite as problem:
        steady.restore()
        run.refuse(t, problem, files)
    return found


class Watch:
    """What happens between two updates where it is due: a line of the log, observers, a state."""

    def __init__(self, run: Run, dataset, held_out, observers: Sequence[Observer]):
        self.run, self.observers = run, [observer for observer in observers if observer.every]
        self.means, self.norms = Means(), Means()
        self.logs: dict[str, float] = {}  # of the newest line, and the norms in it
        self.gradients: dict[str, float] = {}
        self.samples, self.few = {}, {}
        with barrier(run.accelerator):
            if run.first and self.observers:
                samples = samples_for(run.task, dataset, held_out, run.config.preview_count)
                self.samples = to_device(samples, run.device)
            if run.first and "image" in run.task.takes:
                self.few = to_device(samples_for(run.task, dataset, held_out, 4), run.device)

    def add(self, logs: list[dict[str, Tensor]]) -> None:
        """What one update told."""
        for each in logs:
            self.means.add(each)
        self.norms.add(self.run.update.norms)

    def __call__(self, t: int, late: bool, interrupted: bool, bar) -> None:
        """After update `t`. All processes come here with the same words."""
        run, config = self.run, self.run.config
        last = t == config.steps
        log = t % config.log_every == 0 or last
        due = [o for o in self.observers if o.due(t, config.steps, late)]
        save = t % config.save_every == 0 or late or last or interrupted
        if log:
            self.logs, self.gradients = (means.take(run.accelerator) for means in (self.means, self.norms))
            words = " ".join(f"{name} {value:.3g}" for name, value in self.logs.items())
            bar.set_postfix_str(f"step {t:,} {words}", refresh=sys.stderr.isatty())
        if not (log or due or save):
            return
        with barrier(run.accelerator), disk_errors(run.folder, t):
            line = self.logs | {f"gradient_{k}": v for k, v in self.gradients.items()} if log else {}
            if run.first:
                line |= self.ask(due, t)
            if line:
                run.note(t, line)
            if save and run.first:
                measured = bf16_psnr(run.task, self.few) if last and self.few else None
                run.save(t, bf16_psnr=measured)

    def ask(self, observers: list[Observer], t: int) -> dict[str, float]:
        """What the observers that are due have to say for the log."""
        run, found = self.run, {}
        for observer in observers:
            seen = Seen(t, self.logs, self.gradients, run.task, self.samples, run.folder, run.precision)
            found |= observer(seen) or {}
        return found


def batch_norms(task: Task) -> list[Tensor]:
    """The running means and variances of batch norms, which each process takes from its own pictures."""
    norms = [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [s for m in norms for s in (m.running_mean, m.running_var) if s is not None]


def average(running: list[Tensor], run: Run) -> None:
    """Put their mean over the processes in their place, so that all hold the same model."""
    if run.world == 1 or not running:
        return
    mean = run.accelerator.reduce(torch.cat(running), "mean")
    torch._foreach_copy_(running, list(mean.split([len(s) for s in running])))


def progress(done: int, total: int, shown: bool):
    """A bar with images/s and the time left; a line now and then where no terminal is."""
    from tqdm import tqdm

    seconds = 0.2 if sys.stderr.isatty() else 30
    return tqdm(
        initial=done, total=total, unit=" images", disable=not shown,
        mininterval=seconds, smoothing=0.05, dynamic_ncols=True,
    )  # fmt: skip
