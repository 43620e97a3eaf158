"""The one training loop: fetch, reseed, step, log, preview, save. The same command again resumes."""

import contextlib
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from translate.config import RunConfig, UserError
from translate.inputs import usage
from translate.task import Task
from translate.training import checkpoint, record
from translate.training.processes import gathered, stoppable, together
from translate.training.record import Means
from translate.training.resume import prepare, resume, save, start_from, telling
from translate.training.stream import Stream, mix, to_device
from translate.training.update import NonFinite, Update, precision_of

__all__ = ["NonFinite", "Update", "precision_of", "train"]


def train(task: Task, dataset, config: RunConfig, previews=None) -> Path:
    """Train to `config.steps` updates, from the newest complete state of `config.output` where there is one.

    previews: dataset whose first samples fill the preview pictures (default: the training data).
    Returns the run folder. Raises UserError for what the user can mend; KeyboardInterrupt after Ctrl-C or
    SIGTERM, once the state is saved.
    """
    from accelerate import Accelerator

    folder = Path(config.output)
    accelerator = Accelerator(log_with=record.trackers(config), project_dir=folder)
    world, device, first = accelerator.num_processes, accelerator.device, accelerator.is_main_process
    check_launch(world)
    images = config.batch_size * world * config.accumulate  # of one update
    with together(accelerator):
        if first:
            prepare(folder)
    begun = bool(checkpoint.states(folder))
    with together(accelerator):
        source = start_from(config.init_from, task) if config.init_from and not begun else ""
    if config.ema:
        task.keep_average()
    task.to(device)
    precision = precision_of(config, device)
    update = Update(task, config, accelerator, precision)
    with together(accelerator):
        start, remarks = resume(folder, task, update, config)
    check_shared(accelerator, folder, start)
    if start >= config.steps:
        if first:
            print(f"{folder} already has {start:,} of {config.steps:,} updates; raise --steps to train on")
        return folder
    with together(accelerator):
        if first:
            for remark in filter(None, [source, *remarks]):
                print(remark)
            with telling(folder, start):
                record.truncate(folder / "logs.jsonl", start)
        if first and config.preview_every:
            shown = record.preview_batch(previews or dataset, config.preview_count)
        if config.report_to:
            with telling(folder, start):
                record.start_trackers(accelerator, config)

    stream = Stream(dataset, config.batch_size, config.seed, accelerator.process_index, world, config.workers)
    running, means = running_statistics(task), Means()
    bar = progress(start * images, config.steps * images, shown=first)
    with (
        contextlib.closing(stream.starting_at(start * config.accumulate)) as batches,
        stoppable(accelerator, 60 * config.save_minutes) as ask,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(end_training, accelerator)
        stack.enter_context(bar)
        for t in range(start, config.steps):
            torch.manual_seed(mix(config.seed, accelerator.process_index, t))
            update.schedule(task.lr_scale(t))
            task.train()
            before = [s.clone() for s in running]
            files: list[str] = []
            try:
                for number in range(config.accumulate):
                    batch = next(batches)
                    files += batch.get("file", [])
                    update.begin(number)
                    with torch.autocast(device.type, precision, enabled=precision is not None):
                        logs = task.step(to_device(batch, device), t, update)
                    means.add(logs)
            except NonFinite as problem:
                for statistic, kept in zip(running, before, strict=True):
                    statistic.copy_(kept)
                blamed = gathered(accelerator, files if problem.here else [])
                with together(accelerator):
                    if first:
                        stop_at(t, str(problem), blamed, task, update, folder, t * images)
            if world > 1 and running:
                average(running, accelerator)
            if config.ema:
                task.update_average(t)

            done = t + 1
            bar.update(images)
            last, (interrupted, late) = done == config.steps, ask()
            if log_due := done % config.log_every == 0 or last:
                line = means.take(accelerator)
                shown_losses = f"step {done:,} " + " ".join(f"{k} {v:.3g}" for k, v in line.items())
                bar.set_postfix_str(shown_losses, refresh=sys.stderr.isatty())
            preview_due = config.preview_every and (done % config.preview_every == 0 or late or last)
            save_due = done % config.save_every == 0 or late or last or interrupted
            if not (log_due or preview_due or save_due):
                continue
            with together(accelerator), telling(folder, done):
                if log_due and config.report_to:
                    accelerator.log(line | {"lr": task.lr_scale(t), "images": done * images}, step=done)
                if log_due and first:
                    record.append(folder / "logs.jsonl", done, done * images, line)
                if preview_due and first:
                    path = folder / "previews" / f"step-{done:08d}.png"
                    record.preview(task, shown, device, precision, path)
                if save_due and first:
                    few = record.preview_batch(previews or dataset, 4) if last else None
                    faithful = record.bf16_psnr(task, few, device) if few else None
                    save(folder, task, update, config, done, done * images, bf16_psnr=faithful)
            if interrupted and not last:
                bar.close()
                raise KeyboardInterrupt(
                    f"stopped at update {done:,}; state saved in {folder}; the same command again continues"
                )
    if first:
        print(
            f"done: {folder}. Use it: python -m translate {usage(task.takes)} --model {folder} --output OUT"
        )
    return folder


def stop_at(t: int, problem: str, files: list[str], task: Task, update: Update, folder: Path, images: int):
    """Non-finite numbers: save what is still sound, then say where it happened and what helps.

    A network that this update moved before it failed at another one stays moved.
    """
    kept = "the weights are damaged: the last good state is kept"
    if all(bool(torch.isfinite(v).all()) for v in task.state_dict().values() if v.is_floating_point()):
        with telling(folder, t):
            save(folder, task, update, task.config, t, images)
        kept = f"state saved in {folder}"
    names = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
    raise UserError(
        f"update {t:,}: {problem}; files of the batch: {names}; {kept}. Mend these files and run the "
        "same command again, or start anew elsewhere (--output) with a lower --learning-rate, --clip 1 or "
        "--mixed-precision no"
    )


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


def running_statistics(task: Task) -> list[Tensor]:
    """The running means and variances of batch norms: what a step changes beside optimizers and pools."""
    norms = [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [s for m in norms for s in (m.running_mean, m.running_var) if s is not None]


def average(running: list[Tensor], accelerator) -> None:
    """Put their mean over the processes in their place, so that all hold the same model."""
    mean = accelerator.reduce(torch.cat(running), "mean")
    torch._foreach_copy_(running, list(mean.split([len(s) for s in running])))


def progress(done: int, total: int, shown: bool):
    """A bar with images/s and the time left; a line now and then where no terminal is."""
    from tqdm import tqdm

    seconds = 0.2 if sys.stderr.isatty() else 30
    return tqdm(
        initial=done, total=total, unit=" images", disable=not shown,
        mininterval=seconds, smoothing=0.05, dynamic_ncols=True,
    )  # fmt: skip


def end_training(accelerator) -> None:
    """Close trackers and the process group, even where the disk is full."""
    with contextlib.suppress(OSError):
        accelerator.end_training()
