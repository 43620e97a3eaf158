"""What the doctor costs: `python -m benchmarks.doctor`, in CPU time, beside a step of the training.

Checks, checks with samples, which are more frequent in the beginning, and what hearing the game adds to each
update. CPU time, the least of several, so that a busy machine changes little.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

CASES: dict[str, tuple[str, dict]] = {
    "DCGAN, 64 px, batch 64": ("dcgan", dict(size=64, batch_size=64)),
    "VAE, 64 px, batch 64": ("vae", dict(size=64, batch_size=64)),
    "pix2pix, 256 px, batch 1": ("pix2pix", dict(batch_size=1)),
    "CycleGAN, 128 px, batch 1": ("cyclegan", dict(size=128, batch_size=1)),
    "DF-GAN, 64 px, batch 24": ("df_gan", dict(size=64, batch_size=24, text_steps=0)),
    "GAN, dense, digits, batch 100": ("gan", dict(data="digits")),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    cases: tuple[str, ...] = ()  # only those whose name begins so; default all
    rounds: int = 5  # steps timed


def least(call: Callable[[], object], times: int) -> float:
    """CPU seconds, the least of several: others on the machine only make it more."""
    found = []
    for _ in range(times):
        begun = time.process_time()
        call()
        found.append(time.process_time() - begun)
    return min(found)


def measure(method: str, given: dict, rounds: int) -> dict[str, float]:
    """CPU seconds of a step, of hearing in it, of a check, of one with samples; and the shares of all, later
    and in the beginning, when there are more looks.
    """
    import torch

    import datasets
    from translate.doctor import BEGINNING, EARLY, EVERY, SAMPLE, Doctor
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
    update, batch = Update(task, config, Alone(), None), Stream(parts[0], config.batch_size, 0).batch(0)
    doctor, logs = Doctor(task, *parts), {}

    def step() -> None:
        logs.update(task.train().step(batch, 0, update))

    step()
    games = len(doctor.ear.ranks) if doctor.ear else 0  # CycleGAN has two
    found = {"step": least(step, rounds), "hearing": games * heard(doctor.ear, config.batch_size)}
    logged = {k: float(v) for k, v in logs.items()}, {k: float(v) for k, v in update.norms.items()}
    for name, t in (("check", EVERY), ("samples", BEGINNING + SAMPLE)):
        found[name] = least(lambda t=t: doctor.visit(t, *logged, task), 3)
    for name, updates, looks in (("share", SAMPLE, 1), ("begun", BEGINNING, BEGINNING // EARLY)):
        checks = updates // EVERY - looks
        spent = checks * found["check"] + looks * found["samples"] + updates * found["hearing"]
        found[name] = spent / (updates * found["step"])
    return found


def heard(ear, batch_size: int) -> float:
    """What an ear adds to one `discriminate` and one `fool`, a mean over many."""
    import torch

    if ear is None:
        return 0.0
    x, y = torch.rand(2, batch_size, 1, 4, 4)

    def both(game) -> None:
        for _ in range(100):
            game.discriminate(x, y)
            game.fool(lambda z: z, y, x)

    more = least(lambda: both(ear), 3) - least(lambda: both(ear.game), 3)
    ear.forget()
    return more / 100


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    torch.set_num_threads(1)
    print(
        "| | step, ms | hearing, ms | a check, ms | one with samples, ms "
        "| of the training | of its beginning |\n" + "|---" * 7 + "|"
    )
    for name, (method, given) in CASES.items():
        if not settings.cases or name.startswith(settings.cases):
            row = measure(method, given, settings.rounds)
            cells = " | ".join(f"{1000 * row[key]:.1f}" for key in ("step", "hearing", "check", "samples"))
            print(f"| {name} | {cells} | {row['share']:.2%} | {row['begun']:.2%} |", flush=True)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
