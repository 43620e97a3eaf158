"""Every printed formula of the adversarial games against hand numbers."""

import math

import pytest
import torch

from models.common import objectives

REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def mean(*values: float) -> float:
    return sum(values) / len(values)


LOG_D = mean(math.log(sigmoid(2.0)), math.log(sigmoid(-1.0)))  # E log D(x)
LOG_1_D = mean(math.log(1 - sigmoid(0.5)), math.log(1 - sigmoid(-3.0)))  # E log(1 - D(G(z)))
EXPECTED = {
    "minimax": (-(LOG_D + LOG_1_D), LOG_1_D),
    "non-saturating": (-(LOG_D + LOG_1_D), -mean(math.log(sigmoid(0.5)), math.log(sigmoid(-3.0)))),
    "least-squares": (mean(1.0, 4.0) + mean(0.25, 9.0), mean(0.25, 16.0)),
    "wasserstein": (-1.25 - 0.5, 1.25),
    "hinge": (mean(0.0, 2.0) + mean(1.5, 0.0), 1.25),
    "relativistic": (
        mean(math.log1p(math.exp(0.5 - 2.0)), math.log1p(math.exp(-3.0 + 1.0))),
        mean(math.log1p(math.exp(2.0 - 0.5)), math.log1p(math.exp(-1.0 + 3.0))),
    ),
}


@pytest.mark.parametrize("name", objectives.GAMES)
def test_values(name):
    game = objectives.game(name)
    discriminate, fool = EXPECTED[name]
    assert game.discriminate(REAL, FAKE).item() == pytest.approx(discriminate, rel=1e-5)
    assert game.fool(FAKE, REAL).item() == pytest.approx(fool, rel=1e-5)


@pytest.mark.parametrize("name", objectives.GAMES)
def test_each_side_pushes_the_right_way(name):
    """D wants real up and fake down, G wants fake up."""
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    game = objectives.game(name)
    d_real, d_fake = torch.autograd.grad(game.discriminate(real, fake), (real, fake))
    # a least-squares answer above 1 is pulled back, and hinge is flat beyond its margin
    assert (d_real[1] < 0) and (d_fake[0] > 0)
    (g_fake,) = torch.autograd.grad(game.fool(fake, REAL), fake)
    assert (g_fake < 0).all()


def test_penalties_of_a_linear_discriminator():
    """D(x) = w · x has the gradient w everywhere: R1 = ½ ‖w‖², gradient penalty (‖w‖ - 1)²."""
    w = torch.tensor([3.0, 4.0])

    def D(x):
        return (x.flatten(1) * w).sum(1)

    x, y = torch.randn(5, 2, 1, 1), torch.randn(5, 2, 1, 1)
    assert objectives.penalty("r1", D, x, y).item() == pytest.approx(12.5)
    assert objectives.penalty("gradient", D, x, y).item() == pytest.approx(16.0, rel=1e-5)
    assert objectives.penalty("none", D, x, y).item() == 0


def test_r1_looks_at_real_and_r2_at_fake():
    def D(x):  # gradient 2 x
        return x.flatten(1).square().sum(1)

    real, fake = torch.full((2, 1, 1, 1), 1.0), torch.full((2, 1, 1, 1), 3.0)
    assert objectives.penalty("r1", D, real, fake).item() == pytest.approx(2.0)
    assert objectives.penalty("r2", D, real, fake).item() == pytest.approx(18.0)


def test_penalty_reaches_the_discriminators_weights():
    D = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(2, 1, 3))
    x = torch.randn(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        objectives.penalty("gradient", D, x, x + 1).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in [D[0].weight, D[2].weight])
    assert D[0].weight.grad.abs().sum() > 0
