"""python -m translate methods."""

import ast
import dataclasses
import re
from pathlib import Path

from translate.config import RunConfig, UserError, home, tasks
from translate.inference import catalog
from translate.inference.files import write
from translate.outline import Setting, settings

ROOT = Path(__file__).resolve().parents[2]
MADE = (
    "Made by `python -m translate methods` from the method's docstring, its settings and cards; edit these.\n"
)


def methods(*, output: str = "docs/methods", check: bool = False) -> int:
    """Write a page for each method: paper and formulas, what it needs, its settings, shipped models.

    Args:
        output: the folder of the pages
        check: write nothing; say which pages are not current
    """
    made = pages()
    folder = Path(output)
    old = {path.name: path.read_text() for path in folder.glob("*.md")}
    stale = sorted(name for name in made.keys() | old.keys() if made.get(name) != old.get(name))
    if check:
        if stale:
            raise UserError(f"{folder} is not current: {', '.join(stale)}; run `python -m translate methods`")
        return 0
    for name in stale:
        if name in made:
            write(folder / name, made[name].encode())
        elif MADE in old[name]:  # of a method that is gone
            (folder / name).unlink()
    print(f"{folder}: {len(made)} pages, {len(stale)} of them changed")
    return 0


def pages() -> dict[str, str]:
    """File name -> Markdown, of every method and of their list."""
    return {f"{task}.md": page(task) for task in tasks()} | {"README.md": overview()}


def page(task: str) -> str:
    """All about a method that its file and its models say."""
    from translate.inputs import usage
    from translate.task import find

    method, title, text = find(task), *docstring(task)
    runs = f"python -m translate {usage(method.takes)} --model runs/{task}-DIR --output out/"
    given = ", ".join(f"`{name}`" for name in method.takes)
    both = " Translates both ways: `--direction BtoA`." if len(method.directions) > 1 else ""
    flags = [setting for setting in settings(task) if own(setting)]
    lines = [f"# `{task}`", "", title, "", text, ""]
    lines += [f"Code: [{place(task)}](../../{place(task)}). Learns from data of the kind `{method.data}`", ""]
    lines[-2] += f" ([what that is](../../README.md#data)); its model takes {given}.{both}"
    lines += ["```bash", f"accelerate launch train.py --task {task} --data DIR", runs, "```", ""]
    lines += ["## Settings", "", "Those of every training are in [the list](README.md).", ""]
    lines += table(flags)
    if shipped := [entry for entry in models() if entry.task == task]:
        lines += ["## Models", ""]
        for entry in shipped:
            where = f"../../pretrained/{entry.name}"
            shown = ["", f"![{entry.name}]({where}/preview.png)"]
            shown = shown if (entry.folder / "preview.png").exists() else []
            lines += [f"[{entry.name}]({where}/README.md), {entry.size} px: {entry.description}", *shown, ""]
    return "\n".join([*lines, MADE])


def overview() -> str:
    """The methods by room, and the settings that all share."""
    lines = ["# Methods", "", "A page for each `--task`, and what every training can set.", ""]
    for room in sorted({home(task).parent.name for task in tasks()}):
        lines += [f"## {room}", ""]
        inside = [task for task in tasks() if home(task).parent.name == room]
        lines += [*(f"- [`{task}`]({task}.md): {docstring(task)[0]}" for task in inside), ""]
    shared = {field.name: field.default for field in dataclasses.fields(RunConfig)}
    every = [setting for setting in settings("dcgan") if setting.name in shared]
    lines += ["## Settings of every training", "", "Methods have other defaults where their papers do.", ""]
    lines += table([dataclasses.replace(setting, default=shared[setting.name]) for setting in every])
    return "\n".join([*lines, MADE])


def docstring(task: str) -> tuple[str, str]:
    """First line and the rest of a method's file as Markdown: formulas are indented there as here."""
    title, _, text = (ast.get_docstring(ast.parse(home(task).read_text())) or "").partition("\n")
    return plain(title), plain(text.strip("\n"))


def plain(text: str) -> str:
    """Markdown that shows these words: nothing in prose opens a tag, emphasis or a formula."""
    parts = re.split(r"(`[^`\n]*`|^ {4}.*$)", text, flags=re.MULTILINE)
    return "".join(
        part if number % 2 else re.sub(r"([*<|\\$\[\]])", r"\\\1", part) for number, part in enumerate(parts)
    )


def own(setting: Setting) -> bool:
    """Whether a setting is the method's own, or has another default there."""
    shared = {field.name: field.default for field in dataclasses.fields(RunConfig)}
    return setting.name not in shared or setting.default != shared[setting.name]


def table(flags: list[Setting]) -> list[str]:
    """Markdown lines: flag, default, what it does, by group."""
    lines = ["| flag | default | |", "|---|---|---|"]
    groups = list(dict.fromkeys(setting.group for setting in flags))
    for group in [*groups[-1:], *groups[:-1]]:  # the method's own first
        lines.append(f"| **{group}** | | |")
        for setting in flags:
            if setting.group == group:
                lines.append(
                    f"| `--{setting.name.replace('_', '-')}` | {value(setting)} | {plain(setting.help)} |"
                )
    return [*lines, ""]


def value(setting: Setting) -> str:
    """A default as it is typed."""
    match setting.default:
        case None | ():
            return ""
        case bool(on):
            return "on" if on else "off"
        case tuple(several):
            return " ".join(f"`{one}`" for one in several)
        case one:
            return f"`{one}`"


def place(task: str) -> str:
    return home(task).relative_to(ROOT).as_posix()


def models() -> list[catalog.Entry]:
    """Those shipped with the code, whatever else is on this machine."""
    return catalog.entries([ROOT / "pretrained"])
