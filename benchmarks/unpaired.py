"""Scores of unpaired translators: `python -m benchmarks.unpaired --data DIR --models RUN...`.

DIR has trainA trainB testA testB. For each direction, the distance of the translated test pictures to the
real ones of the other side, beside the input copied and, as a floor, real training pictures of that side.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

SHOWN = 8  # rows of a sheet


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: str  # a folder with trainA trainB testA testB
    models: tuple[str, ...]  # names or folders; those with one direction are scored in it
    size: int = 256  # pictures are scaled to it
    features: str = "efficientnet-lite0"  # or inception
    sheets: Path | None = None  # write pictures of the first rows into this folder


def sides(data: str, split: str, size: int):
    """The pictures of both sides: two tensors [N, 3, size, size] in [-1, 1]."""
    import torch

    import datasets

    found = {}
    for side in "AB":
        one = datasets.load(
            "images", f"{data}/{split}{side}", size=size, resize="resize", flip=False, split=split
        )
        found[side] = torch.stack([one.sample(i, torch.Generator())["image"] for i in range(len(one))])
    return found["A"], found["B"]


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    from translate import figures
    from translate.inference.catalog import locate
    from translate.metrics import frechet
    from translate.training.checkpoint import read_model

    net, title = frechet.network(settings.features)
    train, test = (sides(settings.data, split, settings.size) for split in ("train", "test"))
    tasks = {name: read_model(locate(name)) for name in settings.models}
    for direction, source, target in (("AtoB", 0, 1), ("BtoA", 1, 0)):
        real = frechet.described(test[target].split(16), net)
        chosen = torch.randperm(len(train[target]), generator=torch.Generator().manual_seed(0))
        known = train[target][chosen[: len(test[source])]]
        copied, known = (frechet.described(x.split(16), net) for x in (test[source], known))
        rows, shown = {"input copied": copied}, {"input": test[source][:SHOWN]}
        for name, task in tasks.items():
            if direction in task.directions:
                start = time.perf_counter()
                with torch.inference_mode():
                    parts = [task(image=x, direction=direction).float() for x in test[source].split(8)]
                seconds = (time.perf_counter() - start) / len(copied)
                made = torch.cat(parts)
                rows[f"{name} ({1000 * seconds:.0f} ms a picture)"] = frechet.described(made.split(16), net)
                shown[Path(name).name] = made[:SHOWN]
        rows["real, of the training set"] = known
        print(
            f"\n{direction}: {len(copied)} translated against {len(real)} real, {title}, {settings.size} px\n"
        )
        print("| | Frechet distance | kernel distance x 1000 |\n|---|---|---|")
        for name, features in rows.items():
            both = frechet.frechet(features, real).value, frechet.kernel(features, real).value
            print(f"| {name} | {both[0]:.1f} | {both[1]:.2f} |", flush=True)
        if settings.sheets:
            figures.grid(shown).save(settings.sheets / f"unpaired-{direction}.png")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
