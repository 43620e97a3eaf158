"""The command line of training: flags, settings files and help from the fields of a Config. No torch here."""

import ast
import dataclasses
import json
import re
import sys
import typing
from dataclasses import field
from pathlib import Path
from typing import Annotated

from translate.config import FORMER, RENAMED, RunConfig, UserError, check, home, nearest, tasks
from translate.outline import Setting, settings


def parse(argv: list[str]) -> tuple[str, RunConfig, bool]:
    """Command line -> (task, its settings, dry run?). `--config FILE` is read first, flags win.

    Raises UserError for an unknown task, flag or settings file; tyro prints help or
    what is wrong with a value, and exits.
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
    known = settings(task)
    words = as_flags(values, known, Path(file)) + words if file else words
    check_flags(words, known, task)

    import tyro

    try:
        given = tyro.cli(
            grouped(known),
            prog=f"train.py --task {task}",
            description=f"{summary(task)}\n\n"
            "Also: --config FILE (JSON or YAML, flags win), --dry-run (show what would happen, and exit).",
            args=words,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except SystemExit as stopped:
        if stopped.code and file:
            print(f"(flags here include the settings of --config {file})", file=sys.stderr)
        raise
    from translate.task import find

    chosen = {name: value for group in vars(given).values() for name, value in vars(group).items()}
    result = find(task).Config(**chosen)
    if result.output is None:
        result = dataclasses.replace(result, output=Path("runs") / default_name(task, result))
    check(result)
    return task, result, dry_run


def check_flags(words: list[str], known: list[Setting], task: str) -> None:
    """Raises UserError for a flag that does not exist, naming the nearest, and for a switch with a value."""
    names = [setting.name.replace("_", "-") for setting in known]
    switches = [setting.name.replace("_", "-") for setting in known if setting.type is bool]
    flags = [*names, *(f"no-{name}" for name in switches), "dry-run", "help"]
    for word, after in zip(words, [*words[1:], "-"], strict=False):
        flag, equals, _ = word.partition("=")
        name = flag.lstrip("-").replace("_", "-")
        is_flag = re.match("-+[a-zA-Z]", word) and word != "-h"
        if is_flag and (name not in flags or not word.startswith("--")):
            closest = nearest(name, flags).replace("mean ", "mean --") or "."
            raise UserError(f"unknown flag {flag} for --task {task}{closest} `--help` lists them all")
        if word.startswith("--") and name.removeprefix("no-") in switches:
            if equals or not after.startswith("-"):
                on = name.removeprefix("no-")
                raise UserError(f"{flag} takes no value: say --{on} or --no-{on}")


def default_name(task: str, config: RunConfig) -> str:
    """`cyclegan-birds`: the run's name when --output does not say."""
    a, b = (getattr(config, side, None) for side in "ab")
    source = config.data if config.data != "birds" or a is None else f"{Path(a).stem}-{Path(b or '').stem}"
    return f"{task}-" + (re.sub(r"[^\w.]+", "-", Path(source).stem or source).strip("-") or "data")


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


def as_flags(values: dict, known: list[Setting], source: Path) -> list[str]:
    """The values of a settings file as command line words, so that tyro checks them like typed ones."""
    hints, words = {setting.name: setting.type for setting in known}, []
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name == "task" or name in FORMER - hints.keys():
            continue
        name = name if name in hints else RENAMED.get(name, name)
        if name not in hints:
            raise UserError(f"--config {source}: unknown setting {key!r}{nearest(name, list(hints))}")
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool) and hints[name] is not bool:  # YAML reads on, off, yes, no so
            meant = ("on", "yes", "true") if value else ("off", "no", "false")
            value = next((word for word in meant if word in typing.get_args(hints[name])), value)
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words.append(f"{flag}={value}")
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


def grouped(known: list[Setting]) -> type:
    """The same fields in a nested dataclass per group, which tyro prints as a box with the group's title."""
    import tyro

    groups: dict[str, list] = {}
    for setting in known:
        shown = "(default: none)" if setting.default in (None, ()) else None
        options = tyro.conf.arg(help=setting.help, help_behavior_hint=shown)
        member = (setting.name, Annotated[spoken(setting.type), options], field(default=setting.default))
        groups.setdefault(setting.group, []).append(member)
    boxes = []
    for number, (title, members) in enumerate(groups.items()):
        box = dataclasses.make_dataclass(f"Box{number}", members, frozen=True, kw_only=True)
        box.__doc__ = ""
        titled = Annotated[box, tyro.conf.arg(name=title)]
        boxes.append((f"box{number}", titled, field(default_factory=box)))
    return dataclasses.make_dataclass("Settings", boxes, frozen=True, kw_only=True)


def spoken(hint: typing.Any) -> typing.Any:
    """The type of a field, told to tyro so that a bad value is answered in words; `none` is None."""
    from tyro.constructors import PrimitiveConstructorSpec

    optional = type(None) in typing.get_args(hint)
    kind = next(iter(typing.get_args(hint)), hint) if optional else hint
    expected = {int: "a whole number", float: "a number", Path: "a path", str: "text"}
    if kind not in expected or not optional and kind in (Path, str):
        return hint

    def read(words: list[str]) -> typing.Any:
        if optional and words[0].lower() == "none":
            return None
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"expected {expected[kind]}, got {words[0]!r}") from None

    return Annotated[
        hint,
        PrimitiveConstructorSpec(
            nargs=1,
            metavar=kind.__name__.upper(),
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, kind) or optional and value is None,
            str_from_instance=lambda value: [str(value)],
        ),
    ]


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


def summary(task: str) -> str:
    """First line of a method's docstring."""
    return (ast.get_docstring(ast.parse(home(task).read_text())) or "").split("\n")[0]
