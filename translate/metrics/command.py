"""`python -m translate evaluate`, after its flags are read: models, data and judges brought together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from translate.config import UserError
from translate.inference.catalog import locate
from translate.metrics import captions, evaluation, evidence, features, record
from translate.metrics import reader as readers
from translate.metrics.record import Record
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


def scored(
    model: str,
    load: Callable,
    options_of: Callable[[Any], dict[str, Any]],
    *,
    data: str | None = None,
    names: str = "",
    network: str = "auto",
    count: int = 1000,
    size: int | None = None,
    split: str = "test",
    direction: str | None = None,
    seed: int = 0,
    judge: str | None = None,
    named: Callable | None = None,
    device: Any = "cpu",
    progress: Callable[[int, int], None] = lambda done, of: None,
    see: Callable[[evidence.Evidence], None] = lambda e: None,
) -> tuple[Path, Record]:
    """One model's folder and scores. load, options_of: those of `datasets`; see: is shown the pictures.

    Raises UserError.
    """
    folder = locate(model)
    task = checkpoint.read_model(folder, device).requires_grad_(False)
    facts = checkpoint.read_config(folder)[3]
    config, where = task.config, plain(options_of(task.config))
    if data is not None:
        where |= {name: None for name in ("a", "b") if name in where}
    place = data or config.data
    if size and "image" not in task.takes:
        raise UserError(f"--size {size}: {model} draws pictures of {config.size} px and no others")
    parts = {
        part: load(task.data, place, size=size or config.size, split=part, **where)
        for part in ("train", "test")
    }
    net = features.network(usual_network(place) if network == "auto" else network).to(device)
    judges = evaluation.Judges(net, seed, named=named)
    birds = features.READERS / "birds.safetensors"
    if place.partition(":")[0] == "birds" and birds.exists():
        judges.reader = readers.load(birds)
    if judge:
        judges.matcher = captions.load(Path(judge))
    rows, seconds, ways = [], 0.0, [direction] if direction else list(task.directions)
    for way in ways:
        if way not in task.directions:
            raise UserError(f"{model} has no direction {way!r}; it has {', '.join(task.directions)}")
        found = evidence.gather(
            task, parts["test"], parts["train"], count=count, seed=seed, direction=way, split=split,
            progress=progress,
        )  # fmt: skip
        see(found)
        rows += evaluation.evaluate(found, judges, evaluation.chosen(names, found))
        seconds += found.seconds / len(ways)
    averaged = getattr(config, "ema", 0) or any("ema" in name.lower() for name in task.exported)
    weights = "moving average" if averaged else "live"
    name, task_name = Path(model).name, type(task).__module__.split(".")[-1]
    return folder, Record(
        name, task_name, parts["test"].info["name"], facts.get("steps", 0), weights,
        record.fingerprint(folder), seconds, rows,
    )  # fmt: skip


def beside(paths: list[str]) -> list[Record]:
    """Scores taken earlier: files, or the folders or names of models that have a scores.json."""
    found = []
    for path in paths:
        file = Path(path) if path.endswith(".json") else locate(path) / "scores.json"
        found.append(record.read(file))
    return found
