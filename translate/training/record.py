"""What a run leaves for people to look at: lines of losses, trackers, preview pictures."""

import contextlib
import importlib.util
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from translate import figures, inputs
from translate.config import RunConfig, UserError, nearest, to_json
from translate.task import Task
from translate.training import checkpoint
from translate.training.stream import collate, to_device


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


class Means:
    """Running means of a step's logs between two lines of `logs.jsonl`."""

    def __init__(self):
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, logs: dict[str, Tensor]) -> None:
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().float()
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self, accelerator) -> dict[str, float]:
        """The means over steps and processes since the last call."""
        means = {k: float(accelerator.reduce(v / self.counts[k], "mean")) for k, v in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


def append(path: Path, step: int, images: int, values: dict[str, float]) -> None:
    """One more line of `logs.jsonl`. Raises OSError."""
    entry = {"step": step, "images": images, "time": round(time.time(), 1)}
    with path.open("a") as file:
        file.write(json.dumps(entry | {k: float(f"{v:.6g}") for k, v in values.items()}) + "\n")


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


def preview_batch(dataset, count: int) -> dict:
    """Samples from all over the data (neighbours are often alike), augmented alike every time.

    `previewed` of a data set is the least number: of points, a cloud.
    """
    count = min(max(count, getattr(dataset, "previewed", 0)), len(dataset))
    chosen = [i * len(dataset) // count for i in range(count)]
    return collate([dataset.sample(i, torch.Generator().manual_seed(i)) for i in chosen])


@torch.no_grad()
def preview(task: Task, batch: dict, device: torch.device, precision: torch.dtype | None, path: Path) -> None:
    """Write a PNG of inputs, outputs and truths; the moving averages answer where there are any."""
    task.eval()
    with task.using_average(), torch.autocast(device.type, precision, enabled=precision is not None):
        picture = figures.grid(task.preview(to_device(batch, device)), notes=batch.get("caption"))
    path.parent.mkdir(exist_ok=True)
    checkpoint.replace_file(path, lambda new: picture.save(new, format="PNG"))


@torch.no_grad()
def bf16_psnr(task: Task, batch: dict, device: torch.device) -> float | None:
    """How faithful the translation is in bfloat16: PSNR in dB to float32's, of the worse direction.

    Inference takes the fast path where this is high enough. None where nothing is translated.
    """
    if "image" not in task.takes:
        return None
    task.eval()
    batch, found = to_device(batch, device), []
    with task.using_average():
        for direction in task.directions:
            given = inputs.from_batch(task, batch, direction)
            exact = task(direction=direction, **given).float()
            with torch.autocast(device.type, torch.bfloat16):
                fast = task(direction=direction, **given).float()
            found.append(10 * torch.log10(4 / (fast - exact).square().mean().clamp(min=1e-10)))
    return round(float(min(found)), 2)
