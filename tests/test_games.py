"""Choices on a game, each against hand numbers or a naive loop, and the games' published settings."""

import copy
import dataclasses
import functools
import math

import pytest
import torch
from torch import nn

import datasets
from models.common import augment, choices, objectives, unrolled
from models.common.choices import ChoicesConfig
from models.gan import began, dcgan, gan, lsgan, wgan, wgan_gp
from tests.test_every_task import Alone
from translate.task import DataInfo, UserError
from translate.training.update import Update

REAL, FAKE = torch.tensor([[2.0], [-1.0]]), torch.tensor([[0.5], [-3.0]])


@functools.cache
def digits():
    return datasets.load("images", "digits", size=16, resize="resize", flip=False)


def built(method, **settings):
    torch.manual_seed(0)
    task = method(dataclasses.replace(method.tiny(), **settings), DataInfo.of(digits().info))
    return task.train(), Update(task, task.config, Alone(), None)


def batch(count: int = 4, first: int = 0) -> dict:
    return digits().batch(torch.arange(first, first + count), None)


def weights(network) -> list:
    return [p.detach().clone() for p in network.parameters()]


def same(a: list, b: list) -> bool:
    return all(map(torch.equal, a, b))


# --- labels ---


def zeta(x: float) -> float:
    return math.log1p(math.exp(x))


def test_one_sided_smoothing_by_hand():
    c = ChoicesConfig(smooth=0.9)
    real = sum(0.9 * zeta(-s) + 0.1 * zeta(s) for s in (2.0, -1.0)) / 2
    fake = (zeta(0.5) + zeta(-3.0)) / 2
    found = choices.discriminate(objectives.game("non-saturating"), REAL, FAKE, c)
    assert found.item() == pytest.approx(real + fake, rel=1e-5)
    # least squares with the target t is (s - t)² up to a constant
    found = choices.discriminate(objectives.game("least-squares"), REAL, FAKE, c)
    squares = (1.1**2 + 1.9**2) / 2 + 0.9 * 0.1 + (0.25 + 9) / 2
    assert found.item() == pytest.approx(squares, rel=1e-5)


@pytest.mark.parametrize("name", [name for name in objectives.GAMES if name != "relativistic"])
def test_fakes_are_never_smoothed(name):
    game, gradients = objectives.game(name), []
    for c in (ChoicesConfig(), ChoicesConfig(smooth=0.7, label_noise=0.2)):
        fake = FAKE.clone().requires_grad_()
        gradients += torch.autograd.grad(choices.discriminate(game, REAL, fake, c), fake)
    assert torch.equal(*gradients)


def test_noisy_labels_spread_around_the_target():
    """D's loss is linear in the target: the noise leaves its mean and shows in its spread."""
    game, c = objectives.game("minimax"), ChoicesConfig(smooth=0.9, label_noise=0.1)
    torch.manual_seed(0)
    one, far = torch.full((1, 1), 1.0), torch.full((1, 1), -50.0)
    losses = torch.stack([choices.discriminate(game, one, far, c) for _ in range(2000)])
    targets = (zeta(1.0) - losses) / (zeta(1.0) - zeta(-1.0))
    assert targets.min() > 0.8 - 1e-4 and targets.max() < 1 + 1e-4
    assert targets.mean().item() == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize("name", objectives.GAMES)
def test_flipped_labels_exchange_real_and_fake(name):
    game, c = objectives.game(name), ChoicesConfig(flip_labels=0.4)
    real, fake = torch.randn(64, 1), torch.randn(64, 1)
    torch.manual_seed(3)
    found = choices.discriminate(game, real, fake, c)
    torch.manual_seed(3)
    flipped = torch.rand(64, 1) < 0.4
    assert 0.2 < flipped.float().mean() < 0.6
    mixed = [torch.where(flipped, a, b) for a, b in ((fake, real), (real, fake))]
    assert torch.equal(found, game.discriminate(*mixed))


# --- who learns, and how often ---


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [(1, -1, (False, True)), (-1, -1, (True, True)), (1, 1, (True, False)), (-1, 1, (True, False))],
)
@pytest.mark.parametrize("name", ["non-saturating", "least-squares", "hinge"])
def test_the_selective_rule(name, real, fake, expected):
    game, (_, update) = objectives.game(name), built(gan.GAN)
    real, fake = (torch.full((3, 1), game.boundary + value) for value in (real, fake))
    found = choices.who_learns(game, real, fake, ChoicesConfig(selective=True), update)
    assert found == expected
    assert choices.who_learns(game, real, fake, ChoicesConfig(), None) == (True, True)


def test_selective_skips_are_counted_and_change_nothing():
    task, update = built(gan.GAN, selective=True, optimizer="adam", learning_rate=1e-3)
    skipped = []
    for t in range(12):
        before = weights(task.G), weights(task.D)
        logs = task.step(batch(first=4 * t), t, update)
        for name, network, old in (("G", task.G, before[0]), ("D", task.D, before[1])):
            assert same(weights(network), old) == bool(logs[f"{name} skipped"])
        skipped.append((int(logs["D skipped"]), int(logs["G skipped"])))
    assert {(0, 1), (1, 0)} & set(skipped) and (1, 1) not in skipped


def test_the_generator_waits_for_n_critic_updates():
    task, update = built(dcgan.DCGAN, n_critic=3)
    moved = []
    for t in range(6):
        before = weights(task.G)
        assert ("G" in task.step(batch(), t, update)) == (t % 3 == 2)
        moved.append(not same(weights(task.G), before))
    assert moved == [False, False, True] * 2


def test_weights_are_clipped_after_every_update():
    task, update = built(wgan.WGAN, clip_weights=0.004)
    before = weights(task.G)
    for t in range(2):
        task.step(batch(), t, update)
        assert max(float(w.abs().max()) for w in weights(task.D)) <= 0.004 + 1e-9
    assert not same(weights(task.G), before) and max(float(w.abs().max()) for w in weights(task.G)) > 0.004


def test_momentum_and_step_size_are_the_published_functions_of_t():
    task, update = built(gan.GAN)
    group = update.optimizers["D"].param_groups[0]
    for t, momentum in ((0, 0.5), (62_500, 0.6), (125_000, 0.7), (500_000, 0.7)):
        choices.gather_momentum(task.config, t, update)
        assert group["momentum"] == pytest.approx(momentum)
    assert task.lr_scale(250_000, "G") == pytest.approx(math.exp(-1), rel=1e-4)
    assert built(gan.GAN, optimizer="adam")[0].lr_scale(250_000, "G") == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (dict(n_critic=0), "--n-critic 0 must be 1"),
        (dict(smooth=1.2), "--smooth 1.2 must be above 0.5"),
        (dict(flip_labels=0.5), "--flip-labels 0.5 must be in"),
        (dict(objective="relativistic", smooth=0.9), "relativistic has none"),
        (dict(objective="wasserstein", selective=True), "not with --objective wasserstein"),
        (dict(unroll=2), "--unroll looks through --optimizer adam, not sgd"),
        (dict(minibatch="stddev", norm_d="virtual"), "choose one"),
        (dict(selective=True, accumulate=2), "leave --accumulate at 1"),
    ],
)
def test_choices_that_contradict_each_other_are_one_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        built(gan.GAN, **settings)
    assert "\n" not in str(error.value)


# --- what D sees ---


def test_instance_noise_falls_to_nothing():
    c = ChoicesConfig(instance_noise=0.5, steps=100)
    x = torch.zeros(2000, 1, 2, 2)
    for t, sigma in ((0, 0.5), (50, 0.25), (100, 0.0)):
        seen = choices.seen(lambda x: x, c, t)(x)
        assert seen.std().item() == pytest.approx(sigma, rel=0.05, abs=1e-9)
    assert choices.seen(len, ChoicesConfig(), 5) is len


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "policy", [("color",), ("translation",), ("cutout",), ("color", "translation", "cutout")]
)
def test_augmentation_is_random_and_differentiable(policy, channels):
    torch.manual_seed(0)
    x = (torch.rand(6, channels, 16, 16) * 2 - 1).requires_grad_()
    seen = augment.augmented(x, policy)
    assert seen.shape == x.shape and not torch.equal(seen[0], augment.augmented(x, policy)[0])
    (gradient,) = torch.autograd.grad(seen.square().sum(), x)
    assert torch.isfinite(gradient).all() and all((g != 0).float().mean() > 0.3 for g in gradient)
    assert augment.augmented(x, ()) is x


def test_augmentations_are_what_they_say():
    torch.manual_seed(0)
    ones = torch.ones(64, 1, 16, 16)
    assert (augment.augmented(ones, ("cutout",)) == 0).flatten(1).sum(1).float().mean() > 0.6 * 64  # of 8 x 8
    assert (augment.augmented(ones, ("cutout",)) == 0).flatten(1).sum(1).max() == 64
    dot = torch.full((256, 1, 17, 17), -1.0)
    dot[:, :, 8, 8] = 1
    mass = (augment.augmented(dot, ("translation",)) + 1) / 2
    rows = torch.arange(17.0)
    shift = (mass.sum(3) * rows[None, None]).sum((1, 2)) / mass.sum((1, 2, 3)) - 8
    assert 1 < shift.abs().max() <= 17 / 8 + 0.3 and shift.mean().abs() < 0.3
    colours = augment.coloured(torch.zeros(4000, 3, 2, 2))
    brightness = colours.flatten(1).mean(1)  # of a grey picture only brightness shows
    assert -1 <= brightness.min() < -0.9 and 0.9 < brightness.max() <= 1
    assert colours.flatten(1).std(1).max() < 1e-6


def test_consistency_by_a_naive_loop():
    D, x = nn.Conv2d(1, 1, 16), torch.randn(5, 1, 16, 16)
    torch.manual_seed(7)
    found = choices.consistency(D, x, ChoicesConfig(consistency=10.0))
    torch.manual_seed(7)
    moved = augment.shifted(x, 1 / 8)
    naive = sum((D(a[None]) - D(b[None])).square().sum() for a, b in zip(x, moved, strict=True)) / 5
    torch.testing.assert_close(found, 10 * naive)
    assert choices.consistency(D, x, ChoicesConfig()) == 0


# --- unrolling ---


def game_of_two(parameter):
    """A D of two weights, its loss against something that `parameter` moves."""
    torch.manual_seed(1)
    D = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    real = torch.randn(8, 2, dtype=torch.float64)

    def loss(judge):
        return objectives.game("minimax").discriminate(judge(real), judge(real + parameter))

    return D, loss


def test_unrolled_updates_are_adams():
    shift = torch.tensor([0.7, -0.2], dtype=torch.float64)
    D, loss = game_of_two(shift)
    adam = torch.optim.Adam(D.parameters(), lr=0.05, betas=(0.5, 0.9))
    for _ in range(3):  # Adam has a past
        adam.zero_grad()
        loss(D).backward()
        adam.step()
    before, state = weights(D), copy.deepcopy(adam.state_dict()["state"])
    later = unrolled.ahead(D, adam, loss, 4)
    x = torch.randn(5, 2, dtype=torch.float64)
    found = later(x)
    assert same(weights(D), before), "D itself stays"
    for after, then in zip(adam.state_dict()["state"].values(), state.values(), strict=True):
        assert all(torch.equal(after[key], then[key]) for key in after)
    for _ in range(4):
        adam.zero_grad()
        loss(D).backward()
        adam.step()
    torch.testing.assert_close(found, D(x), rtol=1e-6, atol=1e-8)


def test_the_gradient_goes_through_the_unrolled_updates():
    def value(shift):
        D, loss = game_of_two(shift)
        return loss(unrolled.ahead(D, torch.optim.Adam(D.parameters(), lr=0.05, betas=(0.5, 0.9)), loss, 3))

    shift = torch.tensor([0.7, -0.2], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(shift), shift)
    for i in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-6
        numeric = (value(shift.detach() + step) - value(shift.detach() - step)) / 2e-6
        assert gradient[i].item() == pytest.approx(numeric.item(), rel=1e-5)


def test_unrolling_changes_what_the_generator_learns():
    moves = []
    for unroll in (0, 2):
        task, update = built(gan.GAN, unroll=unroll, optimizer="adam", objective="minimax", dropout=False)
        task.step(batch(), 0, update)
        moves.append(torch.cat([p.grad.flatten() for p in task.G.parameters()]))
    assert not torch.allclose(*moves, rtol=0.01)


# --- the methods ---


def test_the_networks_of_unrolled_gans():
    """D sees a quarter of the points through one layer of ReLUs; weights are orthogonal, 0.8 times."""
    ring = datasets.load("points", "ring", size=8)
    task = gan.GAN(gan.Config(data="ring", network="metz", units=8, hidden=8), DataInfo.of(ring.info))
    x = torch.randn(5, 2)
    (first, second) = (layer for layer in task.D if isinstance(layer, nn.Linear))
    assert torch.allclose(task.D(x), second(first(x / 4).relu()))
    assert torch.allclose(first.weight.T @ first.weight, 0.64 * torch.eye(2), atol=1e-5)
    with pytest.raises(UserError, match="--network metz is for points"):
        built(gan.GAN, network="metz")


def test_published_settings():
    for method, expected in (
        (wgan, dict(optimizer="rmsprop", learning_rate=5e-5, clip_weights=0.01, n_critic=5, batch_size=64)),
        (
            wgan_gp,
            dict(lambda_penalty=10.0, learning_rate=1e-4, beta1=0.0, beta2=0.9, n_critic=5, batch_size=64),
        ),
        (lsgan, dict(objective="least-squares", learning_rate=2e-4, beta1=0.5)),
        (gan, dict(latent=100, hidden=1200, units=240, pieces=5, batch_size=100, learning_rate=0.1)),
        (began, dict(gamma=0.5, lambda_k=1e-3, learning_rate=1e-4, batch_size=16, latent=64, channels=128)),
        (dcgan, dict(latent=100, norm_g="batch", norm_d="batch", beta1=0.5, batch_size=128, n_critic=1)),
    ):
        assert {name: getattr(method.Config(), name) for name in expected} == expected
    assert wgan_gp.Config().penalty == ("gradient",)
    task, update = built(wgan.WGAN)
    assert type(update.optimizers["D"]) is torch.optim.RMSprop
    assert not any(isinstance(m, nn.BatchNorm2d) for m in built(wgan_gp.WGANGP)[0].D.modules())


def test_maxout_by_a_naive_loop():
    layer, x = gan.Maxout(3, 4, 2), torch.randn(5, 3)
    pieces = (x @ layer.linear.weight.T + layer.linear.bias).view(5, 4, 2)
    assert torch.equal(layer(x), torch.maximum(pieces[..., 0], pieces[..., 1]))


def test_began_balances_by_hand():
    task, update = built(began.BEGAN, gamma=0.7, lambda_k=0.1)
    task.k.fill_(0.3)
    x = batch()["image"]
    torch.manual_seed(5)
    noise = torch.randn(4, 8)
    fake = task.G(2 * torch.distributions.Normal(0, 1).cdf(noise) - 1)  # uniform in [-1, 1]
    L = lambda D, v: (v - D(v)).abs().mean()  # noqa: E731
    D_before = copy.deepcopy(task.D)
    torch.manual_seed(5)
    logs = task.step({"image": x}, 0, update)
    real_error, fake_error = L(D_before, x), L(task.D, fake)  # G is judged by the D just updated
    torch.testing.assert_close(logs["L(x)"], real_error.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logs["L(G(z))"], fake_error.detach(), rtol=1e-4, atol=1e-5)
    balance = 0.7 * real_error - fake_error
    assert task.k.item() == pytest.approx(0.3 + 0.1 * balance.item(), abs=1e-5)
    assert logs["M"].item() == pytest.approx((real_error + balance.abs()).item(), rel=1e-4)
    task.k.fill_(1.0)
    task.config = dataclasses.replace(task.config, lambda_k=1e3)
    task.step({"image": x}, 1, update)
    assert task.k.item() in (0.0, 1.0), "k stays within 0 and 1"


def test_began_at_its_papers_size():
    """64 x 64, n = 128: three halvings, 8 x 8 x n in the middle, 16 convolutions in each half's body."""
    side, halvings = began.halved(64)
    assert (side, halvings) == (8, 3) and began.halved(28) == (7, 2) and began.halved(32) == (8, 2)
    channels = [m.out_channels for m in began.Encoder(3, 4, 64, 5) if isinstance(m, nn.Conv2d)]
    assert channels == [4, 4, 8, 8, 12, 12, 16, 16, 16]  # n, 2n, 3n, 4n
    assert began.Decoder(5, 4, 28, 1)(torch.randn(2, 5)).shape == (2, 1, 28, 28)
    with pytest.raises(UserError, match="7 to 13 times a power of two"):
        began.halved(60)
