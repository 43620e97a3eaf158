"""What the doctor costs: `python -m benchmarks.doctor`, in CPU time, beside a step of the training.

Steps are timed as the loop takes them, with the doctor's ear in the game and without, in turns; then a check
(every 20 updates) and one with samples (every 100). Of 100 updates: (4 checks + 1 with samples) / 100 steps,
and what hearing adds to each.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

CASES: dict[str, tuple[str, dict]] = {
    "DCGAN, 64 px, batch 64": ("dcgan", dict(size=64, batch_size=64)),
    "VAE, 64 px, batch 64": ("vae", dict(size=64, batch_size=64)),
    "pix2pix, 128 px, batch 1": ("pix2pix", dict(size=128, batch_size=1)),
    "CycleGAN, 128 px, batch 1": ("cyclegan", dict(size=128, batch_size=1)),
    "DF-GAN, 64 px, batch 24": ("df_gan", dict(size=64, batch_size=24, text_steps=0)),
    "GAN, dense, digits, batch 100": ("gan", dict(data="digits")),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: tuple[str, ...] = ()  # only those whose name begins so; default all
    steps: int = 3  # of a round
    rounds: int = 5


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def spent(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def measure(method: str, given: dict, steps: int, rounds: int) -> dict[str, float]:
    """CPU seconds of a step, of hearing in it, of a check, of one with samples; and the share of all."""
    import torch

    import datasets
    from translate.doctor import Doctor
    from translate.task import DataInfo, find
    from translate.training.stream import Stream
    from translate.training.update import Update

    class Alone:
        num_processes, device = 1, torch.device("cpu")

    task_class = find(method)
    given = {"data": "birds:256"} | given | {"mixed_precision": "no"}
    config = dataclasses.replace(task_class.Config(), **given)
    parts = [
        datasets.load(task_class.data, config.data, size=config.size, split=s) for s in ("train", "test")
    ]
    torch.manual_seed(0)
    task = task_class(config, DataInfo.of(parts[0].info))
    update, stream = Update(task, config, Alone(), None), Stream(parts[0], config.batch_size, 0)
    batch, logs, game = stream.batch(0), {}, getattr(task, "objective", None)
    doctor = Doctor(task, *parts)
    ears = {True: getattr(task, "objective", None), False: game}
    times: dict[bool, list[float]] = {True: [], False: []}

    def round_of(first: int) -> None:
        for t in range(first, first + steps):
            logs.update(task.train().step(batch, t, update))

    for number in range(rounds + 1):
        for hearing, ear in ears.items():
            if game is not None:
                task.objective = ear
            seconds = spent(lambda number=number: round_of(number * steps)) / steps
            if number:  # the first round warms up
                times[hearing].append(seconds)
    told = {k: float(v) for k, v in logs.items()}, {k: float(v) for k, v in update.norms.items()}
    check, sampled = (
        median([spent(lambda t=t: doctor.visit(t, *told, task)) for t in looks])
        for looks in ((20, 40, 60), (100, 200, 300))
    )
    plain = median(times[False])
    hearing = median([a - b for a, b in zip(times[True], times[False], strict=True)])
    share = (4 * check + sampled + 100 * max(0.0, hearing)) / (100 * plain)
    return {"step": plain, "hearing": hearing, "check": check, "samples": sampled, "share": share}


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    torch.set_num_threads(1)
    print(
        "| | step, ms | hearing, ms | a check, ms | one with samples, ms | of the training |\n"
        + "|---" * 6
        + "|"
    )
    for name, (method, given) in CASES.items():
        if not settings.cases or name.startswith(settings.cases):
            row = measure(method, given, settings.steps, settings.rounds)
            cells = " | ".join(f"{1000 * row[key]:.1f}" for key in ("step", "hearing", "check", "samples"))
            print(f"| {name} | {cells} | {row['share']:.2%} |", flush=True)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
