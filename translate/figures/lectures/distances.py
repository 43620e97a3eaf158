"""Total variation, KL and Jensen-Shannon see two lines as equally far; Wasserstein tells how far.

Arjovsky et al. 2017 (arXiv 1701.07875), example 1 and figure 1: (0, u) and (θ, u), u uniform. A lecture
prints log 2 for JS and defines it without the halves; with them it is log 2. KL is infinite: not drawn.
All are measured on samples: TV and JS from counts of a grid, W by the best assignment (for equal counts of
points that is the infimum of its definition); and a D and a critic trained on them, as dots.
"""

import math

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from datasets import points
from models.common import objectives
from translate.config import GameConfig
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, JUDGE, MADE, RED, sheet, titled


def lines(theta: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    zero, one = torch.zeros(n, dtype=torch.long), torch.ones(n, dtype=torch.long)
    return points.on_lines(zero, generator, theta), points.on_lines(one, generator, theta)


def counted(a: Tensor, b: Tensor) -> tuple[float, float]:
    """TV and JS of the columns x, counted on a grid of 1/64."""
    p, q = (torch.bincount((x[:, 0] * 64).round().long() + 128, minlength=257) / len(x) for x in (a, b))
    m = (p + q) / 2
    js = 0.5 * (torch.xlogy(p, p / m).nansum() + torch.xlogy(q, q / m).nansum())
    return float((p - q).abs().sum() / 2), float(js)


def assigned(a: Tensor, b: Tensor) -> float:
    cost = torch.cdist(a, b)
    return float(cost[linear_sum_assignment(cost)].mean())


def judged(theta: float, game: str, updates: int, seed: int) -> float:
    """JS from a trained D (V = -log 4 + 2 JS), or W from a critic with a penalty, over its slope."""
    torch.manual_seed(seed)
    D = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    adam = torch.optim.Adam(D.parameters(), lr=1e-2, betas=(0.5, 0.99), fused=True)
    objective = objectives.game(game)
    c = GameConfig(penalty=("gradient",) if game == "wasserstein" else ("none",), lambda_penalty=10.0)
    for t in range(updates):
        adam.param_groups[0]["lr"] = 1e-2 * (1 - t / updates)
        a, b = lines(theta, 64, 1000 * seed + t)
        loss = objective.discriminate(D(a), D(b)) + objectives.regularise(D, a, b, 0, c)
        adam.zero_grad()
        loss.backward()
        adam.step()
    a, b = lines(theta, 500, 99)
    value = float(objective.discriminate(D(a), D(b)).detach())
    if game == "minimax":
        return (math.log(4) - value) / 2
    between = torch.lerp(a, b, torch.rand(len(a), 1))
    return -value / float(objectives.input_gradient(D, between).detach().norm(dim=1).mean())


def draw(work: Work) -> Drawn:
    thetas = [i / 16 for i in range(-16, 17)]
    n = work.of(400, 60)
    found = []
    for theta in thetas:
        a, b = lines(theta, n, work.seed)
        found.append((*counted(a, b), assigned(a, b)))
    dots = [-1.0, -0.5, 0.5, 1.0] if work.budget > 0.5 else [0.5, 1.0]
    with torch.random.fork_rng([]):
        learned = {
            game: [judged(theta, game, work.of(400, 60), work.seed) for theta in dots]
            for game in ("minimax", "wasserstein")
        }
    figure, (left, right) = sheet(2, wide=3.2)
    for column, name, colour in ((0, "total variation", DATA), (1, "Jensen-Shannon", MADE)):
        left.plot(thetas, [row[column] for row in found], color=colour, label=name, drawstyle="steps-mid")
    left.plot(dots, learned["minimax"], "o", color=RED, ms=4, label="JS by a trained D")
    left.set_ylim(0, 1.3)
    right.plot(thetas, [row[2] for row in found], color=JUDGE, label="Wasserstein-1")
    right.plot(dots, learned["wasserstein"], "o", color=RED, ms=4, label="by a trained critic")
    titled(left, "the same for every θ but 0", "θ", legend=True)
    titled(right, "|θ|", "θ", legend=True)
    at = {theta: row for theta, row in zip(thetas, found, strict=True)}
    return Drawn(figure, {
        "JS at 0.25": at[0.25][1], "JS at 1": at[1.0][1], "TV at 0.25": at[0.25][0],
        "W at 0.25": at[0.25][2], "W at 1": at[1.0][2],
        "JS by D at 0.5": learned["minimax"][dots.index(0.5)], "JS by D at 1": learned["minimax"][-1],
        "W by the critic at 0.5": learned["wasserstein"][dots.index(0.5)],
        "W by the critic at 1": learned["wasserstein"][-1],
    })  # fmt: skip
