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
FEATURES = "efficientnet-lite0"
PIXELS = "mae,pooled-psnr,sharpness"
SHOWN = 8  # rows of a sheet
ALL = 100_000  # pictures at most


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


def held_out(settings: Settings, model: Path, styles: tuple[str, str]):
    """What a model makes of the test emoji of one style, beside those of the other: `command.gathered`."""
    import datasets
    from translate.metrics import command

    sides = tuple(f"{settings.data}/train/{style}" for style in styles)  # their test part lies beside them
    given = dict(data=settings.data, kind="paired", sides=sides, reader=str(settings.reader), count=ALL)
    return command.gathered(str(model), datasets.load, datasets.options_of, network=FEATURES, **given)


def rows(cases: dict, way: int, names: str) -> tuple[dict[str, dict[str, float]], dict]:
    """The scores of the input copied, of each model's pictures and of the true ones; and these pictures."""
    from translate.metrics import evaluation

    first = next(iter(cases.values())).evidence[way]
    made = {"copied": first.trivial} | {name: case.evidence[way].made for name, case in cases.items()}
    made["truth"] = first.truths
    found, chosen = {}, evaluation.metric_names(names)
    for name, pictures in made.items():
        case = cases.get(name, next(iter(cases.values())))
        scores = evaluation.scores(pictures, case.evidence[way], case.judges, chosen)
        found[name] = {label: score.value for label, score in scores.items()}
    for row in found.values():
        row["mae / copied"] = row["mae"] / found["copied"]["mae"]
    return found, {"input": made.pop("copied")} | made


def table(title: str, rows: dict[str, dict]) -> None:
    columns = list(next(iter(rows.values())))
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")


def sheet(columns: dict, path: Path, first: int = 10) -> None:
    """Evenly spread rows; the first emoji are all flags."""
    import torch

    from translate import figures
    from translate.metrics.evaluation import floats

    count = len(next(iter(columns.values())))
    first = min(first, count // 4)
    chosen = torch.linspace(first, max(first, count - 4), SHOWN).long()
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.grid({title: floats(made[chosen])[0] for title, made in columns.items()}).save(path)
    print(path)


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    models = {"L1 alone": settings.sketch_l1, "L1 + cGAN": settings.sketch}
    cases = {name: held_out(settings, model, ("line", "openmoji")) for name, model in models.items() if model}
    sketches, shown = rows(cases, 0, PIXELS)
    count = len(shown["input"])
    table(f"Outline to OpenMoji, {count} test emoji, 128 px", sketches)
    if settings.sheets:
        sheet(shown, settings.sheets / "sketch-to-emoji.png")

    models = {"CycleGAN": settings.unpaired, "without cycle loss": settings.no_cycle}
    cases = {name: held_out(settings, model, ("noto", "twemoji")) for name, model in models.items() if model}
    first = next(iter(cases.values()))
    print(f"\nFrechet distance: {first.judges.net.title}")
    unpaired = {}
    for way, found in enumerate(first.evidence):
        title = "Noto to Twemoji" if found.direction == "AtoB" else "Twemoji to Noto"
        unpaired[title], shown = rows(cases, way, f"read-as,{PIXELS},fid")
        table(f"{title}, {len(found.made)} test emoji, 128 px", unpaired[title])
        if settings.sheets:
            sheet(shown, settings.sheets / f"emoji-{found.direction}.png")
    if settings.output:
        settings.output.write_text(
            json.dumps({"sketch-to-emoji": sketches, "emoji-noto-twemoji": unpaired}, indent=1)
        )


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
