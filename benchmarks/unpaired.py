"""Scores of unpaired translators: `python -m benchmarks.unpaired --data DIR --models RUN...`.

DIR has trainA trainB testA testB. `python -m translate evaluate` of all their test pictures, a table for each
direction: distances to the real pictures of the other side, beside the input copied and, as a floor, real
training pictures of that side; and sheets of the first ones.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

SHOWN = 8  # rows of a sheet
ALL = 100_000  # pictures at most


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # a folder with trainA trainB testA testB
    models: tuple[str, ...]  # names or folders; those with one direction are scored in it
    size: int = 256  # pictures are scaled to it
    features: str = "efficientnet-lite0"  # or inception
    sheets: Path | None = None  # write pictures of the first rows into this folder


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import datasets
    from translate import figures
    from translate.metrics import command, evaluation, record

    records, shown = [], {}
    for model in settings.models:
        given = dict(data=settings.data, network=settings.features, count=ALL, size=settings.size)
        case = command.gathered(model, datasets.load, datasets.options_of, **given)
        records.append(command.rated(case, "fid,kid"))
        for e in case.evidence:
            columns = shown.setdefault(e.direction, {"input": e.trivial[:SHOWN]})
            columns[case.name] = e.made[:SHOWN]
    for direction, columns in shown.items():
        of = [
            dataclasses.replace(r, rows=rows) for r in records
            if (rows := [row for row in r.rows if row.protocol["direction"] == direction])
        ]  # fmt: skip
        print(f"\n{direction}: {of[0].rows[0].protocol['measure']}\n\n{record.comparison(of)}", flush=True)
        if settings.sheets:
            settings.sheets.mkdir(parents=True, exist_ok=True)
            pictures = {title: evaluation.floats(x)[0] for title, x in columns.items()}
            figures.grid(pictures).save(settings.sheets / f"unpaired-{direction}.png")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
