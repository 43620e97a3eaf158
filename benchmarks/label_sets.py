"""Does a D of label sets help a classifier? `python -m benchmarks.label_sets`. Run it again: it goes on.

multi_label with its adversary (Tsai & Lee 2018) and with cross-entropy alone, the same G, updates and seeds,
on the nine attributes of `birds` and on the groups and subgroups of emoji: micro-F1 on test pictures, a label
being told where its probability is above ½, and how many pictures have their whole set right.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks import put

HERE = Path(__file__).resolve().parent.parent
EMOJI = HERE.parent / "shared" / "data" / "emoji.zip"
SETS = {"birds": ("birds:6000", ()), "emoji": (f"{EMOJI}/train/noto", ("group", "subgroup"))}


@dataclass(frozen=True, kw_only=True)
class Settings:
    sets: tuple[str, ...] = ("birds", "emoji")
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 3000
    size: int = 64
    channels: int = 32
    adversarial: float = 0.02  # weight of fooling D, in the rows that have one
    runs: Path = HERE / "runs" / "label-sets"
    page: Path = HERE / "docs" / "labels.md"  # the table is written here


def trained(name: str, weight: float, seed: int, settings: Settings) -> dict:
    """One run: its scores on the test pictures."""
    import torch

    import datasets
    from models.translation.multi_label import MultiLabel, micro_f1
    from translate.inference.pipeline import Pipeline
    from translate.task import DataInfo
    from translate.training.loop import train
    from translate.training.stream import collate

    place, columns = SETS[name]
    folder = settings.runs / f"{name}-{weight:g}-{settings.steps}-{settings.size}-{seed}"
    if (file := folder / "result.json").is_file():
        return json.loads(file.read_text())
    asked = dict(size=settings.size, columns=columns, flip=name == "birds")
    config = MultiLabel.Config(
        data=place, output=folder, steps=settings.steps, seed=seed, channels=settings.channels,
        adversarial=weight, mixed_precision="no", doctor=False, preview_every=0, save_minutes=2.0,
        save_every=settings.steps, keep_states=1, workers=1, **asked,
    )  # fmt: skip
    data = datasets.load("sets", place, **asked)
    torch.manual_seed(seed)
    train(MultiLabel(config, DataInfo.of(data.info)), data, config)
    test = datasets.load("sets", place, split="test", **asked)
    batch = collate([test.sample(i, torch.Generator()) for i in range(len(test))])
    task, truth = Pipeline.from_pretrained(folder, "cpu", "fp32").task, batch["set"] > 0.5
    with torch.inference_mode():
        predicted = torch.cat([task.classify(x) for x in batch["image"].split(250)]) > 0.5
    row = dict(set=name, weight=weight, seed=seed, f1=float(micro_f1(predicted, truth)))
    row |= dict(whole=float((predicted == truth).all(1).float().mean()), labels=truth.shape[1], of=len(truth))
    file.write_text(json.dumps(row))
    return row


def table(rows: list[dict]) -> str:
    """One line for each data set and weight; mean over seeds, and the deviation where there are several."""
    lines = ["| data | labels | loss | seeds | micro-F1 | whole sets right |", "|---|---|---|---|---|---|"]
    for key in sorted({(row["set"], row["weight"]) for row in rows}):
        same = [row for row in rows if (row["set"], row["weight"]) == key]
        loss = f"cross-entropy + {key[1]:g} × fooling D" if key[1] else "cross-entropy"
        f1, whole = ([row[name] for row in same] for name in ("f1", "whole"))
        spread = f" ± {statistics.stdev(f1):.4f}" if len(f1) > 1 else ""
        first = f"| {key[0]} | {same[0]['labels']} | {loss} | {len(same)} | {statistics.mean(f1):.4f}{spread}"
        lines.append(f"{first} | {statistics.mean(whole):.1%} of {same[0]['of']:,} |")
    return "\n".join(lines)


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    rows = []
    for name in settings.sets:
        for seed in settings.seeds:
            for weight in (settings.adversarial, 0.0):
                rows.append(trained(name, weight, seed, settings))
                print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    put(settings.page, "label_sets", table(rows))


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=(__doc__ or "").split("\n")[0]))
