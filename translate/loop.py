"""The one training loop: fetch, reseed, step, log, preview, save. Run the same command again and it resumes."""

import contextlib
import dataclasses
import importlib.util
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from translate import checkpoint, figures
from translate.config import RunConfig, UserError, to_json
from translate.stream import Stream, collate, mix, to_device
from translate.task import Task

# Settings that may differ when a run is continued; all others belong to its result.
FREE = {"output", "workers", "cache", "save_every", "keep_states", "preview_every", "preview_count"}
FREE |= {"log_every", "report_to", "steps"}


class NonFinite(Exception):
    """A loss or gradient is infinite or not a number; the network was not changed."""


class Update:
    """Descend one loss on one optimizer: `update("G", loss)`.

    Zero, backward to that optimizer's parameters alone, average over processes, clip, check, step. With
    `--accumulate k` the gradients of k batches are averaged and the optimizer moves at the last of them.
    """

    def __init__(self, task: Task, config: RunConfig, accelerator, precision: torch.dtype | None):
        self.optimizers = task.optimizers()
        self.parameters = {
            n: [p for g in o.param_groups for p in g["params"]] for n, o in self.optimizers.items()
        }
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["base_lr"] = group["lr"]
        self.config, self.accelerator = config, accelerator
        self.micro = 0  # which batch of an accumulated update this is
        half = precision == torch.float16
        self.scalers = (
            {n: torch.amp.GradScaler(accelerator.device.type) for n in self.optimizers} if half else {}
        )

    def schedule(self, scale: float) -> None:
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * scale

    def __call__(self, name: str, loss: Tensor) -> None:
        """Raises NonFinite before anything moves."""
        optimizer, parameters, scaler = self.optimizers[name], self.parameters[name], self.scalers.get(name)
        if self.micro == 0:
            for parameter in parameters:
                parameter.grad = None
        with torch.autocast(loss.device.type, enabled=False):
            share = loss.float() / self.config.accumulate
            (scaler.scale(share) if scaler else share).backward(inputs=parameters)
        finite = torch.isfinite(loss.detach()).float()
        if self.micro < self.config.accumulate - 1:
            if not finite:
                raise NonFinite(f"the loss of {name} is {loss.item()}")
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.accelerator.num_processes > 1:
            finite = self.average(gradients, finite)
        if scaler:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        if not finite:
            raise NonFinite(f"the loss of {name} is {loss.item()}")
        if not torch.isfinite(norm) and (
            scaler is None or scaler.get_scale() < 1
        ):  # fp16 halves its scale first
            raise NonFinite(f"a gradient of {name} is not finite")
        if self.config.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()

    def average(self, gradients: list[Tensor], finite: Tensor) -> Tensor:
        """Mean gradients over the processes, in one message; 1 only if every process's loss is finite."""
        message = torch.cat([g.reshape(-1) for g in gradients] + [finite.reshape(1)])
        message = self.accelerator.reduce(message, "mean")
        parts = message[:-1].split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
        return (message[-1] == 1).float()


def precision_of(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast; `auto` is bfloat16 where the processor multiplies it natively."""
    choice = config.mixed_precision
    if choice == "auto":
        if device.type == "cuda":
            choice = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
        else:
            able = torch.cpu.get_capabilities()
            choice = "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "no"
    return {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[choice]


def train(task: Task, dataset, config: RunConfig, previews=None) -> Path:
    """Train to `config.steps` updates, from the newest complete state of `config.output` where there is one.

    previews: dataset whose first samples fill the preview pictures (default: the training data).
    Returns the run folder. Raises UserError for what the user can mend; KeyboardInterrupt after Ctrl-C or
    SIGTERM, once the state is saved.
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    folder = Path(config.output)
    accelerator = Accelerator(log_with=trackers(config), project_dir=folder)
    rank, world, device, first = (
        accelerator.process_index,
        accelerator.num_processes,
        accelerator.device,
        accelerator.is_main_process,
    )
    if first:
        prepare(folder, config)
    if config.ema:
        task.keep_average()
    task.to(device)
    precision = precision_of(config, device)
    update = Update(task, config, accelerator, precision)
    start = resume(folder, task, update, config)
    accelerator.wait_for_everyone()
    stream = Stream(dataset, config.batch_size, config.seed, rank, world, config.workers)
    shown = (
        preview_batch(previews or dataset, config.preview_count) if first and config.preview_every else None
    )
    per_update = config.batch_size * world * config.accumulate
    if start >= config.steps:
        print(f"{folder} already has {start:,} of {config.steps:,} updates; raise --steps to train on")
        return folder
    if first:
        truncate_log(folder / "logs.jsonl", start)
    if config.report_to:
        accelerator.init_trackers(folder.name, config={k: str(v) for k, v in to_json(config).items()})

    def save(t: int) -> None:
        if first:
            with telling(folder, t):
                tensors = {f"task.{k}": v for k, v in task.state_dict().items()}
                for name, optimizer in update.optimizers.items():
                    tensors |= checkpoint.optimizer_tensors(name, optimizer)
                facts = {
                    "t": t,
                    "images": t * per_update,
                    "config": to_json(config),
                    "scalers": {n: s.state_dict() for n, s in update.scalers.items()},
                }
                checkpoint.write_state(folder, t, tensors, facts, config.keep_states)
                checkpoint.write_model(folder, task, t, t * per_update)
        accelerator.wait_for_everyone()

    totals: dict[str, Tensor] = {}
    counted, saved = 0, start
    batches = stream.starting_at(start * config.accumulate)
    bar = tqdm(
        total=config.steps * per_update,
        initial=start * per_update,
        unit=" images",
        unit_scale=False,
        disable=not first,
        mininterval=0.2 if sys.stderr.isatty() else 30,
        dynamic_ncols=True,
        smoothing=0.05,
    )
    with bar, stoppable(accelerator) as stop, contextlib.closing(batches):
        for t in range(start, config.steps):
            torch.manual_seed(mix(config.seed, rank, t))
            update.schedule(task.lr_scale(t))
            task.train()
            files: list[str] = []
            try:
                for update.micro in range(config.accumulate):
                    batch = next(batches)
                    files += batch.get("file", [])
                    with torch.autocast(device.type, precision, enabled=precision is not None):
                        logs = task.step(to_device(batch, device), t, update)
            except NonFinite as problem:
                stop_at(t, str(problem), files, task, save, folder)
            average_batch_statistics(task, accelerator)
            if config.ema:
                task.update_average(t)
            for key, value in logs.items():
                totals[key] = totals.get(key, 0) + value.detach()
            counted += 1
            done = t + 1
            bar.update(per_update)
            if done % config.log_every == 0 or done == config.steps:
                line = {k: float(accelerator.reduce(v / counted, "mean")) for k, v in totals.items()}
                totals, counted = {}, 0
                if config.report_to:
                    accelerator.log(line | {"lr": task.lr_scale(t), "images": done * per_update}, step=done)
                if first:
                    with telling(folder, done):
                        append(folder / "logs.jsonl", done, done * per_update, line)
                    bar.set_postfix_str(f"step {done:,} " + " ".join(f"{k} {v:.3g}" for k, v in line.items()))
            if shown and (done % config.preview_every == 0 or done == config.steps):
                with telling(folder, done):
                    preview(task, shown, device, precision, folder / "previews" / f"step-{done:08d}.png")
            interrupted = stop()
            if done % config.save_every == 0 or done == config.steps or interrupted:
                save(done)
                saved = done
            if interrupted:
                bar.close()
                raise KeyboardInterrupt(
                    f"stopped at update {done:,}; state saved in {folder}; the same command again continues"
                )
    assert saved == config.steps
    if config.report_to:
        accelerator.end_training()
    return folder


# --- resuming ---------------------------------------------------------------------------------------------------


def resume(folder: Path, task: Task, update: Update, config: RunConfig) -> int:
    """Load the newest complete state; returns the updates already done. Raises UserError if it is another run's."""
    found = checkpoint.states(folder)
    if not found:
        return 0
    t, path = found[-1]
    tensors, facts = checkpoint.read_state(path)
    before, now = facts["config"], to_json(config)
    changed = [k for k in now if k not in FREE and k in before and before[k] != now[k]]
    if "steps" in now and before["steps"] != now["steps"] and config.lr_schedule != "constant":
        print(
            f"note: --steps was {before['steps']}, is {now['steps']}: the learning-rate schedule changes with it"
        )
    if changed:
        k = changed[0]
        raise UserError(
            f"{folder} holds a run with --{k.replace('_', '-')} {before[k]}, this command says {now[k]}; "
            f"use the same value to continue it or another --output to start anew"
        )
    try:
        task.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("task.")})
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit this version's networks ({str(error).splitlines()[-1].strip()})"
        ) from None
    for name, optimizer in update.optimizers.items():
        checkpoint.load_optimizer(name, optimizer, tensors)
    for name, scaler in update.scalers.items():
        scaler.load_state_dict(facts["scalers"][name])
    return t


def prepare(folder: Path, config: RunConfig) -> None:
    """Make the output folder and prove that it can be written. Raises UserError."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"--output {folder} cannot be written: {error.strerror}; choose another folder"
        ) from None


@contextlib.contextmanager
def telling(folder: Path, t: int) -> Iterator[None]:
    """Turn a failed write (disk full, folder gone) into one sentence that names the last good state."""
    try:
        yield
    except OSError as error:
        found = checkpoint.states(folder)
        last = f"the last good state is {found[-1][1]}" if found else "no state was saved yet"
        reason = error.strerror or str(error)
        raise UserError(
            f"update {t:,}: cannot write to {folder}: {reason}; {last}. Mend it and run the same command again"
        ) from error


def stop_at(t: int, problem: str, files: list[str], task: Task, save, folder: Path) -> None:
    """Non-finite numbers: save what is still sound, then say where it happened and what helps."""
    sound = all(bool(torch.isfinite(v).all()) for v in task.state_dict().values() if v.is_floating_point())
    if sound:
        save(t)
    kept = f"state saved in {folder}" if sound else "the weights are damaged: the last good state is kept"
    names = ", ".join(files[:8]) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
    raise UserError(
        f"update {t:,}: {problem}; files of the batch: {names}; {kept}. "
        f"Look at these files, lower --learning-rate, set --clip 1 or --mixed-precision no"
    )


@contextlib.contextmanager
def stoppable(accelerator) -> Iterator:
    """Yields a function that says, on all processes alike, whether Ctrl-C or SIGTERM came."""
    asked = torch.zeros(1)

    def note(*_):
        if asked.item():  # the second Ctrl-C does not wait for the step to end
            raise KeyboardInterrupt("stopped at once; the last complete state is kept")
        asked.fill_(1)

    def stop() -> bool:
        if accelerator.num_processes == 1:
            return bool(asked)
        return bool(accelerator.reduce(asked.to(accelerator.device), "sum"))

    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def average_batch_statistics(task: Task, accelerator) -> None:
    """Batch norm's running statistics, averaged, so that all processes hold the same model."""
    if accelerator.num_processes == 1:
        return
    norms = [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    running = [s for m in norms for s in (m.running_mean, m.running_var) if s is not None]
    if running:
        mean = accelerator.reduce(torch.cat(running), "mean").split([len(s) for s in running])
        torch._foreach_copy_(running, list(mean))


# --- what the user sees -----------------------------------------------------------------------------------------


def trackers(config: RunConfig) -> list[str] | None:
    """Names for Accelerate's trackers. Raises UserError where one is unknown or not installed."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    known = {str(name): name for name in LOGGER_TYPE_TO_CLASS}
    for name in config.report_to:
        if name not in known:
            raise UserError(f"--report-to {name}: unknown; the trackers are {', '.join(known)}")
        package = {"comet_ml": "comet_ml", "dvclive": "dvclive"}.get(name, name)
        if importlib.util.find_spec(package) is None:
            raise UserError(f"--report-to {name}: the package is not installed; `pip install {name}`")
    return list(config.report_to) or None


def append(path: Path, step: int, images: int, values: dict[str, float]) -> None:
    entry = {"step": step, "images": images, "time": round(time.time(), 1)}
    with path.open("a") as file:
        file.write(json.dumps(entry | {k: round(v, 6) for k, v in values.items()}) + "\n")


def truncate_log(path: Path, start: int) -> None:
    """Drop lines after the state that training resumes from (and a line that a kill cut short)."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):
            if json.loads(line)["step"] <= start:
                kept.append(line + "\n")
    checkpoint.replace_file(path, lambda new: new.write_text("".join(kept)))


def preview_batch(dataset, count: int) -> dict:
    """The first samples, augmented alike every time."""
    count = min(count, len(dataset))
    return collate([dataset.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


def preview(task: Task, batch: dict, device: torch.device, precision: torch.dtype | None, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    task.eval()
    with torch.inference_mode(), task.using_average():
        with torch.autocast(device.type, precision, enabled=precision is not None):
            columns = task.preview(to_device(batch, device))
        picture = figures.grid(columns)
    checkpoint.replace_file(path, lambda new: picture.save(new, format="PNG"))


def describe(task: Task, dataset, config: RunConfig) -> str:
    """What --dry-run prints: settings, networks, memory, data."""
    lines = ["settings"]
    lines += [f"  {k} = {v}" for k, v in to_json(config).items()]
    lines.append("networks")
    for name, module in task.named_children():
        if count := sum(p.numel() for p in module.parameters()):
            mark = " (exported)" if name in task.exported else ""
            lines.append(f"  {name:12} {count / 1e6:8.3f} M parameters{mark}")
    memory = estimate_memory(task, dataset, config)
    lines.append(
        f"memory, estimated: {memory / 2**30:.2f} GiB a process (weights, gradients, Adam, activations)"
    )
    info = dataclasses.asdict(task.info)
    lines.append("data")
    lines += [f"  {k} = {v}" for k, v in info.items()]
    return "\n".join(lines)


def estimate_memory(task: Task, dataset, config: RunConfig) -> int:
    """Bytes of one process: weights, gradients and Adam's moments, and the activations of the largest graph.

    The activations are counted, not guessed: one real step on two pictures at most, without moving any weight.
    """
    batch = preview_batch(dataset, min(config.batch_size, 2))
    device = torch.device("cpu")
    precision = precision_of(config, device)
    kept: dict[int, int] = {}
    largest = 0

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def update(name: str, loss: Tensor) -> None:
        nonlocal largest
        largest = max(largest, sum(kept.values()))
        kept.clear()

    task.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", precision, enabled=precision is not None):
            task.step(to_device(batch, device), 0, update)
    weights = sum(p.numel() * p.element_size() for p in task.parameters())
    return 4 * weights + int(largest * config.batch_size / len(batch["index"]))
