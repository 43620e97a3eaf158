"""Scores of the two emoji models on held-out emoji: `python -m benchmarks.emoji --data emoji.zip`.

sketch-to-emoji (outlines to OpenMoji): error to the truth and sharpness against it, beside copying the input
and, with `--sketch-l1 RUN`, the same network trained on L1 alone. emoji-noto-twemoji (trained without pairs):
the share of translations that a reader of styles takes for the target's, the error to the partner that the
model never saw, a Frechet distance to the target's pictures; with `--no-cycle RUN`, a control beside it.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).resolve().parent.parent / "pretrained"
READER = SHIPPED / "readers" / "emoji-style.safetensors"
SHOWN = 8  # rows of a sheet


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # emoji.zip, or its folder: {train,test}/{style}/NAME.png
    sketch: Path = SHIPPED / "sketch-to-emoji"
    sketch_l1: Path | None = None  # a run with --adversarial 0
    unpaired: Path = SHIPPED / "emoji-noto-twemoji"
    no_cycle: Path | None = None  # a run with --lambda-cycle 0
    reader: Path = READER
    sheets: Path | None = None  # write pictures of the first rows into this folder
    output: Path | None = None  # write the numbers as JSON here


def pictures(data: str, a: str, b: str):
    """All test pairs at 128 px: two tensors [N, 3, 128, 128]."""
    import torch

    import datasets

    ends = dict(a=f"{data}/test/{a}", b=f"{data}/test/{b}")
    found = datasets.load("paired", data, size=128, resize="resize", flip=False, **ends)
    samples = [found.sample(i, torch.Generator()) for i in range(len(found))]
    return torch.stack([s["a"] for s in samples]), torch.stack([s["b"] for s in samples])


def translations(model: Path, inputs, direction: str = "AtoB"):
    """What the model makes of [N, 3, H, W], in float32."""
    import torch

    from translate.training.checkpoint import read_model

    task = read_model(model)
    with torch.inference_mode():
        return torch.cat([task(image=part, direction=direction) for part in inputs.split(16)])


def score(made, truths, copied) -> dict:
    from translate import metrics

    error, reference = metrics.mae(made, truths).value, metrics.mae(copied, truths).value
    return {
        "MAE": error,
        "MAE / copied": error / reference,
        "PSNR": metrics.psnr(made, truths).value,
        "sharpness": metrics.sharpness(made.split(64), truths.split(64)).value,
    }


def table(title: str, rows: dict[str, dict]) -> None:
    columns = list(next(iter(rows.values())))
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")


def sheet(columns: dict, path: Path, first: int = 10) -> None:
    """Evenly spread rows; the first emoji are all flags."""
    import torch

    from translate import figures

    chosen = torch.linspace(first, len(next(iter(columns.values()))) - 4, SHOWN).long()
    figures.grid({title: made[chosen] for title, made in columns.items()}).save(path)
    print(path)


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    from translate.metrics import frechet
    from translate.metrics import reader as readers

    a, b = pictures(settings.data, "line", "openmoji")
    made = {"copied": a}
    if settings.sketch_l1:
        made["L1 alone"] = translations(settings.sketch_l1, a)
    made["L1 + cGAN"] = translations(settings.sketch, a)
    sketches = {name: score(ours, b, a) for name, ours in made.items()} | {"truth": score(b, b, a)}
    table(f"Outline to OpenMoji, {len(a)} test emoji, 128 px", sketches)
    if settings.sheets:
        shown = {"outline": a} | {k: v for k, v in made.items() if k != "copied"} | {"truth": b}
        sheet(shown, settings.sheets / "sketch-to-emoji.png")

    reader, (net, features) = readers.load(settings.reader), frechet.network("efficientnet-lite0")
    print(f"\nFrechet distance: {features}")
    models = {"CycleGAN": settings.unpaired}
    if settings.no_cycle:
        models["without cycle loss"] = settings.no_cycle
    a, b = pictures(settings.data, "noto", "twemoji")
    unpaired = {}
    for direction, source, target, style in (("AtoB", a, b, "twemoji"), ("BtoA", b, a, "noto")):
        truth = frechet.described(target.split(32), net)
        made = {"copied": source} | {k: translations(f, source, direction) for k, f in models.items()}
        rows = {
            name: {f"read as {style}": reader.share(ours, "style", style)}
            | score(ours, target, source)
            | {"Frechet distance": frechet.frechet(frechet.described(ours.split(32), net), truth).value}
            for name, ours in (made | {"truth": target}).items()
        }
        title = "Noto to Twemoji" if direction == "AtoB" else "Twemoji to Noto"
        table(f"{title}, {len(a)} test emoji, 128 px", rows)
        unpaired[title] = rows
        if settings.sheets:
            shown = {"input": source} | {k: v for k, v in made.items() if k != "copied"} | {"partner": target}
            sheet(shown, settings.sheets / f"emoji-{direction}.png")
    if settings.output:
        settings.output.write_text(
            json.dumps({"sketch-to-emoji": sketches, "emoji-noto-twemoji": unpaired}, indent=1)
        )


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
