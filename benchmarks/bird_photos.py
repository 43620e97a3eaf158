"""Are they birds, are they copies? `python -m benchmarks.bird_photos --model bird-photos --data BIRDS.zip`

For captions of the held-out part: how many pictures MobileNetV2 takes for one of ImageNet's 59 kinds of
birds, beside real photographs; how many are nearer to a training picture than held-out ones are; sheets to
look at: a hundred pictures, the lecture's two captions in eight seeds, the pictures nearest to training
pictures beside these. Scores of captions: `python -m benchmarks.captions`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

BIRDS = (*range(7, 25), *range(80, 101), *range(127, 147))  # ImageNet's classes of birds
LECTURE = (
    "This bird is completely red with black wings and pointy beak",
    "A small sized bird that has a cream belly and a short pointed bill",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    model: str = "bird-photos"  # name or folder
    data: str = "cub_birds.zip"
    count: int = 308  # captions
    sheets: Path = Path("birds-looked-at")  # folder for the pictures
    trained_on: bool = True  # compare with every training picture; off: quicker


def called_birds(features, net) -> tuple[float, float]:
    """The share whose likeliest class is a bird; the mean probability of all birds together."""
    import torch

    chances = net.logits(features).softmax(1)
    first = torch.isin(chances.argmax(1), torch.tensor(BIRDS)).double().mean()
    return float(first), float(chances[:, list(BIRDS)].sum(1).mean())


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    import datasets
    from benchmarks.captions import held_out
    from translate import figures
    from translate.inference import images
    from translate.inference.catalog import locate
    from translate.inference.pipeline import Pipeline
    from translate.metrics import frechet, neighbours

    pipeline = Pipeline.from_pretrained(locate(settings.model))
    size = pipeline.task.config.size
    real, captions, _, _ = held_out(settings.data, settings.count, size)
    made = torch.cat([p.tensor for p in pipeline.from_noise(pipeline.noise(len(captions), 0), captions)])
    net, title = frechet.network("mobilenet-v2")
    seen = {name: frechet.described(x.split(32), net) for name, x in (("real", real), ("made", made))}
    print(f"{len(captions)} captions; {title}\n\n| | called a bird | probability of birds |\n|---|---|---|")
    for name, features in seen.items():
        print("| {} | {:.2f} | {:.2f} |".format(name, *called_birds(features, net)), flush=True)
    settings.sheets.mkdir(parents=True, exist_ok=True)
    images.to_image(images.grid(list(made[:100].unsqueeze(1)))).save(settings.sheets / "hundred.png")
    rows = [torch.cat([p.tensor for p in pipeline.imagine(told, 8, seed=1)]) for told in LECTURE]
    columns = {f"seed {i + 1}": torch.stack([row[i] for row in rows]) for i in range(8)}
    figures.grid(columns, notes=list(LECTURE)).save(settings.sheets / "lecture.png")
    every = range(0, len(captions), max(1, len(captions) // 24))
    shown = {"photograph": real[list(every)], "made": made[list(every)]}
    figures.grid(shown, notes=[captions[i] for i in every]).save(settings.sheets / "captions.png")
    if settings.trained_on:
        data = datasets.load("captions", settings.data, size=size, resize="resize", flip=False)
        samples = {}
        for i in range(len(data)):
            sample = data.sample(i, torch.Generator().manual_seed(0))
            samples[sample["index"]] = sample["image"]
        pictures = torch.stack(list(samples.values()))
        known = frechet.described(pictures.split(64), net)
        found = neighbours.memorised(seen["made"], known, seen["real"], title)
        print(f"\n{found.score.protocol}: {found.score.value:.3f}; distance ratio {found.ratio:.2f}")
        distances, numbers = neighbours.nearest(seen["made"], known)
        nearest = distances[:, 0].argsort()[:12]
        pairs = {"made": made[nearest], "nearest training picture": pictures[numbers[nearest, 0]]}
        figures.grid(pairs, notes=[captions[i] for i in nearest]).save(settings.sheets / "nearest.png")
    print(f"sheets in {settings.sheets}")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
