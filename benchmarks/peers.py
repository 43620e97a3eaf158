"""Our training steps beside the published ones, in one run: `python -m benchmarks.peers`.

Each case runs in three processes, which take a step in turn: the published implementation's (rewritten from
its description in `benchmarks.published`: plain eager PyTorch in float32, default allocator), ours with the
same maths in float32, and ours in `auto` precision. Medians over the turns, the middle half in brackets, peak
memory; a ratio above 1 says that ours is faster. `--output docs/peers.md` writes the table. Ours of methods
that draw captions also read them; the published ones are given vectors.
"""

import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

TEXT = dict(text_steps=0, words=256)
CASES = {  # name: (published function and its arguments, our task and settings)
    "CycleGAN ResNet-9 256 px, batch 1": (
        ("published.cyclegan", dict(batch=1, size=256, width=64, blocks=9)),
        ("cyclegan", {}),
    ),
    "pix2pix U-Net 256 px, batch 1": (
        ("published.pix2pix", dict(batch=1, size=256, width=64)),
        ("pix2pix", dict(norm="batch")),
    ),
    "SRGAN x4, 96 px, batch 16, pixels for VGG": (
        ("published.srgan", dict(batch=16, size=96, width=64, blocks=16)),
        ("srgan", dict(content="pixels", pretrain_steps=0)),
    ),
    "StackGAN Stage-I 64 px, batch 16": (
        ("published_text.stackgan", dict(batch=16, sketch=64, size=64, width=128, width_d=64)),
        ("stackgan", dict(size=64, batch_size=16, **TEXT)),
    ),
    "StackGAN Stage-II 256 px, batch 4": (
        ("published_text.stackgan", dict(batch=4, sketch=64, size=256, width=128, width_d=64)),
        ("stackgan", dict(batch_size=4, stage1_steps=0, **TEXT)),
    ),
    "DCGAN 64 px, batch 128": (
        ("published.dcgan", dict(batch=128, size=64, width=64)),
        ("dcgan", {}),
    ),
    "VAE 784-400-20, batch 128": (
        ("published.vae", dict(batch=128, size=28, hidden=400, latent=20)),
        (
            "vae",
            dict(network="dense", likelihood="bernoulli", size=28, hidden=400, latent=20, batch_size=128),
        ),
    ),
    "DF-GAN 128 px, batch 16": (
        ("published_text.df_gan", dict(batch=16, size=128, width=32)),
        ("df_gan", dict(size=128, batch_size=16, **TEXT)),
    ),
}
TINY = {  # of tests: (published arguments, our settings), both over those above
    "CycleGAN": (
        dict(size=32, width=4, blocks=6),
        dict(size=32, channels=4, generator="resnet6"),
    ),
    "pix2pix": (dict(size=128, width=2), dict(size=128, channels=2, generator="unet128")),
    "SRGAN": (
        dict(batch=2, size=32, width=4, blocks=1),
        dict(batch_size=2, size=32, channels=4, channels_D=4, blocks=1),
    ),
    "StackGAN Stage-I 64": (
        dict(batch=2, sketch=16, size=16, width=4, width_d=4),
        dict(batch_size=2, sketch=16, size=16, channels=4, channels_D=4),
    ),
    "StackGAN Stage-II": (
        dict(batch=2, sketch=16, size=32, width=4, width_d=4),
        dict(batch_size=2, sketch=16, size=32, channels=4, channels_D=4),
    ),
    "DCGAN": (dict(batch=2, size=16, width=4), dict(batch_size=2, size=16, channels=4)),
    "VAE": (dict(batch=2, hidden=8), dict(batch_size=2, hidden=8)),
    "DF-GAN": (dict(batch=2, size=32, width=4), dict(batch_size=2, size=32, channels=4, joint=8)),
}
SIDES = ("published", "no", "auto")  # no: ours in float32


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: str = ""  # only those whose name contains this, e.g. StackGAN
    turns: int = 9  # steps that count, of each side
    output: Path | None = None  # write the table here, e.g. docs/peers.md
    tiny: bool = False  # a test's sizes, whose times mean nothing
    cpu: bool = False  # seconds of CPU in place of the clock's, for one thread of a machine that others use


def smaller(name: str) -> tuple[dict, dict]:
    """A test's sizes: of the published implementation, and of ours."""
    return next(values for key, values in TINY.items() if name.startswith(key))


def options_of(name: str, tiny: bool) -> tuple[str, dict]:
    """Our method and its settings."""
    task_name, options = CASES[name][1]
    return task_name, options | (smaller(name)[1] if tiny else {})


def stepper(name: str, side: str, tiny: bool):
    """The step of one side, which takes no arguments."""
    import importlib

    import torch

    torch.manual_seed(0)
    task_name, options = options_of(name, tiny)
    if side == "published":
        function, arguments = CASES[name][0]
        arguments = arguments | (smaller(name)[0] if tiny else {})
        module, function = function.split(".")
        return getattr(importlib.import_module(f"benchmarks.{module}"), function)(**arguments)
    return ours_step(task_name, options, side)


def ours_step(task_name: str, options: dict, precision: str):
    """Of a Task, as the loop takes it."""
    from dataclasses import replace

    from translate import machine

    machine.tune()
    import torch
    from accelerate import Accelerator

    from benchmarks.training import work
    from translate.task import DataInfo, find
    from translate.training.stream import to_device
    from translate.training.update import Update
    from translate.training.way import way_of

    task_class = find(task_name)
    config = replace(task_class.Config(), mixed_precision=precision, **options)
    info, batch = batch_of(task_class, config) or work(task_class.data, config)
    task, accelerator = task_class(config, DataInfo.of(info)).train(), Accelerator()
    way = way_of(task, config, lambda: batch, accelerator.device).way
    dtype, batch = way.autocast, to_device(batch, accelerator.device, way.memory_format)
    update, t = Update(task, config, accelerator, dtype), iter(range(10**9))

    def step() -> None:
        update.begin(0)
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            task.step(batch, next(t), update)

    return step


def batch_of(task_class, config) -> tuple[dict, dict] | None:
    """What a method is told of its data, and noise for data; none where it needs captions or two domains."""
    import torch

    def noise(size: int, channels: int = 3):
        return torch.rand(config.batch_size, channels, size, size) * 2 - 1

    if task_class.data == "lowres":
        batch = {"low": noise(config.size // config.scale), "high": noise(config.size)}
    elif task_class.data == "images":
        batch = {"image": noise(config.size, 1 if config.size == 28 else 3)}
    else:
        return None
    channels = {key: x.shape[1] for key, x in batch.items()}
    batch["index"] = torch.arange(config.batch_size)
    return dict(kind=task_class.data, name="noise", count=config.batch_size, channels=channels), batch


def serve(name: str, side: str, tiny: bool, cpu: bool) -> None:
    """A step, timed, for every line of the standard input; at its end the peak memory in GiB."""
    step = stepper(name, side, tiny)
    clock = time.process_time if cpu else time.perf_counter
    for _ in sys.stdin:
        start = clock()
        step()
        print(clock() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, flush=True)


def compare(
    name: str, turns: int, tiny: bool = False, sides: tuple[str, ...] = SIDES, cpu: bool = False
) -> dict[str, dict]:
    """{side: {"seconds": [of each turn], "GiB": peak}}; the first two turns of each, which warm it up, go."""
    command = [sys.executable, "-m", "benchmarks.peers", "--serve", name]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC")}
    running = {
        side: subprocess.Popen(
            [*command, side, str(int(tiny)), str(int(cpu))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).resolve().parent.parent,
        )
        for side in sides
    }  # fmt: skip
    found: dict[str, dict] = {side: {"seconds": []} for side in sides}
    try:
        for turn in range(turns + 2):
            for side, process in running.items():
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(f"{name}: the step of {side} failed; its error stands above")
                if turn >= 2:
                    found[side]["seconds"].append(float(line))
        for side, process in running.items():
            process.stdin.close()
            found[side]["GiB"] = float(process.stdout.readline())
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    return found


def row(name: str, found: dict[str, dict]) -> str:
    """A line of the table."""
    cells, published = [], median(found["published"]["seconds"])
    for side in found:
        seconds = found[side]["seconds"]
        low, _, high = quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        text = f"{median(seconds):.3g} ({low:.3g}-{high:.3g})"
        cells.append(text if side == "published" else f"{text}, {published / median(seconds):.2f}x")
    memory = " / ".join(f"{found[side]['GiB']:.1f}" for side in found)
    return f"| {name} | {' | '.join(cells)} | {memory} |"


def main(settings: Settings) -> None:
    import torch

    lines = [
        "| a training step, seconds | published | ours, float32 | ours, auto | GiB |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for name in CASES:
        if settings.cases.lower() in name.lower():
            lines.append(row(name, compare(name, settings.turns, settings.tiny, cpu=settings.cpu)))
            print(lines[-1], flush=True)
    if settings.output:
        processor = platform.processor() or platform.machine()
        machine = f"{processor}, {os.cpu_count()} cores, torch {torch.__version__}, {settings.turns} turns"
        text = f"# Beside the published implementations\n\n{__doc__.strip()}\n\nOn {machine}:\n\n"
        settings.output.write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], sys.argv[3], sys.argv[4] == "1", sys.argv[5] == "1")
    else:
        import tyro

        main(tyro.cli(Settings, description=__doc__))
