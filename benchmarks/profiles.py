"""Where a training step's time goes: `python -m benchmarks.profiles`.

Updates of each method at its published settings, in float32, by torch's profiler on one thread: seconds of
CPU, and shares of the time that the profiled updates took by kind of work; others on the machine slow all
kinds alike. Python: what is left without the operators.
"""

import dataclasses
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

CASES: dict[str, tuple[str, dict]] = {
    "CycleGAN, 256 px, batch 1": ("cyclegan", {}),
    "CUT, 256 px, batch 1": ("cut", {}),
    "SRGAN, x4, batch 16, pixels for VGG": ("srgan", dict(content="pixels", pretrain_steps=0)),
    "DF-GAN, 64 px, batch 24": ("df_gan", dict(size=64, batch_size=24, text_steps=0)),
    "DiT, its autoencoder, 64 px, batch 32": ("dit", dict(size=64, batch_size=32, text_steps=0)),
    "DiT, its flow, 64 px, batch 32": (
        "dit",
        dict(size=64, batch_size=32, text_steps=0, autoencoder_steps=0),
    ),
    "VAE, 64 px, batch 100": ("vae", {}),
    "VAE 784-400-20, batch 128": (
        "vae",
        dict(data="digits", size=28, network="dense", likelihood="bernoulli", latent=20, batch_size=128),
    ),
    "GAN, dense, digits, batch 100": ("gan", dict(data="digits")),
}
KINDS: dict[str, tuple[str, ...]] = {  # parts of operators' names
    "products": ("conv", "addmm", "::mm", "bmm", "linear", "matmul", "attention", "baddbmm"),
    "normalisation": ("norm", "batch_stats"),
    "optimizer": ("adam", "_foreach", "sgd", "rmsprop"),
    "layout": ("copy_", "contiguous", "clone", "cat", "stack", "pad", "upsample", "pixel", "index", "flip"),
}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "profiles.md"


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: tuple[str, ...] = ()  # only those whose name begins so; default all
    operators: int = 0  # print so many of the dearest operators, too


def measure(method: str, given: dict, operators: int) -> tuple[float, dict[str, float]]:
    """CPU seconds of an update, and the share of each kind of work in it."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    import datasets
    from translate import machine
    from translate.task import DataInfo, find
    from translate.training.stream import Stream, to_device
    from translate.training.update import Update

    class Alone:
        num_processes, device = 1, torch.device("cpu")

    machine.tune()
    torch.set_num_threads(1)
    task_class = find(method)
    config = dataclasses.replace(
        task_class.Config(), **({"data": "birds:256", "mixed_precision": "no"} | given)
    )
    data = datasets.load(task_class.data, config.data, size=config.size, **datasets.options_of(config))
    torch.manual_seed(0)
    task = task_class(config, DataInfo.of(data.info))
    update, batch = Update(task, config, Alone(), None), Stream(data, config.batch_size, 0).batch(0)
    batch = to_device(batch, torch.device("cpu"))
    for t in range(2):  # the first ones build kernels and grow the heap
        task.step(batch, t, update)
    begun, updates = time.process_time(), 0
    while time.process_time() - begun < 1.0:
        task.step(batch, updates + 2, update)
        updates += 1
    seconds = (time.process_time() - begun) / updates
    with profile(activities=[ProfilerActivity.CPU]) as found:
        begun = time.perf_counter()
        for t in range(updates):
            task.step(batch, 2 + updates + t, update)
        whole = (time.perf_counter() - begun) / updates  # by the clock, as the profiler's times
    events = [(event.key, event.self_cpu_time_total / 1e6 / updates) for event in found.key_averages()]
    spent: Counter[str] = Counter()
    for name, taken in events:
        if "::" in name and not name.startswith("Optimizer"):
            low = name.lower()
            spent[
                next((kind for kind, parts in KINDS.items() if any(p in low for p in parts)), "elementwise")
            ] += taken
    for name, taken in sorted(events, key=lambda event: -event[1])[:operators]:
        print(f"    {name}: {1e3 * taken:.1f} ms")
    shares = {kind: spent[kind] / whole for kind in (*KINDS, "elementwise")}
    return seconds, shares | {"Python": max(0.0, 1 - sum(shares.values()))}


def main(settings: Settings) -> None:
    from benchmarks import put

    kinds = (*KINDS, "elementwise", "Python")
    lines = ["| an update | s | " + " | ".join(kinds) + " |", "|---|--:|" + "--:|" * len(kinds)]
    for name, (method, given) in CASES.items():
        if not settings.cases or name.startswith(settings.cases):
            seconds, shares = measure(method, given, settings.operators)
            lines.append(
                f"| {name} | {seconds:.3g} | " + " | ".join(f"{shares[k]:.0%}" for k in kinds) + " |"
            )
            print(lines[-1], flush=True)
    if not settings.cases:
        put(PAGE, "profiles", "\n".join(lines))


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    import tyro

    main(tyro.cli(Settings, description=__doc__))
