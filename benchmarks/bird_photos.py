"""Birds from captions, one row for each model.

    python -m benchmarks.bird_photos --models bird-photos RUN ... --data BIRDS.zip --judge JUDGE

On captions of the held-out part: R-precision by a judge trained apart; Frechet distances by networks that
taught none of the models; how many pictures MobileNetV2 takes for one of ImageNet's 59 kinds of birds, beside
photographs; how many are nearer to a training photograph than held-out ones are (copies); how much higher D
rates a photograph with its own caption than with another's, where the folder has its state; diversity;
minutes of training, where it has its log. Sheets to look at, of each model: a hundred pictures, the lecture's
two captions in eight seeds, pictures beside photographs, and beside the nearest training photographs.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BIRDS = (*range(7, 25), *range(80, 101), *range(127, 147))  # ImageNet's classes of birds
LECTURE = (
    "This bird is completely red with black wings and pointy beak",
    "A small sized bird that has a cream belly and a short pointed bill",
)
PAUSE = 600  # seconds between two lines of a log, after which the run had stopped


@dataclass(frozen=True, kw_only=True)
class Settings:
    models: tuple[str, ...] = ("bird-photos",)  # names or folders
    data: str = "cub_birds.zip"
    count: int = 308  # captions
    judge: Path | None = None  # a judge; trained and written here where there is none yet
    judge_sight: Literal["plain", "imagenet", "imagenet-lite2"] = "imagenet-lite2"
    judge_steps: int = 500  # batches of 64
    features: tuple[str, ...] = ("efficientnet-lite2", "mobilenet-v2")
    sheets: Path = Path("birds-looked-at")  # folder for the pictures
    trained_on: bool = True  # compare with every training picture; off: quicker


def called_birds(features, net) -> float:
    """The share whose likeliest class is a bird."""
    import torch

    return float(torch.isin(net.logits(features).argmax(1), torch.tensor(BIRDS)).double().mean())


def minutes(folder: Path) -> float | None:
    """Of training, by the times in its log, pauses left out; None without a log."""
    if not (folder / "logs.jsonl").exists():
        return None
    rows = (json.loads(line) for line in (folder / "logs.jsonl").read_text().splitlines())
    times = sorted(row["time"] for row in rows if "time" in row)
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    return sum(gap for gap in gaps if gap < PAUSE) / 60


def known(data: str, size: int, net):
    """The photographs of the training part, each once, and what the network sees of them."""
    import torch

    import datasets
    from translate.metrics import frechet

    found, samples = datasets.load("captions", data, size=size, resize="resize", flip=False), {}
    for i in range(len(found)):
        sample = found.sample(i, torch.Generator().manual_seed(0))
        samples[sample["index"]] = sample["image"]
    pictures = torch.stack(list(samples.values()))
    return pictures, frechet.described(pictures.split(64), net)


def drawn(pipeline, captions: list[str], real, place: Path):
    """A picture of each caption; sheets of some of them."""
    import torch

    from translate import figures
    from translate.inference import images

    start = time.perf_counter()
    made = torch.cat([p.tensor for p in pipeline.from_noise(pipeline.noise(len(captions), 0), captions)])
    each = (time.perf_counter() - start) / len(captions)
    place.mkdir(parents=True, exist_ok=True)
    images.to_image(images.grid(list(made[:100].unsqueeze(1)))).save(place / "hundred.png")
    rows = [torch.cat([p.tensor for p in pipeline.imagine(text, 8, seed=1)]) for text in LECTURE]
    columns = {f"seed {i + 1}": torch.stack([row[i] for row in rows]) for i in range(8)}
    figures.grid(columns, notes=list(LECTURE)).save(place / "lecture.png")
    every = list(range(0, len(captions), max(1, len(captions) // 24)))
    shown = {"photograph": real[every], "made": made[every]}
    figures.grid(shown, notes=[captions[i] for i in every]).save(place / "captions.png")
    return made, each


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    from benchmarks.captions import held_out, judged
    from translate import figures
    from translate.inference.catalog import locate
    from translate.inference.pipeline import Pipeline
    from translate.metrics import captions as metric
    from translate.metrics import frechet, neighbours
    from translate.metrics.evidence import ALIKE, EACH

    pipelines = {locate(name): Pipeline.from_pretrained(locate(name)) for name in settings.models}
    size = max(pipeline.task.config.size for pipeline in pipelines.values())
    chosen = held_out(settings.data, settings.count, size)
    samples = [chosen.sample(i, None) for i in range(len(chosen))]
    real, captions = torch.stack([s["image"] for s in samples]), [s["caption"] for s in samples]
    kinds = getattr(chosen, "kinds", [str(i) for i in range(len(chosen))])
    judge = judged(settings)
    nets = [frechet.network(name)[0] for name in settings.features]
    seer, title = frechet.network("mobilenet-v2")
    truths = [frechet.described(real.split(32), net) for net in nets]
    seen_real = frechet.described(real.split(32), seer)
    if settings.trained_on:
        pictures, trained = known(settings.data, size, seer)

    def read(shown) -> list[str]:
        """R-precision of pictures, and of pictures of others' captions."""
        parts = (shown, shown.roll(len(shown) // 2, 0))  # neighbours may be of one class
        return [f"{metric.r_precision(judge, part, captions, kinds).value:.3f}" for part in parts]

    print(f"{len(captions)} captions, {size} px\n")
    columns = ["", "updates", "pictures seen", "minutes", "R-precision", "shuffled"]
    columns += [f"Frechet distance, {name}" for name in settings.features]
    columns += ["called a bird", "copies", "D(match) - D(mismatch)", "diversity", "ms a picture"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    blank = [""] * len(nets)
    cells = ["photographs", "", "", "", *read(real), *blank, f"{called_birds(seen_real, seer):.2f}"]
    print(f"| {' | '.join([*cells, '', '', '', ''])} |", flush=True)
    for folder, pipeline in pipelines.items():
        made, each = drawn(pipeline, captions, real, settings.sheets / folder.name)
        facts, spent = json.loads((folder / "config.json").read_text()), minutes(folder)
        seen = frechet.described(made.split(32), seer)
        several = [[p.tensor for p in pipeline.imagine(text, EACH, seed=1)] for text in captions[:ALIKE]]
        alike = metric.diversity(torch.stack([torch.cat(row) for row in several])).value
        gap = metric.matching(folder, real, captions)
        scale = "" if gap is None or pipeline.task.log_odds else " (hinge)"
        cells = [folder.name, f"{facts['steps']:,}", f"{facts['images']:,}"]
        cells += ["" if spent is None else f"{spent:.0f}", *read(made)]
        for net, truth in zip(nets, truths, strict=True):
            cells.append(f"{frechet.frechet(frechet.described(made.split(32), net), truth).value:.1f}")
        cells.append(f"{called_birds(seen, seer):.2f}")
        if settings.trained_on:
            cells.append(f"{neighbours.memorised(seen, trained, seen_real, title).score.value:.3f}")
            distances, numbers = neighbours.nearest(seen, trained)
            nearest = distances[:, 0].argsort()[:12]
            pairs = {"made": made[nearest], "nearest training picture": pictures[numbers[nearest, 0]]}
            sheet = figures.grid(pairs, notes=[captions[i] for i in nearest])
            sheet.save(settings.sheets / folder.name / "nearest.png")
        else:
            cells.append("")
        cells += ["" if gap is None else f"{gap:.2f}{scale}", f"{alike:.1f}", f"{1000 * each:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nsheets in {settings.sheets}")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
