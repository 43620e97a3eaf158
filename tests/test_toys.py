"""What theory says of the games, on toys: the best D, the distance of two lines, a Gaussian learned."""

import math

import pytest
import torch
from torch import nn

import datasets
from datasets import points
from models.common import objectives
from models.gan import gan
from tests.test_every_task import Alone
from translate.config import GameConfig
from translate.task import DataInfo
from translate.training.stream import Stream
from translate.training.update import Update


def critic(inputs: int, width: int = 64) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(inputs, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)
    return nn.Sequential(*layers, nn.Linear(width, 1))


def descend(D, loss, steps: int, rate: float = 5e-3, beta1: float = 0.9) -> None:
    """Adam on `loss(t)`, its step size falling to 0."""
    adam = torch.optim.Adam(D.parameters(), lr=rate, betas=(beta1, 0.99), fused=True)
    for t in range(steps):
        adam.param_groups[0]["lr"] = rate * (1 - t / steps)
        adam.zero_grad()
        loss(t).backward()
        adam.step()


def density(x: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    return torch.distributions.Normal(mean, deviation).log_prob(x).exp()


def test_a_trained_discriminator_is_the_best_one_in_one_dimension():
    """D*(x) = p / (p + q) and V(D*) = -log 4 + 2 JSD, by numerical integration (eqs. 2 and 6)."""
    D, game = critic(1, 32), objectives.game("minimax")

    def loss(t):
        torch.manual_seed(t)
        return game.discriminate(D(torch.randn(512, 1)), D(0.5 * torch.randn(512, 1) + 1.0))

    descend(D, loss, 400)
    x = torch.linspace(-2.5, 2.5, 501)[:, None]
    p, q = density(x, 0.0, 1.0), density(x, 1.0, 0.5)
    best = p / (p + q)
    with torch.no_grad():
        assert (D(x).sigmoid() - best).abs().mean() < 0.03
        wide = torch.linspace(-6, 6, 4001)[:, None]
        p, q = density(wide, 0.0, 1.0), density(wide, 1.0, 0.5)
        m = (p + q) / 2
        step = 12 / 4000
        jsd = 0.5 * step * (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum().item()
        value = (
            -step * (p * nn.functional.softplus(-D(wide)) + q * nn.functional.softplus(D(wide))).sum().item()
        )
    assert value == pytest.approx(-math.log(4) + 2 * jsd, abs=0.02)


@pytest.mark.parametrize("theta", [0.5, 1.5])
def test_the_critic_tells_how_far_two_lines_are_and_jensen_shannon_does_not(theta):
    """W = |θ|, JSD = log 2 for every θ but 0 (Arjovsky et al. 2017, example 1).

    With the penalty λ the best slope g is not 1: g |θ| - λ (g - 1)² is largest at 1 + |θ| / (2 λ), and a
    critic of slope g tells g W.
    """

    def lines(t):
        generator = torch.Generator().manual_seed(t)
        modes = torch.arange(256) % 2
        both = points.on_lines(modes, generator, theta)
        return both[modes == 1], both[modes == 0]

    f, game = critic(2), objectives.game("wasserstein")
    c = GameConfig(penalty=("gradient",), lambda_penalty=10.0)
    descend(
        f, lambda t: game.discriminate(*map(f, (ab := lines(t)))) + objectives.regularise(f, *ab, 0, c), 250
    )
    a, b = lines(1000)
    slope = objectives.input_gradient(f, torch.lerp(a, b, torch.rand(len(a), 1))).norm(dim=1).mean().item()
    estimate = -game.discriminate(f(a), f(b)).item()
    assert slope == pytest.approx(1 + theta / 20, rel=0.05) and estimate == pytest.approx(
        slope * theta, rel=0.05
    )
    D, game = critic(2), objectives.game("minimax")
    descend(D, lambda t: game.discriminate(*map(D, lines(t))), 120, rate=2e-2)
    with torch.no_grad():
        jsd = (math.log(4) - game.discriminate(*map(D, lines(1000))).item()) / 2
    assert jsd == pytest.approx(math.log(2), rel=0.01)


def test_a_gaussian_is_learned():
    """The lecture's bump at (5, 5): mean and deviations within 0.15, D within 0.05 of 0.5, real or fake."""
    settings = dict(
        optimizer="adam", learning_rate=2e-3, beta1=0.0, beta2=0.9, ema=0.99, lr_schedule="linear"
    )
    networks = dict(hidden=32, units=32, pieces=1, dropout=False, latent=2)
    config = gan.Config(
        data="gaussian",
        steps=1200,
        batch_size=128,
        penalty=("r1",),
        lambda_penalty=1.0,
        **settings,
        **networks,
    )
    data = datasets.load("points", "gaussian", size=8)
    torch.manual_seed(0)
    task = gan.GAN(config, DataInfo.of(data.info)).train()
    task.keep_average()
    update, stream = Update(task, config, Alone(), None), Stream(data, 128, seed=0)
    for t in range(config.steps):
        torch.manual_seed(t)
        for group in [g for optimizer in update.optimizers.values() for g in optimizer.param_groups]:
            group["lr"] = config.learning_rate * min(1, 2 * (1 - t / config.steps))
        task.step(stream.batch(t), t, update)
        task.update_average(t)
    with torch.no_grad(), task.eval().using_average():
        torch.manual_seed(0)
        fake, (real, _) = task.generate(torch.randn(4000, 2)), points.draw("gaussian", 4000, seed=9)
        told = [task.D(x).sigmoid() for x in (real, fake)]
    assert (fake.mean(0) - 5).abs().max() < 0.15 and (fake.std(0) - 1).abs().max() < 0.15
    assert all((answers - 0.5).abs().mean() < 0.05 for answers in told)
