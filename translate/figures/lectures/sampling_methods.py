"""Random variables made of uniform ones: inverse transform, rejection, Metropolis-Hastings; each to the law.

Grey are samples, red the density they should have. Numbers: the largest gap of distribution functions.
"""

import math

import torch
from torch import Tensor

from translate import random_variables as rv
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import GREY, RED, cloud, sheet, titled


def gap(samples: Tensor, cdf) -> float:
    """Kolmogorov's: largest difference of the samples' distribution function from `cdf`."""
    x = samples.sort().values
    n = len(x)
    steps = torch.arange(1, n + 1, dtype=x.dtype) / n
    return float(torch.maximum((steps - cdf(x)).abs(), (cdf(x) - steps + 1 / n).abs()).max())


def draw(work: Work) -> Drawn:
    generator = torch.Generator().manual_seed(work.seed)
    n = work.of(20_000, 2000)
    exponential = rv.inverse_transform(lambda u: -torch.log1p(-u), n, generator)

    def circle(x: Tensor) -> Tensor:
        return (1 - x**2).clamp_min(0).sqrt()

    def propose(k: int, generator: torch.Generator) -> Tensor:
        return 2 * torch.rand(k, generator=generator, dtype=torch.float64) - 1

    kept, share = rv.rejection(circle, propose, lambda x: torch.full_like(x, 0.5), 2.0, n, generator)

    def ring(x: Tensor) -> Tensor:
        return -0.5 * ((x.norm(dim=1) - 1) / 0.1).square()

    start = torch.zeros(20, 2, dtype=torch.float64)
    chain, moves = rv.metropolis_hastings(ring, start, 100 + n // 20, 0.3, generator)
    walked = chain[100:].flatten(0, 1)

    figure, (a, b, c) = sheet(3, wide=2.9)
    a.hist(exponential.clamp(max=6).tolist(), 50, density=True, color=GREY, alpha=0.6)
    x = torch.linspace(0, 6, 200)
    a.plot(x, (-x).exp(), color=RED)
    titled(a, "inverse transform\n-log(1 - u)", "x")
    b.hist(kept.tolist(), 50, density=True, color=GREY, alpha=0.6)
    x = torch.linspace(-1, 1, 200)
    b.plot(x, circle(x) * 2 / math.pi, color=RED)
    titled(b, f"rejection\n{share:.0%} of proposals kept", "x")
    cloud(c, walked[:: max(1, len(walked) // 3000)].float(), GREY)
    c.plot(*chain[:60, 0].T.tolist(), color=RED, lw=0.8)
    c.set_aspect("equal")
    titled(c, f"Metropolis-Hastings\n{moves:.0%} of moves made")
    return Drawn(figure, {
        "gap of inverse transform": gap(exponential, lambda x: 1 - (-x).exp()),
        "gap of rejection": gap(kept, lambda x: 0.5 + (x * circle(x) + x.asin()) / math.pi),
        "share kept": share, "pi / 4": math.pi / 4,
        "mean radius walked": float(walked.norm(dim=1).mean()),
    })  # fmt: skip
