"""The settings of a method as its file says them: read, not run, so that `--help` needs no torch.

A `class Config` declares a field a line, with the help text in the comment behind it (where a method gives a
field another default, an addition to it); a line `# == Title ==` opens a group. What is read here is compared
with the real classes by tests; training itself uses those.
"""

import ast
import functools
import operator
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate import config

ROOT = Path(__file__).resolve().parent.parent
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "tuple": tuple, "Path": Path}
TYPES |= {"Literal": typing.Literal}
ARITHMETIC: dict[type, Callable] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.BitOr: operator.or_, ast.FloorDiv: operator.floordiv,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One flag."""

    name: str
    type: Any
    default: Any
    group: str
    help: str


def settings(task: str) -> list[Setting]:
    """Every setting of a method, in the order of its dataclass. Raises UserError for an unknown task."""
    source = Source.of(config.home(task))
    return list(source.settings(source.find("Config"), source.title()).values())


def title(docstring: str | None) -> str:
    """`CycleGAN` of a Config whose docstring is `CycleGAN (Zhu et al. 2017)`."""
    return (docstring or "Method").split("(")[0].strip().split("\n")[0].rstrip(".")


class Source:
    """A Python file."""

    def __init__(self, path: Path):
        self.path, self.text = path, path.read_text()
        self.tree = ast.parse(self.text)

    @staticmethod
    def of(path: Path) -> "Source":
        """Read again where it has changed: tests write methods."""
        return read(path, path.stat().st_mtime_ns)

    def title(self) -> str:
        return title(ast.get_docstring(self.find("Config")))

    def find(self, name: str) -> ast.AST:
        """What a name of this file stands for: the node of a class or of an assigned value."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == name for target in node.targets):
                return node.value
        raise KeyError(f"{self.path} has no {name}")

    def origin(self, name: str) -> tuple["Source", str]:
        """Where an imported name comes from; this file for its own. A module has the name ''."""
        for node in self.tree.body:
            for alias in node.names if isinstance(node, ast.ImportFrom) else []:
                if (alias.asname or alias.name) == name and node.module:
                    first, *rest = node.module.split(".")
                    folder = (config.METHODS if first == "models" else ROOT / first).joinpath(*rest)
                    if (home := folder / f"{alias.name}.py").exists():
                        return Source.of(home), ""
                    if folder.with_suffix(".py").exists():
                        return Source.of(folder.with_suffix(".py")), alias.name
        return self, name

    def value(self, node: ast.AST) -> Any:
        """A constant, a type, a tuple of such, or arithmetic with them; TypeError for anything else."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Tuple() | ast.List():
                return tuple(self.value(part) for part in node.elts)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BinOp() if type(node.op) in ARITHMETIC:
                return ARITHMETIC[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.Subscript():
                return self.value(node.value)[self.value(node.slice)]
            case ast.Name() if node.id in TYPES:
                return TYPES[node.id]
            case ast.Name():
                source, name = self.origin(node.id)
                return source.value(source.find(name))
        raise TypeError(f"{self.path}: {ast.unparse(node)} is more than a setting may be")

    def settings(self, declared: ast.ClassDef, method: str) -> dict[str, Setting]:
        """Of one class and those it is built on: name -> setting."""
        found: dict[str, Setting] = {}
        for base in reversed(declared.bases):
            name = ast.unparse(base)
            module, _, inside = name.rpartition(".")
            source, name = self.origin(module or name)
            found |= source.settings(source.find(inside if module else name), method)
        own = method if declared.name == "Config" else title(ast.get_docstring(declared))
        for node, group, text in self.lines(declared, own):
            name = node.target.id
            if before := found.get(name):
                group, text = before.group, "; ".join(filter(None, [before.help, text]))
            found[name] = Setting(name, self.value(node.annotation), self.value(node.value), group, text)
        return found

    def lines(self, declared: ast.ClassDef, group: str):
        """Each field of one class, its group, and the comment behind it."""
        lines, at = self.text.split("\n"), declared.lineno
        for node in declared.body:
            for line in lines[at : node.lineno - 1]:
                if heading := re.match(r"\s*# == (.*) ==", line):
                    group = heading[1]
            at = node.end_lineno
            if isinstance(node, ast.AnnAssign):
                comments = (
                    re.search(r"  # (?!==)(.*)$", line) for line in lines[node.lineno - 1 : node.end_lineno]
                )
                yield node, group, next((found[1].strip() for found in comments if found), "")


@functools.lru_cache(maxsize=256)
def read(path: Path, changed: int) -> Source:
    return Source(path)
