"""What nearest neighbours in feature space say: precision, recall, density, coverage, memorised pictures.

A picture is inside a set where it lies no farther from one of it than that one's k-th neighbour.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from translate.metrics import Score

ROWS = 1024  # of a matrix of distances held at a time


def nearest(points: Tensor, others: Tensor, k: int = 1, skip_self: bool = False) -> tuple[Tensor, Tensor]:
    """Distances [N, k] of points [N, D] to their k nearest of others [M, D], and their numbers [N, k].

    skip_self: points and others are the same rows, and no point is its own neighbour.
    """
    values, numbers = [], []
    for first in range(0, len(points), ROWS):
        distance = torch.cdist(points[first : first + ROWS].double(), others.double())
        if skip_self:
            rows = torch.arange(len(distance))
            distance[rows, first + rows] = torch.inf
        found = distance.topk(k, largest=False)
        values.append(found.values), numbers.append(found.indices)
    return torch.cat(values), torch.cat(numbers)


def inside(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """How many of the balls (centres [M, D], radii [M]) each of the points [N, D] lies in: [N]."""
    parts = points.double().split(ROWS)
    return torch.cat([(torch.cdist(p, centres.double()) <= radii).sum(1) for p in parts])


def precision_recall(made: Tensor, real: Tensor, title: str = "", k: int = 3) -> tuple[Score, Score]:
    """Share of made features [N, D] inside the real ones [M, D], and of real ones inside the made
    (Kynkäänniemi et al. 2019, arXiv 1904.06991, eqs. 1 and 2)."""
    radii = {name: nearest(x, x, k, skip_self=True)[0][:, -1] for name, x in (("made", made), ("real", real))}
    precision = float((inside(made, real, radii["real"]) > 0).double().mean())
    recall = float((inside(real, made, radii["made"]) > 0).double().mean())
    protocol = f"{title}; k = {k}, {len(made)} against {len(real)} real ones"
    return (
        Score(precision, "", f"precision, {protocol}", len(made)),
        Score(recall, "", f"recall, {protocol}", len(made)),
    )


def density_coverage(made: Tensor, real: Tensor, title: str = "", k: int = 5) -> tuple[Score, Score]:
    """In how many real balls a made picture lies, over k; the share of real balls with one in them
    (Naeem et al. 2020, arXiv 2002.09797, eqs. 3 and 4). Outliers do less harm to both."""
    radii = nearest(real, real, k, skip_self=True)[0][:, -1]
    density = float(inside(made, real, radii).double().mean()) / k
    coverage = float((nearest(real, made)[0][:, 0] <= radii).double().mean())
    protocol = f"{title}; k = {k}, {len(made)} against {len(real)} real ones"
    return (
        Score(density, "", f"density, {protocol}", len(made)),
        Score(coverage, "", f"coverage, {protocol}", len(made)),
    )


@dataclass(frozen=True)
class Memorised:
    """score: the share of made pictures that are copies; copies: (made, its training picture), nearest first;
    ratio: median distance of made pictures to training pictures over that of held-out ones (about 1)."""

    score: Score
    copies: list[tuple[int, int]]
    ratio: float


def memorised(made: Tensor, train: Tensor, held_out: Tensor | None, title: str = "") -> Memorised:
    """Which made pictures lie nearer to a training picture than all but 1 % of held-out ones do.

    An honest model has about 0.01, as has the held-out part itself. Without one (None) the yardstick is the
    training pictures' distances to each other.
    """
    if held_out is None:
        yardstick, what = nearest(train, train, skip_self=True)[0][:, 0], "training"
    else:
        yardstick, what = nearest(held_out, train)[0][:, 0], "held-out"
    distances, numbers = (x[:, 0] for x in nearest(made, train))
    close = distances <= torch.quantile(yardstick, 0.01)
    order = [i for i in distances.argsort().tolist() if close[i]]
    protocol = (
        f"share of pictures nearer to one of {len(train)} training pictures than all but 1 % of "
        f"{len(yardstick)} {what} ones are, {title}"
    )
    return Memorised(
        Score(float(close.double().mean()), "", protocol, len(made)),
        [(i, int(numbers[i])) for i in order],
        float(distances.median() / yardstick.median().clamp(min=1e-12)),
    )
