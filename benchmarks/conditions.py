"""What labels do for a GAN, and codes without labels: `python -m benchmarks.conditions --sets mnist`.

CGAN in its four forms (`none` is the same network without labels) and InfoGAN, each for so many updates. Of
5,000 samples, as many of each class: how many does a classifier of the data read as the class that was asked,
and the Frechet distance to the test pictures in that classifier's features (`benchmarks.readers` trained it,
on real pictures alone; it teaches none of these). InfoGAN's codes are matched to classes one to one, as well
as can be; `test` is how many test pictures Q then names right. Stop it and run it again: it goes on.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import put

HERE = Path(__file__).resolve().parent.parent
ROWS = ("none", "concat", "auxiliary", "projection", "infogan")


@dataclass(frozen=True, kw_only=True)
class Settings:
    sets: tuple[str, ...] = ("mnist",)  # mnist fashion cifar10
    rows: tuple[str, ...] = ROWS
    folder: Path = HERE.parent / "shared" / "data"  # where mnist/, fashion/ and cifar10.zip lie
    steps: int = 20_000  # updates of CGAN
    infogan_steps: int = 5000
    batch_size: int = 64
    channels: int = 64  # width of the convolutions beside the picture
    samples: int = 5000
    seed: int = 0
    runs: Path = HERE / "runs" / "conditions"
    page: Path = HERE / "docs" / "labels.md"  # the tables are written here, the samples beside it


def trained(name: str, row: str, settings: Settings):
    """The trained method, with its moving average where it keeps one."""
    import torch

    import datasets
    from benchmarks.baselines import SETS
    from translate.inference.pipeline import Pipeline
    from translate.task import DataInfo, find
    from translate.training.loop import train

    place, size, _ = SETS[name]
    task_class = find("infogan" if row == "infogan" else "cgan")
    steps = settings.infogan_steps if row == "infogan" else settings.steps
    folder = settings.runs / f"{name}-{row}-{steps}-{settings.channels}-{settings.seed}"
    own = {} if row == "infogan" else dict(condition=row, batch_size=settings.batch_size)
    config = task_class.Config(
        data=str(settings.folder / place), output=folder, steps=steps, size=size, resize="resize", flip=False,
        channels=settings.channels, seed=settings.seed, mixed_precision="no", workers=1, doctor=False,
        save_every=steps, save_minutes=2.0, preview_every=0, keep_states=1, lr_schedule="linear", **own,
    )  # fmt: skip
    data = datasets.load(task_class.data, config.data, size=size, resize="resize", flip=False)
    torch.manual_seed(config.seed)
    train(task_class(config, DataInfo.of(data.info)), data, config)
    return Pipeline.from_pretrained(folder, "cpu", "fp32").task


def matched(counts):
    """The one-to-one match of rows to columns with the largest sum: the column of each row."""
    from scipy.optimize import linear_sum_assignment

    return [int(column) for column in linear_sum_assignment(counts, maximize=True)[1]]


def judged(task, test, judge, reader, settings: Settings) -> dict:
    """The row of one method; also ten samples of each class."""
    import torch

    labels = torch.arange(settings.samples) % 10
    noise = torch.randn(settings.samples, *task.noise_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pairs = zip(noise.split(250), labels.split(250), strict=True)
        made = torch.cat([task.generate(noise=z, label=y) for z, y in pairs])
        read, found = reader.read(made)["class"], judge(made)
        if hasattr(task, "classify"):  # InfoGAN: which class is each code?
            counts = torch.zeros(10, 10).index_put_((labels, read), torch.tensor(1.0), accumulate=True)
            match = torch.tensor(matched(counts.numpy()))
            named = torch.cat([task.classify(x).argmax(1) for x in test["image"].split(500)])
            found |= {
                "test": float((match[named] == test["label"]).float().mean()),
                "match": match.tolist(),
            }
            labels_asked = match[labels]
        else:
            labels_asked = labels
        found["right"] = float((read == labels_asked).float().mean())
    order = torch.cat([(labels_asked == label).nonzero()[:3, 0] for label in range(10)])
    return found | {"shown": made[order]}


def table(results: dict, settings: Settings) -> str:
    """Markdown, a table for each set."""
    lines = []
    for name, rows in results.items():
        first = next(iter(rows.values()))
        lines += [f"### {name}", "", f"{first['protocol']}. Chance is 10 %.", ""]
        lines += ["| D learns of the class by | asked and read alike | Frechet distance | updates | test |"]
        lines += ["|---|---|---|---|---|"]
        for row, facts in rows.items():
            right = "" if row == "none" else f"{facts['right']:.1%}"
            test = f"{facts['test']:.1%}" if "test" in facts else ""
            title = "infogan (codes, no labels)" if row == "infogan" else row
            lines.append(f"| {title} | {right} | {facts['frechet']:.2f} | {facts['steps']:,} | {test} |")
        lines += ["", f"![Three samples of each class, a row for each method](labels-{name}.png)", ""]
    return "\n".join(lines)


def main(settings: Settings) -> None:
    import torch
    from PIL import Image

    import datasets
    from benchmarks import baselines
    from translate import machine
    from translate.metrics import features
    from translate.metrics import reader as readers
    from translate.training.stream import collate

    machine.tune()
    settings.runs.mkdir(parents=True, exist_ok=True)
    store = settings.runs / f"results-{settings.steps}-{settings.channels}.json"
    results = json.loads(store.read_text()) if store.is_file() else {}
    for name in settings.sets:
        place, size, judging = baselines.SETS[name]
        data = datasets.load("labels", str(settings.folder / place), size=size, split="test", resize="resize")
        test = collate([data.sample(i, torch.Generator()) for i in range(len(data))])
        judge = baselines.Judge(test["image"], name)
        reader = readers.load(features.READERS / f"{judging}.safetensors")
        for row in settings.rows:
            if row in results.setdefault(name, {}):
                continue
            task = trained(name, row, settings)
            facts = judged(task, test, judge, reader, settings)
            shown = baselines.strip(facts.pop("shown"))
            shown.save(settings.runs / f"{name}-{row}.png")
            results[name][row] = facts | {"steps": task.config.steps}
            store.write_text(json.dumps(results, indent=1))
            print(name, row, json.dumps(results[name][row]), flush=True)
        strips = [settings.runs / f"{name}-{row}.png" for row in results[name]]
        pictures = [Image.open(path) for path in strips]
        sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
        for number, picture in enumerate(pictures):
            sheet.paste(picture, (0, number * picture.height))
        if settings.page.is_file():
            sheet.save(settings.page.parent / f"labels-{name}.png", optimize=True)
    print(table(results, settings))
    put(settings.page, "conditions", table(results, settings))


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=(__doc__ or "").split("\n")[0]))))
