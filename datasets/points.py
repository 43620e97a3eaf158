"""Points instead of pictures: the toys on which games are understood, and tables of your own.

    gaussian      N((5, 5), I), the lecture's bump                         gaussian-1d   N(4, 0.5²)
    ring          8 Gaussians, sigma 0.02, on a circle of radius 2         mixture-1d    N(±2, 0.5²)
                  (Metz et al. 2017, arXiv 1611.02163, appendix A)
    grid          25 Gaussians, sigma 0.05, on {-4, -2, 0, 2, 4}²  (Srivastava et al. 2017, arXiv 1705.07761)
    lines         (0, u) and (theta, u), u ~ U[0, 1], theta = 1            (Arjovsky et al. 2017, example 1)
    ring-map      z/10 + z/|z|, z ~ N(0, I)                                (Doersch 2016, arXiv 1606.05908)

Each mode is a class. `ring:500` is 500 points; without a number there are 100,000.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.base import DataError, Dataset
from datasets.memory import Where

COUNT = 100_000
TABLES = (".npy", ".csv", ".tsv")
LAYOUT = "one of {} or a table of numbers: NAME.npy or NAME.csv, a row for each point"


def around(centres: list[tuple[float, ...]], sigma: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A Gaussian around each centre: modes [N] to points [N, D]."""

    def draw(mode: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(mode), len(centres[0]), generator=generator)
        return torch.tensor(centres)[mode] + sigma * noise

    return draw


def on_lines(mode: Tensor, generator: torch.Generator, theta: float = 1.0) -> Tensor:
    """(0, u) where the mode is 0, (theta, u) where it is 1."""
    return torch.stack([theta * mode, torch.rand(len(mode), generator=generator)], 1)


def mapped_to_ring(mode: Tensor, generator: torch.Generator) -> Tensor:
    z = torch.randn(len(mode), 2, generator=generator)
    return z / 10 + z / z.norm(dim=1, keepdim=True)


CIRCLE = [(2 * math.cos(math.pi * k / 4), 2 * math.sin(math.pi * k / 4)) for k in range(8)]
GRID = [(2.0 * x, 2.0 * y) for x in range(-2, 3) for y in range(-2, 3)]
TOYS = {  # name: (number of modes, modes and generator to points)
    "gaussian": (1, around([(5.0, 5.0)], 1.0)),
    "gaussian-1d": (1, around([(4.0,)], 0.5)),
    "mixture-1d": (2, around([(-2.0,), (2.0,)], 0.5)),
    "ring": (8, around(CIRCLE, 0.02)),
    "grid": (25, around(GRID, 0.05)),
    "lines": (2, on_lines),
    "ring-map": (1, mapped_to_ring),
}


def are_points(data: str) -> bool:
    """Whether --data names a toy or a table of numbers."""
    return data.partition(":")[0] in TOYS or Path(data).suffix.lower() in TABLES


class Points(Dataset):
    """`image` [D], float32, as it is: not in [-1, 1]; `label`, the number of its mode."""

    previewed = 1000  # a cloud is shown, not a few

    def __init__(self, name: str, points: Tensor, modes: Tensor, classes: list[str], split: str) -> None:
        self.name, self.points, self.modes = name, points, modes
        self.info = dict(kind="points", name=name, count=len(points), channels={"image": points.shape[1]})
        self.info |= dict(bits=8, classes=classes, names={}, split=split)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        point = {"image": self.points[index], "label": int(self.modes[index])}
        return point | {"index": index, "file": self.where(index)}

    def batch(self, indices: Tensor, generators: Callable[[int], torch.Generator]) -> dict[str, Any]:
        found = {"image": self.points[indices], "label": self.modes[indices], "index": indices}
        return found | {"file": Where(self, indices)}

    def where(self, index: int) -> str:
        return f"{self.name}/{index}"


def draw(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` points of a toy [N, D] and their modes [N], the same for the same seed."""
    modes, points = TOYS[name]
    generator = torch.Generator().manual_seed(seed)
    mode = torch.randint(modes, (count,), generator=generator)
    return points(mode, generator), mode


def load(data: str, split: str) -> Points:
    """A toy, whose test part is other points, or a table. Raises DataError."""
    name, limited, number = data.partition(":")
    if name in TOYS:
        if limited and not (number.isdecimal() and int(number) > 0):
            raise DataError(f'"{data}" should be {name} or {name}:COUNT, such as {name}:1000')
        points, modes = draw(name, int(number) if limited else COUNT, seed=int(split == "test"))
        return Points(name, points, modes, [str(mode) for mode in range(TOYS[name][0])], split)
    if Path(data).suffix.lower() not in TABLES:
        raise DataError(f"points need {LAYOUT.format(', '.join(TOYS))}; {data} is neither")
    points = read_table(Path(data).expanduser())
    return Points(Path(data).stem, points, torch.zeros(len(points), dtype=torch.long), ["0"], "train")


def read_table(file: Path) -> Tensor:
    """Rows of numbers [N, D]; a line of words above them is skipped."""
    import numpy as np

    try:
        if file.suffix.lower() == ".npy":
            rows = np.load(file, allow_pickle=False)
        else:
            lines = file.read_text().splitlines()
            separator = "," if file.suffix.lower() == ".csv" else None
            heading = bool(lines) and any(letter.isalpha() and letter not in "eE" for letter in lines[0])
            rows = np.loadtxt(lines[heading:], delimiter=separator, ndmin=2)
        rows = np.asarray(rows, np.float32)
        rows = rows[:, None] if rows.ndim == 1 else rows
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"its numbers have the shape {rows.shape}, not [points, coordinates]")
        if not np.isfinite(rows).all():
            raise ValueError("a number in it is infinite or missing")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} is no table of numbers, a row for each point ({' '.join(str(error).split())})"
        ) from None
    return torch.from_numpy(rows)
