"""Samples have the distributions that they are asked for (Kolmogorov-Smirnov distance and moments)."""

import math

import pytest
import torch

from translate import random_variables as rv


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def distance(samples: torch.Tensor, distribution) -> float:
    """The largest difference between the samples' distribution function and the true one."""
    x = samples.sort().values
    ranks = torch.arange(1, len(x) + 1, dtype=x.dtype) / len(x)
    return float((distribution(x) - ranks).abs().max())


LIMIT = 1.63 / math.sqrt(20_000)  # exceeded once in a hundred seeds (Kolmogorov)


def test_inverse_transform_of_the_exponential():
    x = rv.inverse_transform(lambda u: -torch.log1p(-u) / 2, 20_000, seeded())
    assert distance(x, lambda x: 1 - (-2 * x).exp()) < LIMIT


def test_rejection_of_the_half_circle():
    """Density √(1 - x²) 2 / π on [-1, 1], proposed uniformly; π / 4 of the proposals lie below it."""

    def propose(n, generator):
        return 2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1

    x, share = rv.rejection(
        lambda x: (1 - x**2).sqrt(), propose, lambda x: torch.full_like(x, 0.5), 2.0, 20_000, seeded()
    )
    assert distance(x, lambda x: 0.5 + (x * (1 - x**2).sqrt() + x.asin()) / math.pi) < LIMIT
    assert share == pytest.approx(math.pi / 4, abs=0.01)


def test_rejection_says_where_its_bound_is_too_small_or_nothing_fits():
    def propose(n, generator):
        return torch.rand(n, generator=generator, dtype=torch.float64)

    with pytest.raises(ValueError, match="too small"):
        rv.rejection(lambda x: 3 * x, propose, torch.ones_like, 2.0, 100, seeded())
    with pytest.raises(ValueError, match="nothing is accepted"):
        rv.rejection(torch.zeros_like, propose, torch.ones_like, 2.0, 10, seeded())


def test_metropolis_hastings_finds_a_correlated_normal():
    covariance = torch.tensor([[1.0, 0.8], [0.8, 2.0]], dtype=torch.float64)
    mean, precision = torch.tensor([1.0, -1.0], dtype=torch.float64), torch.linalg.inv(covariance)

    def log_density(x):
        return -0.5 * (((x - mean) @ precision) * (x - mean)).sum(1)  # up to a constant

    start = torch.zeros(200, 2, dtype=torch.float64)
    chain, accepted = rv.metropolis_hastings(log_density, start, 600, 1.5, seeded())
    x = chain[100:].flatten(0, 1)
    assert 0.2 < accepted < 0.8
    torch.testing.assert_close(x.mean(0), mean, atol=0.08, rtol=0)
    torch.testing.assert_close(torch.cov(x.T), covariance, atol=0.15, rtol=0.05)


def test_metropolis_hastings_stays_where_the_density_is():
    """Uniform on [0, 1]: log 0 = -inf outside is never entered."""

    def log_density(x):
        return torch.where(((x >= 0) & (x <= 1)).all(1), 0.0, -math.inf).double()

    chain, _ = rv.metropolis_hastings(log_density, torch.full((200, 1), 0.5).double(), 300, 0.7, seeded())
    assert chain.min() >= 0 and chain.max() <= 1
    assert distance(chain[100:, :, 0].flatten(), lambda x: x) < 0.02
