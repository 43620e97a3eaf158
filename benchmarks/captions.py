"""Models of captions, scored on captions never trained on: `python -m benchmarks.captions --models birds`.

On `birds`: caption fidelity per attribute, by the reader of attributes, beside real birds (what the reader
can see), pictures of other captions (chance), for captions of birds whose combination of attributes no
training bird has. On any captioned data: R-precision by a judge trained here on the training part, apart from
the generator's encoder; a Frechet distance to the real pictures; diversity; for runs that still have their
state, how much higher D rates a picture with its own caption than with another's.
"""

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

READER = Path(__file__).resolve().parent.parent / "pretrained" / "readers" / "birds.safetensors"
COLOURED = ("crown", "back", "belly", "wing", "tail", "beak")
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


class Chosen:
    """Some samples of a data set, seen at `size` pixels."""

    def __init__(self, data, numbers: list[int]):
        self.data, self.numbers, self.info = data, numbers, data.info
        self.known: dict[int, dict] = {}
        if hasattr(data, "kinds"):
            self.kinds = [data.kinds[i] for i in numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def sample(self, index: int, generator):
        """As ever the same: by its number in the data."""
        import torch

        if index not in self.known:
            number = self.numbers[index]
            self.known[index] = self.data.sample(number, torch.Generator().manual_seed(number))
        return self.known[index]


def held_out(data: str, count: int, size: int) -> Chosen:
    """The captions of the test part that are asked for, their pictures at `size` pixels."""
    import datasets

    found = datasets.load("captions", data, size=size, split="test", resize="resize", flip=False)
    count = min(count, len(found))
    numbers = [i * len(found) // count for i in range(count)]
    return Chosen(found, unseen(found, count) if data.startswith("birds") else numbers)


def unseen(found, count: int) -> list[int]:
    """Test birds whose attributes, all nine together, no training bird has."""
    from datasets import birds

    known = {tuple(birds.bird(i).attributes.values()) for i in range(birds.EPOCH)}
    fresh = (i for i in range(len(found)) if tuple(found.attributes(i).values()) not in known)
    return list(itertools.islice(fresh, count))


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


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import datasets
    from translate import figures
    from translate.inference.catalog import locate
    from translate.metrics import captions, command, evaluation, features
    from translate.training import checkpoint

    size = max(checkpoint.read_config(locate(model))[1].size for model in settings.models)
    chosen, judge, cases = held_out(settings.data, settings.count, size), judged(settings), {}

    def load(kind, data, *, split, **options):
        return chosen if split == "test" else datasets.load(kind, data, split=split, **options)

    given = dict(data=settings.data, count=len(chosen), most_train=2, network=settings.features[0])
    if settings.data.startswith("birds"):
        from datasets.birds import attributes_in

        given |= dict(reader=str(settings.reader), named=attributes_in)
    for model in settings.models:
        cases[Path(model).name] = case = command.gathered(model, load, datasets.options_of, **given)
        case.judges.matcher = judge
        e = case.evidence[0]
        gap = captions.matching(case.folder, evaluation.floats(e.shown), e.captions)
        told = "unknown: no state, or no D" if gap is None else f"{gap:.3f}"
        print(f"{case.name}: D(match) - D(mismatch) {told}")
    others = [features.network(name) for name in settings.features[1:]]
    first = next(iter(cases.values()))
    if settings.data.startswith("birds"):
        spread(cases)
    titles = [net.title for net in (first.judges.net, *others)]
    print(f"\n{len(chosen)} captions; {'; '.join(titles)}\n")
    distances = " | ".join(f"Frechet distance, {name}" for name in settings.features)
    print(f"| | R-precision | captions shuffled | {distances} | diversity | ms a picture |")
    print("|---" * (5 + len(titles)) + "|")
    e, blank = first.evidence[0], [""] * len(titles)
    alike = f"{of_captions(e.captions, size):.1f}" if settings.data.startswith("birds") else ""
    print(f"| real | {' | '.join([*read(e.shown, first), *blank, alike, ''])} |", flush=True)
    for name, case in cases.items():
        e = case.evidence[0]
        cells = read(e.made, case)
        for net in (case.judges.net, *others):
            judges = evaluation.Judges(net)
            cells += [f"{s.value:.1f}" for s in evaluation.scores(e.made, e, judges, ["fid"]).values()]
        diversity = evaluation.scores(e.made, e, case.judges, ["diversity"])["diversity"].value
        print(f"| {name} | {' | '.join(cells)} | {diversity:.1f} | {1000 * e.seconds:.0f} |", flush=True)
    if settings.sheets:
        settings.sheets.mkdir(parents=True, exist_ok=True)
        shown = {"real": first.evidence[0].shown} | {n: case.evidence[0].made for n, case in cases.items()}
        columns = {name: evaluation.floats(pictures[:SHOWN])[0] for name, pictures in shown.items()}
        figures.grid(columns, notes=first.evidence[0].captions[:SHOWN]).save(settings.sheets / "captions.png")


def read(pictures, case) -> list[str]:
    """R-precision of pictures, and of those of other captions: neighbours may be of one class."""
    from translate.metrics import evaluation

    both = (pictures, pictures.roll(len(pictures) // 2, 0))
    found = [evaluation.scores(x, case.evidence[0], case.judges, ["r-precision"]) for x in both]
    return [f"{scores['R-precision'].value:.3f}" for scores in found]


def of_captions(captions: list[str], size: int) -> float:
    """The diversity of real birds of each caption, alike in what it names."""
    from dataclasses import replace

    import torch

    from datasets import birds
    from translate.metrics import captions as metric
    from translate.metrics.evidence import ALIKE, EACH

    rows = []
    for i, text in enumerate(captions[:ALIKE]):
        named = birds.attributes_in(text)
        several = [replace(birds.bird(10**9 + 10**6 + EACH * i + k), **named) for k in range(EACH)]
        rows.append(torch.stack([birds.picture(one, size) for one in several]))
    return metric.diversity(torch.stack(rows)).value


def spread(cases: dict) -> None:
    """Prints caption fidelity, per attribute and over all named colours."""
    from translate.metrics import evaluation

    first = next(iter(cases.values()))
    columns, e = list(first.judges.reader.heads), first.evidence[0]
    print(f"\n| caption fidelity | {' | '.join(c.replace('_', ' ') for c in columns)} | all colours |")
    print("|---" * (len(columns) + 2) + "|")
    rows = {"real": e.shown} | {name: case.evidence[0].made for name, case in cases.items()}
    rows["chance: pictures of other captions"] = e.shown.roll(1, 0)
    for name, pictures in rows.items():
        scores = evaluation.scores(pictures, e, first.judges, ["caption-fidelity"])
        scores = {label.removeprefix("caption fidelity, "): score for label, score in scores.items()}
        total = sum(scores[c].count for c in COLOURED if c in scores)
        colours = sum(scores[c].value * scores[c].count for c in COLOURED if c in scores) / total
        cells = [f"{scores[c].value:.2f}" if c in scores else "" for c in columns]
        print(f"| {name} | {' | '.join(cells)} | {colours:.3f} |", flush=True)
    counts = [str(scores[c].count) if c in scores else "0" for c in columns]
    print(f"| times named | {' | '.join(counts)} | {total} |")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
