"""Models of captions, scored on captions never trained on: `python -m benchmarks.captions --models birds`.

On `birds`: caption fidelity per attribute, by the reader of attributes, beside real birds (what the reader
can see), pictures of other captions (chance), for captions of birds whose combination of attributes no
training bird has. On any captioned data: R-precision by a judge trained here on the training part, apart from
the generator's encoder; a Frechet distance to the real pictures; diversity; for runs that still have their
state, how much higher D rates a picture with its own caption than with another's.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

READER = Path(__file__).resolve().parent.parent / "pretrained" / "readers" / "birds.safetensors"
COLOURED = ("crown", "back", "belly", "wing", "tail", "beak")
EACH = 6  # pictures of one caption for diversity
ALIKE = 40  # captions whose pictures are compared
SHOWN = 8  # rows of a sheet


@dataclass(frozen=True, kw_only=True)
class Settings:
    models: tuple[str, ...]  # names or folders of models of captions
    data: str = "birds"  # what they were trained on: its test part is scored
    count: int = 500  # captions, or as many as there are
    judge: Path | None = None  # a judge; trained and written here where there is none yet
    judge_sight: Literal["plain", "imagenet", "imagenet-lite2"] = (
        "plain"  # imagenet: sees by EfficientNet-lite0, imagenet-lite2: by another, which teaches no model
    )
    judge_steps: int = 4000  # batches of 64
    reader: Path = READER
    features: tuple[str, ...] = ("efficientnet-lite0",)  # and efficientnet-lite2, mobilenet-v2, inception
    sheets: Path | None = None  # write pictures of the first captions into this folder


def held_out(data: str, count: int, size: int):
    """Real pictures [N, 3, size, size], a caption of each, their classes (or numbers) of the test part."""
    import torch

    import datasets

    options = dict(resize="resize", flip=False)
    found = datasets.load("captions", data, size=size, split="test", **options)
    numbers = [i * len(found) // min(count, len(found)) for i in range(min(count, len(found)))]
    if data.startswith("birds"):
        numbers = unseen(found, count)
    samples = [found.sample(i, torch.Generator().manual_seed(i)) for i in numbers]
    kinds = [found.kinds[i] for i in numbers] if hasattr(found, "kinds") else list(map(str, numbers))
    return torch.stack([s["image"] for s in samples]), [s["caption"] for s in samples], kinds, found


def unseen(found, count: int) -> list[int]:
    """Test birds whose attributes, all nine together, no training bird has."""
    from datasets import birds

    known = {tuple(birds.bird(i).attributes.values()) for i in range(birds.EPOCH)}
    fresh = (i for i in range(len(found)) if tuple(found.attributes(i).values()) not in known)
    return [next(fresh) for _ in range(count)]


def judged(settings: Settings):
    """The judge of `--judge`, trained on the training part where the file is not there yet."""
    import torch

    import datasets
    from translate.metrics import captions as metric

    if settings.judge and settings.judge.exists():
        return metric.load(settings.judge)
    sight = settings.judge_sight
    size = 64 if sight == "plain" else 128
    data = datasets.load("captions", settings.data, size=size, resize="resize", flip=sight == "plain")
    torch.manual_seed(1)
    judge = metric.Judge(tuple(data.info["vocabulary"]), data.info["channels"]["image"], sight=sight)
    seen = {} if sight == "plain" else looked_at(data, judge)

    def batch(t: int):
        generator = torch.Generator().manual_seed(t)
        chosen = torch.randint(len(data), (64,), generator=generator).tolist()
        samples = [data.sample(i, generator) for i in chosen]
        pictures = [seen[s["index"]] if seen else s["image"] for s in samples]
        return torch.stack(pictures), [s["caption"] for s in samples]

    metric.fit(judge, batch, settings.judge_steps, 3e-4)
    if settings.judge:
        metric.save(judge, settings.judge)
    return judge


def looked_at(data, judge) -> dict:
    """What a judge's frozen network sees of every picture: number -> [F].

    Not of mirror images too: these are means over places, which hardly change.
    """
    import torch
    from tqdm import tqdm

    samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(len(data))]
    pictures, seen = list({s["index"]: s["image"] for s in samples}.items()), {}
    for first in tqdm(range(0, len(pictures), 64), unit=" batches"):
        numbers, part = zip(*pictures[first : first + 64], strict=True)
        with torch.no_grad():
            seen |= zip(numbers, judge.pairing.sight.features(torch.stack(part)), strict=True)
    return seen


def matching(folder: Path, pictures, captions: list[str]) -> float | None:
    """Mean of D(picture, caption) - D(picture, another's caption), from a run's newest state.

    None where there is no state, or no D. D as a probability where it is trained with cross entropy, as it is
    (hinge) otherwise.
    """
    import torch
    import torch.nn.functional as F

    from translate.training import checkpoint

    states = checkpoint.states(folder)
    if not states:
        return None
    task_class, config, info, _ = checkpoint.read_config(folder)
    task = task_class(config, info)
    tensors, _ = checkpoint.read_state(states[-1][1])
    own = {k.removeprefix("task."): v for k, v in tensors.items() if k.startswith("task.")}
    absent = task.load_state_dict(own, strict=False).missing_keys
    task.eval()
    name = next((name for name in ("D", "D_2", "D_1") if hasattr(task, name)), None)
    if name is None or any(key.startswith(f"{name}.") for key in absent):
        return None
    D = getattr(task, name)
    if pictures.shape[-1] != config.size:
        pictures = F.interpolate(pictures, (config.size, config.size), mode="bilinear", antialias=True)
    with torch.inference_mode():
        sentences = task.sentences(captions)
        seen = torch.cat([D(part) for part in pictures.split(32)])
        rated = [D.match(seen, e).flatten() for e in (sentences, sentences.roll(len(sentences) // 2, 0))]
    if task.log_odds:
        rated = [logits.sigmoid() for logits in rated]
    return float((rated[0] - rated[1]).mean())


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    from translate import figures
    from translate.inference.catalog import locate
    from translate.inference.pipeline import Pipeline
    from translate.metrics import captions as metric
    from translate.metrics import frechet
    from translate.metrics import reader as readers

    pipelines = {Path(name).name: Pipeline.from_pretrained(locate(name)) for name in settings.models}
    size = max(pipeline.task.config.size for pipeline in pipelines.values())
    real, captions, kinds, found = held_out(settings.data, settings.count, size)
    judge = judged(settings)
    nets = [frechet.network(features) for features in settings.features]
    truths = [frechet.described(real.split(32), net) for net, _ in nets]
    made, seconds, alike = {"real": real}, {}, {}
    for name, pipeline in pipelines.items():
        start = time.perf_counter()
        pictures = pipeline.from_noise(pipeline.noise(len(captions), 0), captions)
        seconds[name] = (time.perf_counter() - start) / len(captions)
        made[name] = torch.cat([picture.tensor for picture in pictures])
        several = [[p.tensor for p in pipeline.imagine(text, EACH, seed=1)] for text in captions[:ALIKE]]
        alike[name] = metric.diversity(torch.stack([torch.cat(row) for row in several]))
        gap = matching(locate(next(m for m in settings.models if Path(m).name == name)), real, captions)
        print(
            f"{name}: D(match) - D(mismatch) {'unknown: no state, or no D' if gap is None else f'{gap:.3f}'}"
        )
    if settings.data.startswith("birds"):
        from datasets import birds

        alike["real"] = metric.diversity(of_captions(captions[:ALIKE], size))
        reader, named = readers.load(settings.reader), [birds.attributes_in(text) for text in captions]
        spread(reader, made, named)
    print(f"\n{len(captions)} captions; {'; '.join(title for _, title in nets)}\n")
    distances = " | ".join(f"Frechet distance, {features}" for features in settings.features)
    print(f"| | R-precision | captions shuffled | {distances} | diversity | ms a picture |")
    print("|---" * (5 + len(nets)) + "|")
    for name, pictures in made.items():
        own = metric.r_precision(judge, pictures, captions, kinds).value
        other = pictures.roll(len(pictures) // 2, 0)  # neighbours may be of one class
        shuffled = metric.r_precision(judge, other, captions, kinds).value
        cells = [
            ""
            if name == "real"
            else f"{frechet.frechet(frechet.described(pictures.split(32), net), truth).value:.1f}"
            for (net, _), truth in zip(nets, truths, strict=True)
        ]
        cells.append(f"{alike[name].value:.1f}" if name in alike else "")
        speed = f"{1000 * seconds[name]:.0f}" if name in seconds else ""
        print(f"| {name} | {own:.3f} | {shuffled:.3f} | {' | '.join(cells)} | {speed} |", flush=True)
    if settings.sheets:
        settings.sheets.mkdir(parents=True, exist_ok=True)
        shown = {name: pictures[:SHOWN] for name, pictures in made.items()}
        figures.grid(shown, notes=captions[:SHOWN]).save(settings.sheets / "captions.png")


def of_captions(captions: list[str], size: int):
    """EACH birds of each caption, alike in what it names: [captions, EACH, 3, size, size]."""
    from dataclasses import replace

    import torch

    from datasets import birds

    rows = []
    for i, text in enumerate(captions):
        named = birds.attributes_in(text)
        several = [replace(birds.bird(10**9 + 10**6 + EACH * i + k), **named) for k in range(EACH)]
        rows.append(torch.stack([birds.picture(one, size) for one in several]))
    return torch.stack(rows)


def spread(reader, made: dict, named: list[dict[str, str]]) -> None:
    """Prints caption fidelity, per attribute and over all named colours."""
    from translate.metrics import captions as metric

    columns = list(reader.heads)
    print(f"\n| caption fidelity | {' | '.join(c.replace('_', ' ') for c in columns)} | all colours |")
    print("|---" * (len(columns) + 2) + "|")
    rows = dict(made) | {"chance: pictures of other captions": made["real"].roll(1, 0)}
    for name, pictures in rows.items():
        shares, counts = metric.fidelity(reader, pictures, named)
        cells = [f"{shares[c]:.2f}" if c in shares else "" for c in columns]
        total = sum(counts.get(c, 0) for c in COLOURED)
        colours = sum(shares[c] * counts[c] for c in COLOURED if c in shares) / total
        print(f"| {name} | {' | '.join(cells)} | {colours:.3f} |", flush=True)
    _, counts = metric.fidelity(reader, made["real"], named)
    print(f"| times named | {' | '.join(str(counts.get(c, 0)) for c in columns)} | {total} |")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
