"""On a GPU, in four minutes: `bash benchmarks/gpu.sh`, or `python -m benchmarks.gpu` for one of its parts.

peers: a step of the published implementations and of ours, both in bfloat16, ours as it is, in each memory
layout, compiled, and compiled into CUDA graphs. batches: images/s and memory by batch size. loader: images/s
that our threads decode, beside those needed. copies: what the profiler sees of copies to the host and of
waiting for the card in a step. averaging: a step of two processes on a card beside two that average nothing.
Without a GPU `--tiny` runs all of it on the CPU: the figures then mean nothing.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

PARTS = ("peers", "batches", "loader", "copies", "averaging")
BATCHED = "DCGAN 64 px, batch 128"


@dataclass(frozen=True, kw_only=True)
class Settings:
    parts: tuple[str, ...] = PARTS
    cases: str = ""  # of peers: only those whose name contains this
    seconds: float = 220  # begin nothing new after so long
    turns: int = 10  # steps that count
    tiny: bool = False  # a test's sizes, on whatever there is


def device():
    import torch

    return (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    )


def wait() -> None:
    import torch

    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def seconds_of(step: Callable[[], object], turns: int) -> float:
    """The median of `turns` steps, each waited for, after three that warm up."""
    times = []
    for turn in range(turns + 3):
        wait()
        start = time.perf_counter()
        step()
        wait()
        if turn >= 3:
            times.append(time.perf_counter() - start)
    return median(times)


def peak() -> float:
    """GiB that the card gave since the last call; 0 without one."""
    import torch

    if not torch.cuda.is_available():
        return 0.0
    found = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return found


def published(name: str, tiny: bool) -> Callable[[], None]:
    """The published step in bfloat16."""
    import torch

    from benchmarks.peers import stepper

    torch.set_default_device(device())
    step = stepper(name, "published", tiny)

    def run() -> None:
        with torch.autocast(device().type, torch.bfloat16):
            step()

    return run


def ours(name: str, way: str, tiny: bool, batch: int | None = None, accelerator=None) -> Callable[[], None]:
    """Our step in bfloat16. way: channels_last, channels first, compiled or graphs."""
    import dataclasses

    import torch
    from accelerate import Accelerator

    from benchmarks.peers import batch_of, options_of
    from benchmarks.training import work
    from translate.task import DataInfo, find
    from translate.training.stream import to_device
    from translate.training.update import Update

    torch.manual_seed(0)
    task_name, options = options_of(name, tiny)
    task_class, options = find(task_name), options | ({"batch_size": batch} if batch else {})
    config = dataclasses.replace(task_class.Config(), mixed_precision="bf16", **options)
    info, samples = batch_of(task_class, config) or work(task_class.data, config)
    task = task_class(config, DataInfo.of(info)).to(device()).train()
    layout = torch.contiguous_format if way == "channels first" else torch.channels_last
    samples = to_device(samples, device(), layout)
    update = Update(task, config, accelerator or Accelerator(), torch.bfloat16)
    if way in ("compiled", "graphs"):
        for network in task.children():
            network.compile(mode="reduce-overhead" if way == "graphs" else "default")
    numbers = iter(range(10**9))

    def step() -> None:
        update.begin(0)
        if way == "graphs":
            torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(device().type, torch.bfloat16):
            task.step(samples, next(numbers), update)

    return step


WAYS = ("channels_last", "channels first", "compiled", "graphs")


def peers(settings: Settings, late: Callable[[], bool]) -> None:
    from benchmarks.peers import CASES

    print(
        "\n| a training step in bf16, ms | published | " + " | ".join(f"ours, {way}" for way in WAYS) + " |"
    )
    print("|---|" + "---|" * (len(WAYS) + 1))
    for name in CASES:
        if settings.cases.lower() not in name.lower() or late():
            continue
        cells = [alone(["step", name, "published"], settings)]
        for way in WAYS:
            missing = "needs CUDA" if way == "graphs" and device().type != "cuda" else ""
            cells.append(missing or ("-" if late() else alone(["step", name, way], settings)))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def alone(words: list[str], settings: Settings) -> str:
    """A cell measured in a process of its own, which may fail without the table."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--alone", *words]
    command += [str(settings.turns), str(int(settings.tiny))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"failed: {(done.stderr.strip().splitlines() or ['no word'])[-1][:80]}"
    found = json.loads(done.stdout.splitlines()[-1])
    return f"{1e3 * found['seconds']:.3g} ({found['GiB']:.1f} GiB)"


def step_alone(name: str, way: str, turns: int, tiny: bool) -> dict:
    step = published(name, tiny) if way == "published" else ours(name, way, tiny)
    return {"seconds": seconds_of(step, turns), "GiB": peak()}


def batches(settings: Settings, late: Callable[[], bool]) -> None:
    import torch

    print(f"\n| {BATCHED.split(',')[0]}, batch | images/s | GiB |\n|---|---|---|")
    for batch in (2, 4) if settings.tiny else (16, 64, 256, 1024, 4096):
        if late():
            break
        try:
            seconds = seconds_of(ours(BATCHED, "channels_last", settings.tiny, batch), settings.turns)
        except torch.OutOfMemoryError:
            print(f"| {batch} | does not fit | |")
            break
        print(f"| {batch} | {batch / seconds:.0f} | {peak():.2f} |", flush=True)


def loader(settings: Settings, late: Callable[[], bool]) -> None:
    """Drawn birds stand for photographs: 256 px JPEG files, decoded, cropped and flipped as in training."""
    import tempfile
    from pathlib import Path

    import torch

    import datasets
    from translate.inference.images import to_image
    from translate.training.stream import Stream

    count, batch, side = (4, 2, 40) if settings.tiny else (256, 16, 256)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            noise = torch.randn(
                1, 3, side + 44, side + 44, generator=torch.Generator().manual_seed(number)
            ).clamp(-1, 1)
            to_image(noise).save(Path(folder, f"{number}.jpg"), quality=90)
        data = datasets.load("images", folder, size=side, cache="off")
        print("\n| threads that decode | images/s |\n|---|---|")
        for workers in (1, 2) if settings.tiny else (2, 8, 16):
            if late():
                break
            stream, begun = Stream(data, batch, 0, workers=workers).starting_at(0), time.perf_counter()
            for _ in range(count // batch):
                next(stream)
            rate = count / (time.perf_counter() - begun)
            stream.close()
            print(f"| {workers} | {rate:.0f} |", flush=True)


def copies(settings: Settings, late: Callable[[], bool]) -> None:
    from torch.profiler import ProfilerActivity, profile

    step = ours(BATCHED, "channels_last", settings.tiny)
    seconds_of(step, 1)
    steps = 5
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        for _ in range(steps):
            step()
        wait()
    counted = {
        "copies to the host": "Memcpy DtoH",
        "waits": "cudaStreamSynchronize",
        "numbers read": "aten::item",
    }
    print(f"\nof a step of {BATCHED}: ", end="")
    events = seen.key_averages()
    counts = {
        what: sum(event.count for event in events if name in event.key) / steps
        for what, name in counted.items()
    }
    print(", ".join(f"{count:g} {what}" for what, count in counts.items()), flush=True)


class Pair:
    """As much of an Accelerator as an update needs, over gloo: NCCL takes one process a card."""

    def __init__(self, number: int):
        import torch.distributed as dist

        dist.init_process_group("gloo", rank=number, world_size=2)
        self.num_processes, self.device, self.dist = 2, device(), dist

    def reduce(self, value, how: str):
        self.dist.all_reduce(value)
        return value / 2 if how == "mean" else value


class Alone:
    def __init__(self):
        self.num_processes, self.device = 1, device()


def averaging(settings: Settings, late: Callable[[], bool]) -> None:
    print("\n| two processes on one card | ms of a step |\n|---|---|")
    for how in ("apart", "averaging"):
        environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29571"}
        words = [sys.executable, "-m", "benchmarks.gpu", "--pair", how, str(settings.turns)]
        words.append(str(int(settings.tiny)))
        both = [
            subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, text=True, env=environment)
            for number in (0, 1)
        ]
        printed = [process.communicate()[0] for process in both]
        if any(process.returncode for process in both):
            print(f"| {how} | failed |")
        else:
            seconds = max(json.loads(text.splitlines()[-1]) for text in printed)
            print(f"| {how} | {1e3 * seconds:.3g} |", flush=True)


def pair(how: str, turns: int, tiny: bool, number: int) -> float:
    step = ours(BATCHED, "channels_last", tiny, accelerator=Pair(number) if how == "averaging" else Alone())
    return seconds_of(step, turns)


def main(settings: Settings) -> None:
    import torch

    begun = time.monotonic()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{device()}, figures mean nothing"
    print(f"{name}, torch {torch.__version__}")
    runs = dict(peers=peers, batches=batches, loader=loader, copies=copies, averaging=averaging)
    for part in settings.parts:
        runs[part](settings, lambda: time.monotonic() - begun > settings.seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        print(json.dumps(step_alone(sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6] == "1")))
    elif sys.argv[1:2] == ["--pair"]:
        print(json.dumps(pair(sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1", int(sys.argv[5]))))
    else:
        import tyro

        main(tyro.cli(Settings, description=__doc__))
