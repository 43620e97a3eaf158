"""Every printed formula of the adversarial games against hand numbers."""

import math

import pytest
import torch

from models.common import objectives
from models.common.layers import init_normal
from translate.config import GameConfig

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


def identity(x):
    """A D whose logits are its pictures, so that hand numbers are both."""
    return x


@pytest.mark.parametrize("name", objectives.GAMES)
def test_values(name):
    game = objectives.game(name)
    discriminate, fool = EXPECTED[name]
    assert game.discriminate(REAL, FAKE).item() == pytest.approx(discriminate, rel=1e-5)
    assert game.fool(identity, FAKE, REAL).item() == pytest.approx(fool, rel=1e-5)


@pytest.mark.parametrize("name", objectives.GAMES)
def test_each_side_pushes_the_right_way(name):
    """D wants real up and fake down, G wants fake up and has no say in what is real."""
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    game = objectives.game(name)
    d_real, d_fake = torch.autograd.grad(game.discriminate(real, fake), (real, fake))
    # a least-squares answer above 1 is pulled back, and hinge is flat beyond its margin
    assert (d_real[1] < 0) and (d_fake[0] > 0)
    g_fake, g_real = torch.autograd.grad(game.fool(identity, fake, real), (fake, real), allow_unused=True)
    assert (g_fake < 0).all() and g_real is None


def settings(*penalties, every=1, weight=1.0):
    return GameConfig(penalty=penalties, penalty_every=every, lambda_penalty=weight)


def penalty(name, D, real, fake):
    return objectives.PENALTIES[name](D, real, fake)


def test_penalties_of_a_linear_discriminator():
    """D(x) = w · x has the gradient w everywhere: R1 = ½ ‖w‖², gradient penalty (‖w‖ - 1)²."""
    w = torch.tensor([3.0, 4.0])

    def D(x):
        return (x.flatten(1) * w).sum(1)

    x, y = torch.randn(5, 2, 1, 1), torch.randn(5, 2, 1, 1)
    assert penalty("r1", D, x, y).item() == pytest.approx(12.5)
    assert penalty("gradient", D, x, y).item() == pytest.approx(16.0, rel=1e-5)
    assert objectives.regularise(D, x, y, 0, settings("none")).item() == 0


def test_penalties_see_the_average_of_patches():
    """A D of one number and one that says it at 900 places are the same to games and penalties."""
    w = torch.tensor([3.0, 4.0])

    def one(x):
        return (x.flatten(1) * w).sum(1)

    def patches(x):
        return one(x).view(-1, 1, 1, 1).expand(-1, 1, 30, 30)

    x, y = torch.randn(5, 2, 1, 1), torch.randn(5, 2, 1, 1)
    for name in objectives.PENALTIES:
        expected = penalty(name, one, x, y)
        torch.testing.assert_close(penalty(name, patches, x, y), expected)
    # by hand: patches that see a half each, so the mean has half of each one's gradient
    halves = lambda x: torch.stack([3 * x[:, 0], 4 * x[:, 1]], 1)  # noqa: E731
    assert penalty("r1", halves, x, y).item() == pytest.approx(0.5 * (1.5**2 + 2.0**2))


def test_on_a_patch_gan_the_gradient_penalty_starts_near_one():
    """As the published critics do: ‖∇‖ is nearly 0 at first. Of the sum of 900 logits it was about 1,800."""
    from models.common.translators import PatchGAN

    torch.manual_seed(0)
    D, (x, y) = PatchGAN(6, 8, 70, "instance"), torch.rand(2, 1, 6, 128, 128) * 2 - 1
    init_normal(D)
    assert 0.5 < penalty("gradient", D, x, y).item() < 1


def test_penalties_add_up_and_may_come_now_and_then():
    def D(x):  # gradient 2 x
        return x.flatten(1).square().sum(1)

    real, fake = torch.full((2, 1, 1, 1), 1.0), torch.full((2, 1, 1, 1), 3.0)
    both = settings("r1", "r2", every=4, weight=0.1)
    found = [objectives.regularise(D, real, fake, t, both).item() for t in range(5)]
    assert found == pytest.approx([0.1 * 4 * (2 + 18), 0, 0, 0, 0.1 * 4 * (2 + 18)])
    assert objectives.regularise(D, real, fake, 3, settings("r1", "r1")).item() == pytest.approx(2)


def test_the_gradient_of_several_inputs_is_joined():
    x, e = torch.randn(3, 2, 4), torch.randn(3, 5)
    found = objectives.input_gradient(lambda x, e: (2 * x).flatten(1).sum(1) + (3 * e).sum(1), x, e)
    assert found.shape == (3, 13) and (found[:, :8] == 2).all() and (found[:, 8:] == 3).all()


def test_r1_looks_at_real_and_r2_at_fake():
    def D(x):  # gradient 2 x
        return x.flatten(1).square().sum(1)

    real, fake = torch.full((2, 1, 1, 1), 1.0), torch.full((2, 1, 1, 1), 3.0)
    assert penalty("r1", D, real, fake).item() == pytest.approx(2.0)
    assert penalty("r2", D, real, fake).item() == pytest.approx(18.0)


def test_penalty_reaches_the_discriminators_weights():
    D = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.LeakyReLU(0.2), torch.nn.Conv2d(2, 1, 3))
    x = torch.randn(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        penalty("gradient", D, x, x + 1).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in [D[0].weight, D[2].weight])
    assert D[0].weight.grad.abs().sum() > 0
