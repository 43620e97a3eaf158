"""Step time, images/s, peak memory, share of the convolution limit: `python -m benchmarks.training`.

The limit is the forward pass of a 3x3 convolution, 256 -> 256 channels, 64x64, batch 4, measured in the same
run right before and after each case (the mean of both counts). The work of a step is that of the published
implementations, whatever ours leaves out: 1,879 GFLOP for CycleGAN (ResNet-9, 256 px, batch 1, with identity
loss), 87 GFLOP a picture for pix2pix (U-Net 256, PatchGAN 70). Of methods that draw captions it is counted:
what one step multiplies.
"""

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

CASES = {  # name: (task, settings, GFLOP a step where the published implementation's are known)
    "CycleGAN ResNet-9 256 px, batch 1": ("cyclegan", {}, 1879),
    "pix2pix U-Net 256 px, batch 1": ("pix2pix", {}, 87),
    "pix2pix U-Net 256 px, batch 4": ("pix2pix", {"batch_size": 4}, 4 * 87),
    "CUT ResNet-9 256 px, batch 1": ("cut", {}, None),
    "FastCUT ResNet-9 256 px, batch 1": ("cut", {"fast": True}, None),
    "FastCUT ResNet-9 256 px, projected, batch 1": (
        "cut",
        {"fast": True, "discriminator": "projected"},
        None,
    ),
    "StackGAN Stage-I 64 px, batch 16": ("stackgan", {"batch_size": 16, "text_steps": 0}, None),
    "StackGAN Stage-II 256 px, batch 4": (
        "stackgan",
        {"batch_size": 4, "text_steps": 0, "stage1_steps": 0},
        None,
    ),
    "DF-GAN 128 px, batch 16": ("df_gan", {"size": 128, "batch_size": 16, "text_steps": 0}, None),
    "DF-GAN 64 px, projected, batch 32": (
        "df_gan",
        {"size": 64, "batch_size": 32, "text_steps": 0, "discriminator": "projected"},
        None,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: str = ""  # only those whose name contains this, e.g. CUT
    precisions: tuple[str, ...] = ("auto",)  # to measure: bf16, no (float32), auto (the faster)
    steps: int = 8  # measured steps per case; the median counts
    output: Path | None = None  # write the numbers as JSON here


def convolution_limit(dtype) -> float:
    """GFLOP/s of the best of 20 forward passes."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    conv = torch.nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, dtype)
    x = torch.randn(4, 256, 64, 64, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    best = float("inf")
    with torch.inference_mode():
        for i in range(23):
            start = clock()
            conv(x)
            best = min(best, clock() - start) if i > 2 else best
    return 4 * 64 * 64 * 256 * 256 * 9 * 2 / best / 1e9


def clock() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def flops(run) -> int:
    """Operations of the matrix products and convolutions of `run()`, forth and back.

    torch's own FlopCounterMode follows modules by hooks on gradients, which from torch 2.14 on refuse the
    second derivatives of DF-GAN's penalty.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if formula := flop_registry.get(function._overloadpacket):
                self.total += formula(*args, **(kwargs or {}), out_val=out)
            return out

    with Counter() as counter:
        run()
    return counter.total


def work(kind: str, config) -> tuple[dict, dict]:
    """What a method is told of its data, and a batch of it: noise, or drawn birds with captions."""
    import torch

    if kind == "captions":
        import datasets
        from translate.training.stream import collate

        data = datasets.load(kind, "birds:64", size=config.size)
        samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(config.batch_size)]
        return data.info, collate(samples)
    shape = (config.batch_size, 3, config.size, config.size)
    batch = {key: torch.rand(shape) * 2 - 1 for key in ("a", "b")}
    batch["index"] = torch.arange(config.batch_size)
    return dict(kind=kind, name="noise", count=1, channels={"a": 3, "b": 3}), batch


def measure(name: str, precision: str, steps: int) -> dict:
    """One case, in this process (a fresh one, so that the peak memory is the case's own)."""
    from translate import machine

    machine.tune()
    import torch
    from accelerate import Accelerator

    from translate.task import DataInfo, find
    from translate.training.loop import Update
    from translate.training.stream import to_device
    from translate.training.way import way_of

    task_name, options, gflop = CASES[name]
    task_class = find(task_name)
    config = replace(task_class.Config(), mixed_precision=precision, **options)
    accelerator = Accelerator()
    device = accelerator.device
    torch.manual_seed(0)
    info, batch = work(task_class.data, config)
    task = task_class(config, DataInfo.of(info)).to(device)
    way = way_of(task, config, lambda: batch, device).way
    dtype = way.autocast
    before = convolution_limit(dtype or torch.float32)
    update, batch = Update(task, config, accelerator, dtype), to_device(batch, device, way.memory_format)
    if task_class.data == "captions":
        gflop = flops(lambda: task.step(batch, 0, update)) / 1e9
    times = []
    for t in range(steps + 3):  # the first ones build kernels and grow the heap
        start = clock()
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            task.step(batch, t, update)
        times.append(clock() - start)
    seconds = sorted(times[3:])[steps // 2]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**30
    limit = (before + convolution_limit(dtype or torch.float32)) / 2
    return {
        "case": name,
        "precision": precision if precision != "auto" else f"auto: {way}",
        "seconds": seconds,
        "images/s": config.batch_size / seconds,
        "peak GiB": memory,
        "limit GFLOP/s": limit,
        "share": gflop / seconds / limit if gflop else None,
    }


def main(settings: Settings) -> None:
    rows = []
    print("| case | precision | s / step | images/s | peak GiB | limit GFLOP/s | share of the limit |")
    print("|---|---|---|---|---|---|---|")
    for precision in settings.precisions:
        for name in CASES:
            if settings.cases.lower() not in name.lower():
                continue
            command = [sys.executable, "-m", "benchmarks.training"]
            command += ["--case", name, precision, str(settings.steps)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(printed.splitlines()[-1])
            rows.append(row)
            share = f"{row['share']:.1%}" if row["share"] else "-"
            print(
                f"| {name} | {row['precision']} | {row['seconds']:.3f} | {row['images/s']:.2f} "
                f"| {row['peak GiB']:.2f} | {row['limit GFLOP/s']:.0f} | {share} |",
                flush=True,
            )
    if settings.output:
        settings.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        import tyro

        main(tyro.cli(Settings, description=__doc__))
