"""Test errors with few labels: `python -m benchmarks.semi`. Stop it and run it again: it goes on.

One row for each number of labels: the semi-supervised GAN (Salimans et al. 2016, their dense network on
permutation-invariant MNIST, or the convolutional one on CIFAR-10) and the same D with the labels alone. Wrong
answers on the test pictures at the end of training, of the averaged weights, never the best seen on the way.
Labels are drawn by `--labelled-seed`, the same of every class; each seed draws others.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks import put

HERE = Path(__file__).resolve().parent.parent
SHARED = HERE.parent / "shared" / "data"
PUBLISHED = {
    "mnist": {20: "1677 ± 452", 50: "221 ± 136", 100: "93 ± 6.5", 200: "90 ± 4.2"},
    "cifar10": {1000: "21.83 %", 2000: "19.61 %", 4000: "18.63 %", 8000: "17.72 %"},
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    set: Literal["mnist", "cifar10"] = "mnist"
    data: str | None = None  # where it lies; default ../shared/data
    labels: tuple[int, ...] = (100,)  # rows: labels in all, 20 50 100 200; 1000 to 8000
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: float = 300  # of D; published 300 (MNIST), 1,200 (CIFAR-10)
    schedule: Literal["constant", "linear"] = "constant"  # linear: to 0 over the last half, for fewer epochs
    supervised_epochs: float = 20  # of the network that sees labels alone; it is done much sooner
    width: int | None = None  # of D; default the paper's
    threads: int = 0  # 0: all
    runs: Path = HERE / "runs" / "semi"
    page: Path = HERE / "docs" / "labels.md"  # the table is written here, between its two comments


def load(settings: Settings, labels: int, seed: int, split: str = "train"):
    import datasets

    place = settings.data or str(SHARED / ("mnist" if settings.set == "mnist" else "cifar10.zip"))
    size = 28 if settings.set == "mnist" else 32
    asked = dict(size=size, resize="resize", flip=False, labelled=labels // 10, labelled_seed=seed)
    return place, datasets.load("labels", place, split=split, **asked)


def wrong(task, pictures, labels) -> int:
    """How many of the test pictures [N, C, H, W] the task names otherwise than their labels [N] do."""
    answers = [task.classify(part).argmax(1) for part in pictures.split(500)]
    return sum(int((a != b).sum()) for a, b in zip(answers, labels.split(500), strict=True))


def trained(settings: Settings, labels: int, seed: int, alone: bool) -> dict:
    """Train, or go on, or read what was trained: the row of one run."""
    import torch

    from models.gan.semi_gan import SemiGAN
    from translate.task import DataInfo
    from translate.training import observers
    from translate.training.loop import train

    epochs = settings.supervised_epochs if alone else settings.epochs
    place, data = load(settings, labels, seed)
    mnist, updates = settings.set == "mnist", len(data) // 100  # of an epoch of D
    name = f"{settings.set}-{labels}-{'labels-alone' if alone else settings.schedule}-{seed}"
    folder, steps = settings.runs / name, round(epochs * updates)
    if (file := folder / "result.json").is_file():
        found = json.loads(file.read_text())
        if found["updates"] >= steps:
            return found
    own = {} if mnist else dict(size=32, network="conv", width=960, learning_rate=3e-4)
    if settings.width:
        own["width"] = settings.width
    config = SemiGAN.Config(
        data=place, output=folder, steps=steps, seed=seed, labelled=labels // 10, labelled_seed=seed,
        flip=False, unlabelled=0.0 if alone else 1.0, lr_schedule=settings.schedule,
        save_minutes=2.0, save_every=10**9, keep_states=1, preview_every=0, log_every=updates, doctor=False,
        **own,
    )  # fmt: skip
    _, test = load(settings, labels, seed, "test")
    samples = [test.sample(i, torch.Generator()) for i in range(len(test))]
    pictures = torch.stack([sample["image"] for sample in samples])
    truth = torch.tensor([sample["label"] for sample in samples])

    class Errors(observers.Observer):
        every = updates

        def __call__(self, seen) -> dict[str, float]:
            with seen.inference():
                return {"wrong": wrong(seen.task, pictures, truth)}

    torch.manual_seed(seed)
    task = SemiGAN(config, DataInfo.of(data.info))
    train(task, data, config, observers=[Errors()])
    lines = [json.loads(line) for line in (folder / "logs.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "wrong" in line)
    row = dict(set=settings.set, labels=labels, seed=seed, alone=alone, epochs=epochs, updates=steps)
    row |= dict(schedule=settings.schedule, wrong=int(last["wrong"]), of=len(test), width=config.width)
    file.write_text(json.dumps(row))
    return row


def table(rows: list[dict]) -> str:
    """One line for each number of labels and budget."""
    lines = ["| set | labels | budget | seeds | wrong, semi-supervised | wrong, labels alone | published |"]
    lines.append("|---|---|---|---|---|---|---|")
    kinds = {(r["set"], r["labels"], r["epochs"], r["schedule"], r["of"]) for r in rows if not r["alone"]}
    for name, labels, epochs, schedule, of in sorted(kinds):
        same = [r for r in rows if (r["set"], r["labels"], r["of"]) == (name, labels, of)]
        mine = [r["wrong"] for r in same if not r["alone"] and r["epochs"] == epochs]
        alone = [r["wrong"] for r in same if r["alone"]]
        budget = f"{epochs:g} epochs, {schedule} rate"
        cells = f"| {name} | {labels} | {budget} | {len(mine)} | {spread(mine)} of {of:,} | {spread(alone)} |"
        lines.append(f"{cells} {PUBLISHED[name].get(labels, '')} |")
    return "\n".join(lines)


def spread(values: list[int]) -> str:
    """Mean and deviation over seeds."""
    if len(values) < 2:
        return str(values[0]) if values else ""
    return f"{statistics.mean(values):.0f} ± {statistics.stdev(values):.0f}"


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)
    for labels in settings.labels:
        for seed in settings.seeds:
            for alone in (False, True):
                print(json.dumps(trained(settings, labels, seed, alone)), flush=True)
    rows = [json.loads(file.read_text()) for file in sorted(settings.runs.glob("*/result.json"))]
    print(table(rows))
    put(settings.page, "semi", table(rows))


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=(__doc__ or "").split("\n")[0]))
