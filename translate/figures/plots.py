"""Panels for the figures of lectures: matplotlib's objects, one look, no global state."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from translate.figures import to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by everybody.
DATA, MADE, JUDGE, RED, SKY, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#56b4e9", "#777777"
SIDE = 2.6  # inches of a panel; 100 pixels each


def sheet(columns: int, rows: int = 1, *, wide: float = SIDE, high: float = SIDE) -> "tuple[Figure, list]":
    """An empty figure and its panels, row by row."""
    from matplotlib.figure import Figure

    figure = Figure((columns * wide, rows * high), layout="constrained")
    panels = [figure.add_subplot(rows, columns, number + 1) for number in range(rows * columns)]
    for panel in panels:
        panel.tick_params(labelsize=7)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    return figure, panels


def titled(panel: "Axes", title: str, x: str = "", y: str = "", legend: bool = False) -> None:
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x, fontsize=8)
    panel.set_ylabel(y, fontsize=8)
    if legend:
        panel.legend(fontsize=7, frameon=False)


def cloud(panel: "Axes", points: Tensor, colour: str, label: str = "", size: float = 3) -> None:
    """Points [N, 2]."""
    x, y = points.detach().T.tolist()
    panel.scatter(x, y, s=size, c=colour, alpha=0.5, linewidths=0, label=label, rasterized=True)


def plane(panel: "Axes", low: float, high: float) -> None:
    """A square part of the plane, in a thin frame, without numbers."""
    panel.set(xlim=(low, high), ylim=(low, high), xticks=[], yticks=[], aspect="equal")
    for side in panel.spines.values():
        side.set(visible=True, color=GREY, linewidth=0.5)


def pictures(panel: "Axes", shown: Tensor, across: int, title: str = "") -> None:
    """[N, C, H, W] in [-1, 1] as a grid, `across` in a row, white between them."""
    rgb = to_rgb(shown.detach().float().clamp(-1, 1))
    n, _, height, width = rgb.shape
    rows, gap = -(-n // across), 2
    canvas = torch.ones(3, rows * (height + gap) - gap, across * (width + gap) - gap)
    for number, one in enumerate(rgb):
        top, left = number // across * (height + gap), number % across * (width + gap)
        canvas[:, top : top + height, left : left + width] = one
    bytes_ = ((canvas + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    panel.imshow(bytes_, interpolation="nearest")
    panel.set_axis_off()
    panel.set_title(title, fontsize=9)


def rows(named: dict[str, Tensor], across: int, *, wide: float = 6.4) -> "Figure":
    """A figure of named rows of pictures, each [N, C, H, W]."""
    from matplotlib.figure import Figure

    deep = [-(-len(shown) // across) for shown in named.values()]
    figure = Figure((wide, sum(deep) * wide / across + 0.28 * len(named)), layout="constrained")
    grid = figure.add_gridspec(len(named), 1, height_ratios=deep)
    for number, (title, shown) in enumerate(named.items()):
        pictures(figure.add_subplot(grid[number]), shown, across, title)
    return figure


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation (Spearman 1904), ties in order of appearance."""
    ranks = [torch.tensor(list(x)).argsort().argsort().double() for x in (a, b)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])
