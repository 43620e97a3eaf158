"""Settings: one flat dataclass; every field is a flag, a JSON or YAML key and a line of --help.

Nothing here imports torch, so `--help` and a mistyped flag are answered at once: the Config class of a method
is read from the source of `models/<task>.py` and executed alone. The comment behind a field is its help text;
a comment line `# == Title ==` opens a group.
"""

import ast
import dataclasses
import difflib
import json
import re
import sys
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

Objective = Literal["minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic"]
Penalty = Literal["none", "r1", "r2", "gradient"]
Translator = Literal["unet256", "unet128", "resnet9", "resnet6"]
Norm = Literal["instance", "batch", "none"]

METHODS = Path(__file__).resolve().parent.parent / "models"


class UserError(ValueError):
    """A mistake of the user's, told in one sentence: what was expected, what came, what to do."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run can set."""

    # == Data ==
    data: str = "birds"  # folder, zip, folder inside a zip, tar shards, Hub data set id, or birds (built in)
    a: str | None = None  # where domain A comes from, instead of a folder inside --data
    b: str | None = None  # where domain B comes from, instead of a folder inside --data
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # which side is the input
    size: int = 256  # height and width of the training crops, in pixels
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = (
        "resize-crop"  # how pictures become squares: resize-crop squashes (the papers' way), scale-crop keeps the aspect ratio
    )
    load_size: int | None = None  # size before the random crop; default 286/256 of --size, as in the papers
    flip: bool = True  # mirror half of the pictures
    color_jitter: float = 0.0  # strength of random brightness, contrast, saturation and hue; 0 is off
    cache: Literal["auto", "on", "off"] = "auto"  # keep decoded pictures in memory (auto: where they fit)
    workers: int = 2  # threads that decode pictures ahead of the training step

    # == Training ==
    steps: int = 100_000  # updates in all
    batch_size: int = 1  # pictures a process and update
    accumulate: int = 1  # batches whose gradients are added up before an update
    learning_rate: float = 2e-4  # Adam's step size
    lr_schedule: Literal["constant", "linear", "cosine"] = (
        "constant"  # linear: constant, then to 0 over the last half
    )
    clip: float = 0.0  # largest gradient norm per optimizer; 0 is off
    ema: float = 0.0  # decay of the moving average of the exported weights, e.g. 0.999; 0 is off
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"  # auto: bf16 where the processor has it
    seed: int = 0  # everything random follows from it

    # == Output ==
    output: Path | None = None  # the run's folder; default runs/<task>-<data>
    save_every: int = 1000  # updates between two states to resume from
    keep_states: int = 2  # older states are deleted
    preview_every: int = 500  # updates between two preview pictures; 0 is off
    preview_count: int = 6  # rows of a preview picture
    log_every: int = 50  # updates between two lines of logs.jsonl
    report_to: tuple[str, ...] = field(default=())  # tensorboard, trackio, wandb, ... (Accelerate's trackers)


def tasks() -> list[str]:
    """Names of the methods: the files of `models/`."""
    return sorted(path.stem for path in METHODS.glob("*.py") if not path.stem.startswith("_"))


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """`, did you mean X?` for the known word most like `word`, or nothing."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {match[0]}?" if match else ""


def check_task(task: str) -> None:
    """Raises UserError, with the nearest name, where there is no method of that name."""
    if task not in tasks():
        raise UserError(f"unknown task {task!r}{nearest(task, tasks())} The tasks are: {', '.join(tasks())}")


def summary(task: str) -> str:
    """First line of a method's docstring."""
    return (ast.get_docstring(ast.parse((METHODS / f"{task}.py").read_text())) or "").split("\n")[0]


def config_class(task: str) -> type[RunConfig]:
    """The Config of `models/<task>.py`, executed without the rest of the file and hence without torch.

    A Config may inherit from RunConfig or, after `from models import other`, from `other.Config`.
    """
    check_task(task)
    source = (METHODS / f"{task}.py").read_text()
    tree = ast.parse(source)
    namespace: dict = {"__name__": f"config of {task}"}
    plain = ("dataclasses", "typing", "pathlib", "translate.config")
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module in plain:
            body.append(node)
        elif isinstance(node, ast.ImportFrom) and node.module == "models":
            for name in node.names:
                if name.name in tasks():
                    namespace[name.asname or name.name] = types.SimpleNamespace(
                        Config=config_class(name.name)
                    )
        elif isinstance(node, ast.ClassDef) and node.name == "Config":
            body.append(node)
    exec(compile(ast.Module(body=body, type_ignores=[]), f"{task}.py", "exec"), namespace)
    config = namespace["Config"]
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config")
    config.source = ast.get_source_segment(source, node)
    return config


RunConfig.source = ast.get_source_segment(  # type: ignore[attr-defined]
    text := Path(__file__).read_text(),
    next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == "RunConfig"),
)


def described(config: type[RunConfig]) -> dict[str, tuple[str, str]]:
    """Field name -> (group, help text), read from the comments of the class and its parents."""
    found: dict[str, tuple[str, str]] = {}
    for cls in reversed(config.__mro__):
        source = cls.__dict__.get("source")
        if not source:
            continue
        group, name = (cls.__doc__ or "Method").strip().split("\n")[0].rstrip("."), None
        for line in source.split("\n"):
            if heading := re.match(r"\s*# == (.*) ==", line):
                group = heading[1]
            if declared := re.match(r"    (\w+): ", line):
                name = declared[1]
            comment = re.search(r"  # (?!==)(.*)$", line)
            if name and comment:
                known = found.get(name)
                found[name] = (known[0] if known else group, comment[1].strip())
                name = None
    return found


def grouped(config: type[RunConfig]) -> type:
    """The same fields in one nested dataclass per group, which is how tyro prints groups."""
    import tyro

    described_fields = described(config)
    hints = typing.get_type_hints(config)
    groups: dict[str, list] = {}
    for f in dataclasses.fields(config):
        group, text = described_fields.get(f.name, ("Method", ""))
        groups.setdefault(group, []).append((f.name, Annotated[hints[f.name], tyro.conf.arg(help=text)], f))
    outer = []
    for title, members in groups.items():
        slug = re.sub(r"\W+", "_", title.lower()).strip("_")
        inner = dataclasses.make_dataclass(
            slug, [(n, t, field(default=f.default)) for n, t, f in members], frozen=True, kw_only=True
        )
        inner.__doc__ = title
        outer.append((slug, Annotated[inner, tyro.conf.arg(name="")], field(default_factory=inner)))
    return dataclasses.make_dataclass("Settings", outer, frozen=True, kw_only=True)


def read_file(path: Path) -> dict:
    """Settings from a JSON or YAML file; a run's `config.json` works as it is. Raises UserError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(
            f"--config {path}: {error.strerror}; give a JSON or YAML file that can be read"
        ) from None
    try:
        if path.suffix.lower() == ".json":
            values = json.loads(text)
        else:
            import yaml

            values = yaml.safe_load(text)
    except Exception as error:  # both parsers' own classes
        raise UserError(f"--config {path} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(
            f"--config {path} must hold names and values, e.g. `size: 128`; found {type(values).__name__}"
        )
    if isinstance(values.get("config"), dict):  # a model folder's config.json
        values = {"task": values.get("task"), **values["config"]}
    return values


def as_flags(values: dict, known: list[str], source: Path) -> list[str]:
    """The values of a settings file as command line words, so that tyro checks them like typed ones."""
    words = []
    for key, value in values.items():
        name = key.replace("-", "_")
        if name == "task":
            continue
        if name not in known:
            raise UserError(f"--config {source}: unknown setting {key!r}{nearest(name, known)}")
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        elif value is not None:
            words += [flag, str(value)]
    return words


def take(words: list[str], flag: str) -> str | None:
    """Remove `--flag value` or `--flag=value` from `words`; the last one counts."""
    value = None
    while True:
        at = next((i for i, word in enumerate(words) if word == flag or word.startswith(flag + "=")), None)
        if at is None:
            return value
        if "=" in words[at]:
            value = words.pop(at).split("=", 1)[1]
        elif at + 1 < len(words) and not words[at + 1].startswith("--"):
            value = words[at + 1]
            del words[at : at + 2]
        else:
            raise UserError(f"{flag} needs a value")


def parse(argv: list[str]) -> tuple[str, RunConfig, bool]:
    """Command line -> (task, its settings, dry run?). `--config FILE` is read first, flags win.

    Raises UserError for an unknown task or settings file; prints help or the nearest flag and exits otherwise.
    """
    words = list(argv)
    file = take(words, "--config")
    values = read_file(Path(file)) if file else {}
    task = take(words, "--task") or values.get("task")
    dry_run = "--dry-run" in words
    words = [word for word in words if word != "--dry-run"]
    if not task:
        if "--help" in words or "-h" in words:
            print(overview())
            sys.exit(0)
        raise UserError(
            f"--task is missing; the tasks are: {', '.join(tasks())}. `train.py --help` describes them"
        )
    config = config_class(task)
    names = [f.name for f in dataclasses.fields(config)]
    words = (as_flags(values, names, Path(file)) if file else []) + words

    import tyro

    unknown = [w.split("=")[0] for w in words if w.startswith("--")]
    flags = [n for name in names for n in (name.replace("_", "-"), "no-" + name.replace("_", "-"))] + ["help"]
    for flag in unknown:
        if flag[2:].replace("_", "-") not in flags:
            raise UserError(
                f"unknown flag {flag} for --task {task}{nearest(flag[2:], flags).replace('mean ', 'mean --')}"
            )
    settings = tyro.cli(
        grouped(config),
        prog=f"train.py --task {task}",
        description=f"{summary(task)}\n\nAlso: --config FILE (JSON or YAML, flags win), --dry-run (show and exit).",
        args=words,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    chosen = {name: value for group in vars(settings).values() for name, value in vars(group).items()}
    result = config(**chosen)
    if result.output is None:
        result = dataclasses.replace(result, output=Path("runs") / default_name(task, result))
    check(result)
    return task, result, dry_run


def default_name(task: str, config: RunConfig) -> str:
    """`cyclegan-birds`: the run's name when --output does not say."""
    source = (
        config.data
        if config.data != "birds" or config.a is None
        else f"{Path(config.a).stem}-{Path(config.b or '').stem}"
    )
    return f"{task}-" + (re.sub(r"[^\w.]+", "-", Path(source).stem or source).strip("-") or "data")


def check(config: RunConfig) -> None:
    """Raises UserError for values no run can have."""
    at_least = dict(
        size=8, steps=1, batch_size=1, accumulate=1, workers=1, save_every=1, keep_states=1, log_every=1
    )
    for name, least in at_least.items():
        if getattr(config, name) < least:
            raise UserError(
                f"--{name.replace('_', '-')} {getattr(config, name)} is too small; the least is {least}"
            )
    if not 0 <= config.ema < 1:
        raise UserError(f"--ema {config.ema} must be in [0, 1), e.g. 0.999")
    if config.learning_rate <= 0:
        raise UserError(f"--learning-rate {config.learning_rate} must be above 0")
    if config.load_size is not None and config.load_size < config.size:
        raise UserError(
            f"--load-size {config.load_size} is below --size {config.size}; crops cannot be larger than pictures"
        )


def overview() -> str:
    """What `train.py --help` prints: the tasks, a line each."""
    lines = [f"  {task:12} {summary(task)}" for task in tasks()]
    return "\n".join(
        [
            "usage: train.py --task TASK [--config FILE] [--dry-run] [flags]",
            "",
            "Train a model; the same command again resumes it. Tasks:",
            *lines,
            "",
            "`train.py --task TASK --help` lists every flag with its default.",
        ]
    )


def to_json(config: RunConfig) -> dict:
    """The settings as JSON values."""
    values = dataclasses.asdict(config)
    return {
        k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
        for k, v in values.items()
    }


def from_json(config: type[RunConfig], values: dict) -> RunConfig:
    """The inverse of `to_json`; settings this version does not know raise UserError."""
    known = {f.name: f for f in dataclasses.fields(config)}
    if unknown := sorted(set(values) - set(known)):
        raise UserError(
            f"config.json has the unknown setting {unknown[0]!r}{nearest(unknown[0], list(known))}"
        )
    made = {}
    for name, value in values.items():
        kind = str(known[name].type)
        value = tuple(value) if isinstance(value, list) else value
        made[name] = Path(value) if "Path" in kind and value is not None else value
    return config(**made)
