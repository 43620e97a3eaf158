"""The best D of two densities is p / (p + q): a trained one comes near it, and smoothed labels bend it.

Goodfellow et al. 2014 (arXiv 1406.2661), eq. 2. With the targets 1 - α for real and β for fake pictures the
best D is ((1 - α) p + β q) / (p + q) (Goodfellow 2016, arXiv 1701.00160, section 4.2): β > 0 raises D where
only fakes are, so that G is kept there; α alone lowers it evenly.
"""

import torch
from torch import Tensor, nn

from models.common import choices, objectives
from models.common.choices import ChoicesConfig
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, GREY, JUDGE, MADE, RED, sheet, titled

ALPHA, BETA = 0.2, 0.2


def density(x: Tensor, mean: float, deviation: float) -> Tensor:
    return torch.distributions.Normal(mean, deviation).log_prob(x).exp()


def trained(smooth: float, updates: int) -> nn.Module:
    """D between N(0, 1), real, and N(1, 0.5²), with the target `smooth` for real ones."""
    torch.manual_seed(0)
    D = nn.Sequential(
        nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
    )
    adam = torch.optim.Adam(D.parameters(), lr=5e-3, betas=(0.9, 0.99), fused=True)
    game, c = objectives.game("minimax"), ChoicesConfig(smooth=smooth)
    for t in range(updates):
        adam.param_groups[0]["lr"] = 5e-3 * (1 - t / updates)
        torch.manual_seed(t)
        real, fake = torch.randn(512, 1), 0.5 * torch.randn(512, 1) + 1
        adam.zero_grad()
        choices.discriminate(game, D(real), D(fake), c).backward()
        adam.step()
    return D


def draw(work: Work) -> Drawn:
    x = torch.linspace(-2.5, 2.5, 201)
    p, q = density(x, 0.0, 1.0), density(x, 1.0, 0.5)
    best, one_sided = p / (p + q), (1 - ALPHA) * p / (p + q)
    both = ((1 - ALPHA) * p + BETA * q) / (p + q)
    updates = work.of(1000, 250)
    with torch.random.fork_rng([]):
        plain, soft = (trained(smooth, updates) for smooth in (1.0, 1 - ALPHA))
    with torch.no_grad():
        plain, soft = (D(x[:, None]).sigmoid()[:, 0] for D in (plain, soft))
    figure, (left, right) = sheet(2, wide=3.4)
    left.plot(x, p, color=DATA, label="p, real")
    left.plot(x, q, color=MADE, label="q, made")
    left.plot(x, best, color=GREY, ls="--", label="p / (p + q)")
    left.plot(x, plain, color=JUDGE, label="trained D")
    right.plot(x, one_sided, color=GREY, ls="--", label="real 0.8, made 0: best D")
    right.plot(x, soft, color=JUDGE, label="trained so")
    right.plot(x, both, color=RED, label="made 0.2 as well")
    right.set_ylim(0, 1)
    titled(left, "the best discriminator", "x", legend=True)
    titled(right, "smoothed labels", "x", legend=True)
    peak = int((q / (p + q)).argmax())
    return Drawn(figure, {
        "mean distance of the trained D from the best": float((plain - best).abs().mean()),
        "the same with smoothed labels": float((soft - one_sided).abs().mean()),
        "best D where made points prevail, real labels smoothed": float(one_sided[peak]),
        "best D there, both smoothed": float(both[peak]),
    })  # fmt: skip
