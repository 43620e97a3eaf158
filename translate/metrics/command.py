"""`python -m translate evaluate`, after its flags are read: models, data and judges brought together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate.config import UserError
from translate.inference.catalog import locate
from translate.metrics import captions, evaluation, evidence, features, record
from translate.metrics.evidence import Evidence
from translate.metrics.record import Record
from translate.task import Task
from translate.training import checkpoint

OWN_READERS = {"mnist": "lenet-mnist", "fashion": "lenet-fashion", "cifar": "cifar10"}


def usual_network(data: str) -> str:
    """A small network of the data itself where photographs' networks see little in it; else lite2."""
    name = next((reader for word, reader in OWN_READERS.items() if word in data.lower()), "")
    return name if name in features.names() else "efficientnet-lite2"


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a model's data (`datasets.options_of`), without what varies pictures at random."""
    off = {"flip": False, "color_jitter": 0.0, "strokes": 0.0}
    found = options | {name: value for name, value in off.items() if name in options}
    if found.get("resize") == "resize-crop":
        found["resize"] = "resize"
    return found


@dataclass
class Case:
    """A model, the pictures that it made in each direction, and who judges them."""

    name: str
    folder: Path
    task: Task
    data: str
    update: int
    evidence: list[Evidence]
    judges: evaluation.Judges


def gathered(
    model: str,
    load: Callable,
    options_of: Callable[[Any], dict[str, Any]],
    *,
    data: str | None = None,
    kind: str | None = None,
    sides: tuple[str | None, str | None] = (None, None),
    network: str = "auto",
    count: int = 1000,
    most_train: int = 10_000,
    size: int | None = None,
    split: str = "test",
    direction: str | None = None,
    seed: int = 0,
    judge: str | None = None,
    reader: str | None = None,
    named: Callable | None = None,
    device: Any = "cpu",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Case:
    """The model's pictures, real ones, and judges. load, options_of: those of `datasets`.

    kind: how the data is looked at, where it is not how the model learned: a translator that learned without
    pairs is held against them by "paired". sides: the places of a and b, instead of `data`. Raises UserError.
    """
    folder = locate(model)
    task = checkpoint.read_model(folder, device).requires_grad_(False)
    facts = checkpoint.read_config(folder)[3]
    config, where = task.config, plain(options_of(task.config))
    if data is not None or any(sides):
        where |= {name: place for name, place in zip("ab", sides, strict=True) if name in where}
    place = data or config.data
    if size and "image" not in task.takes:
        raise UserError(f"--size {size}: {model} draws pictures of {config.size} px and no others")
    parts = {
        part: load(kind or task.data, place, size=size or config.size, split=part, **where)
        for part in ("train", "test")
    }
    place = where.get("a") or place
    net = features.network(usual_network(place) if network == "auto" else network).to(device)
    judges = evaluation.Judges(net, seed, named=named)
    if reader is None and place.partition(":")[0] == "birds" and "birds" in features.names():
        reader = "birds"
    if reader:
        judges.reader = features.reader(reader)
    if judge:
        judges.matcher = captions.load(Path(judge))
    found, ways = [], [direction] if direction else list(task.directions)
    for way in ways:
        if way not in task.directions:
            raise UserError(f"{model} has no direction {way!r}; it has {', '.join(task.directions)}")
        found.append(
            evidence.gather(
                task, parts["test"], parts["train"], count=count, most_train=most_train, seed=seed,
                direction=way, split=split, progress=progress,
            )
        )  # fmt: skip
    return Case(
        Path(model).name, folder, task, parts["test"].info["name"], facts.get("steps", 0), found, judges
    )


def rated(case: Case, names: str = "") -> Record:
    """The scores of `fid,kid,...`, or the usual ones. Raises UserError."""
    task, rows = case.task, []
    for found in case.evidence:
        rows += evaluation.evaluate(found, case.judges, evaluation.chosen(names, found, case.judges))
    averaged = getattr(task.config, "ema", 0) or any("ema" in name.lower() for name in task.exported)
    seconds = sum(found.seconds for found in case.evidence) / len(case.evidence)
    method = type(task).__module__.split(".")[-1]
    return Record(
        case.name, method, case.data, case.update, "moving average" if averaged else "live",
        record.fingerprint(case.folder), seconds, rows,
    )  # fmt: skip


def scored(
    model: str, load: Callable, options_of: Callable[[Any], dict[str, Any]], *, names: str = "", **given: Any
) -> tuple[Path, Record]:
    """One model's folder and scores: `gathered`, then `rated`. Raises UserError."""
    evaluation.metric_names(names)  # before any picture is made
    case = gathered(model, load, options_of, **given)
    return case.folder, rated(case, names)


def beside(paths: list[str]) -> list[Record]:
    """Scores taken earlier: files, or the folders or names of models that have a scores.json."""
    found = []
    for path in paths:
        file = Path(path) if path.endswith(".json") else locate(path) / "scores.json"
        found.append(record.read(file))
    return found
