"""Figures of lectures: one file of `lectures/` is one figure, drawn and measured by the code itself.

Each file has `draw(work)`, which does the work and returns the picture and the numbers that bear out what
its first line claims.
"""

import ast
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from translate.config import UserError, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent / "lectures"


@dataclass(frozen=True)
class Work:
    """How much of the figure's work is done, and on what."""

    budget: float = 1.0  # of updates and samples; the pictures of docs/lectures.md have 1
    data: str = "digits"  # pictures, for figures that need some; mnist's folder for those of the docs
    seed: int = 0
    say: Callable[[str], None] = field(default=lambda words: None, compare=False)  # what is going on

    def of(self, whole: int, least: int = 2) -> int:
        """The budget's share of `whole` updates or samples."""
        return max(least, round(self.budget * whole))


@dataclass(frozen=True)
class Drawn:
    """A figure and what was measured for it."""

    picture: "Figure"
    numbers: dict[str, float]


def names() -> list[str]:
    """Of the figures: the files in `lectures/`."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__init__")


def claim(name: str) -> str:
    """The first line of the figure's file."""
    return (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or "").split("\n")[0]


def check(name: str) -> str:
    """The name as files have it. Raises UserError, with the nearest name, where there is no such figure."""
    name = name.replace("-", "_")
    if name not in names():
        hint = nearest(name, names()) or ";"
        raise UserError(f"there is no figure {name!r}{hint} the figures are {', '.join(names())}")
    return name


def draw(name: str, work: Work) -> Drawn:
    """Raises UserError where there is no such figure, and where a package lacks."""
    name = check(name)
    if not work.budget > 0:
        raise UserError(f"--budget {work.budget:g} must be above 0; 1 is the whole work")
    try:
        return pkgutil.resolve_name(f"translate.figures.lectures.{name}:draw")(work)
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise UserError(
            'figures are drawn by matplotlib, which is not installed: pip install ".[figures]"'
        ) from None
