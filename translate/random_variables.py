"""Random variables made of uniform ones: inverse transform, rejection, Metropolis-Hastings.

All that a generator network does to noise is the first of these, learned.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def inverse_transform(quantile: Callable[[Tensor], Tensor], n: int, generator: torch.Generator) -> Tensor:
    """n samples of the distribution whose inverse distribution function is `quantile`: F⁻¹(u), u uniform."""
    return quantile(torch.rand(n, generator=generator, dtype=torch.float64))


def rejection(
    density: Callable[[Tensor], Tensor],
    propose: Callable[[int, torch.Generator], Tensor],
    proposal: Callable[[Tensor], Tensor],
    bound: float,
    n: int,
    generator: torch.Generator,
) -> tuple[Tensor, float]:
    """n samples [n] or [n, D] of a density known up to a factor, and the share of proposals accepted.

    propose(k, generator) draws k of the density `proposal`; x is kept with probability
    density(x) / (bound proposal(x)) (von Neumann 1951). Raises ValueError where that is above 1 somewhere.
    """
    kept, drawn, have = [], 0, 0
    while have < n:
        x = propose(n, generator)
        ratio = density(x) / (bound * proposal(x))
        if (ratio > 1 + 1e-9).any():
            raise ValueError(
                f"the bound {bound:g} is too small: density / proposal reaches {ratio.max() * bound:g}"
            )
        kept.append(x[torch.rand(len(x), generator=generator, dtype=torch.float64) < ratio])
        drawn, have = drawn + len(x), have + len(kept[-1])
        if drawn >= 1000 * n and have == 0:
            raise ValueError("nothing is accepted: the density is 0 where the proposal draws")
    return torch.cat(kept)[:n], have / drawn


def metropolis_hastings(
    log_density: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int,
    width: float,
    generator: torch.Generator,
) -> tuple[Tensor, float]:
    """Chains of a density known up to a factor, and the share of moves accepted.

    From x propose x' = x + width N(0, I), as likely back as forth, and go there with probability
    min(1, p(x') / p(x)) (Metropolis et al. 1953; Hastings 1970). start: [chains, D], of any chains at once.
    Returns [steps, chains, D]; the first of them still depend on the start, and neighbours on each other.
    """
    x, at, chain, accepted = start, log_density(start), [], 0.0
    for _ in range(steps):
        other = x + width * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        there = log_density(other)
        moves = torch.rand(len(x), generator=generator, dtype=x.dtype).log() < there - at
        x, at = torch.where(moves[:, None], other, x), torch.where(moves, there, at)
        chain.append(x)
        accepted += float(moves.double().mean())
    return torch.stack(chain), accepted / steps
