"""AE, VAE, WAE, GMMN: formulas against hand numbers, naive loops, torch.distributions; and they learn."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from models.common import mmd
from models.latent import ae, beta_vae, gmmn, vae, wae
from translate.task import DataInfo
from translate.training.update import Update

INFO = DataInfo(kind="images", name="test", count=12, channels={"image": 1})


class Alone:
    num_processes, device = 1, torch.device("cpu")


def change(task_class, **values):
    return dataclasses.replace(task_class.tiny(), **values)


def made(task_class, seed: int = 0, **values):
    torch.manual_seed(seed)
    return task_class(change(task_class, **values), INFO)


def batch(count: int = 4, size: int = 16, channels: int = 1) -> dict:
    """Smooth pictures that a network of a few channels can learn."""
    coarse = torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8
    image = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return {"image": image, "index": torch.arange(count)}


def losses_of(task, given, t=0):
    found = {}
    logs = task.step(given, t, lambda name, loss: found.__setitem__(name, loss.detach()))
    return found, logs


def descend(task, given, steps: int, key: str) -> list[float]:
    update, found = Update(task, task.config, Alone(), None), []
    for t in range(steps):
        torch.manual_seed(t)
        found.append(task.train().step(given, t, update).get(key, torch.tensor(math.nan)).item())
    return found


# --- AE and VAE -----------------------------------------------------------------------------------------


def test_ae_loss_is_the_squared_error_of_a_picture():
    task, given = made(ae.AE, network="dense"), batch()
    found, logs = losses_of(task, given)
    x = given["image"]
    rebuilt = task.decoder(task.encoder(x))
    naive = sum((x[i] - rebuilt[i]).square().sum() for i in range(4)) / 4
    torch.testing.assert_close(found["AE"], naive)
    torch.testing.assert_close(logs["MSE"], naive / 256)


def test_dense_vae_is_the_lectures_784_400_20():
    config = vae.Config(size=28, latent=20, network="dense", likelihood="bernoulli")
    task = vae.VAE(config, INFO)
    count = 784 * 400 + 400 + 400 * 40 + 40 + 20 * 400 + 400 + 400 * 784 + 784
    assert sum(p.numel() for p in task.parameters()) == count


@pytest.mark.parametrize("network", ["conv", "dense"])
@pytest.mark.parametrize("likelihood", ["normal", "bernoulli"])
def test_vae_surprise_is_the_negative_log_density(network, likelihood):
    task = made(vae.VAE, network=network, likelihood=likelihood, deviation=0.3).eval()
    x, z = batch()["image"], torch.randn(4, 8)
    with torch.no_grad():
        picture = task.decoder(z)
    if likelihood == "normal":
        expected = -Normal(picture, 0.3).log_prob(x)
    else:
        x = (x > 0).float() * 2 - 1
        expected = -Bernoulli((picture.double() + 1) / 2).log_prob((x.double() + 1) / 2).float()
    torch.testing.assert_close(task.surprise(x, z), expected.flatten(1).sum(1), rtol=1e-4, atol=1e-3)


def test_kl_against_torch_and_monte_carlo():
    torch.manual_seed(0)
    mu, log_var = torch.randn(3, 5), torch.randn(3, 5)
    q, p = Normal(mu, (0.5 * log_var).exp()), Normal(0.0, 1.0)
    ours = vae.kl(mu, log_var)
    torch.testing.assert_close(ours, kl_divergence(q, p).sum(1))
    z = q.sample((40_000,))
    sampled = (q.log_prob(z) - p.log_prob(z)).sum(2).mean(0)
    torch.testing.assert_close(ours, sampled, rtol=0.03, atol=0.03)


def test_beta_weighs_the_divergence_and_capacity_is_approached():
    x = batch()
    once, four = (made(beta_vae.BetaVAE, beta=b) for b in (1.0, 4.0))
    torch.manual_seed(3)
    found, logs = losses_of(once, x)
    torch.manual_seed(3)
    more, _ = losses_of(four, x)
    torch.testing.assert_close(more["BetaVAE"] - found["BetaVAE"], 3 * logs["KL"], rtol=1e-3, atol=1e-4)
    held = made(beta_vae.BetaVAE, capacity=25.0, gamma=10.0, capacity_steps=100)
    for t, C in ((0, 0.0), (50, 12.5), (100, 25.0), (500, 25.0)):
        assert held.weighted(torch.tensor(20.0), t).item() == pytest.approx(10 * abs(20 - C))


def test_kl_falls_with_beta():
    """Trained alike, a larger beta leaves less in the codes."""
    last = {}
    for beta in (0.1, 1.0, 20.0):
        task = made(vae.VAE, network="dense", hidden=32, beta=beta, deviation=0.3, learning_rate=1e-2)
        last[beta] = sum(descend(task, batch(), 60, "KL")[-10:])
    assert last[0.1] > 1.2 * last[1.0] > 1.2 * 1.2 * last[20.0]


# --- MMD, WAE, GMMN -------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimate", ["unbiased", "biased"])
def test_mmd_against_naive_loops(estimate):
    torch.manual_seed(0)
    x, y = torch.randn(7, 3, dtype=torch.double), torch.randn(5, 3, dtype=torch.double) + 0.5

    def naive(k):
        def mean(a, b, same):
            pairs = [
                k(((u - v) ** 2).sum().item())
                for i, u in enumerate(a)
                for j, v in enumerate(b)
                if not (same and estimate == "unbiased" and i == j)
            ]
            return sum(pairs) / len(pairs)

        return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)

    imq = naive(lambda d: sum(C / (C + d) for C in (0.5, 2.0)))
    gauss = naive(lambda d: sum(math.exp(-d / (2 * s)) for s in (0.5, 2.0)))
    assert mmd.mmd2(x, y, mmd.inverse_multiquadratic([0.5, 2.0]), estimate).item() == pytest.approx(
        imq, abs=1e-6
    )
    assert mmd.mmd2(x, y, mmd.rbf([0.5, 2.0]), estimate).item() == pytest.approx(gauss, abs=1e-6)


def test_mmd_is_zero_of_the_same_and_grows_with_the_distance():
    torch.manual_seed(0)
    x, y, k = torch.randn(500, 4), torch.randn(500, 4), mmd.rbf([1.0, 4.0])
    near, far = (mmd.mmd2(x, y + shift, k).item() for shift in (0.0, 1.0))
    assert abs(near) < 0.01 and far > 0.1
    (gradient,) = torch.autograd.grad(mmd.mmd2(x.requires_grad_(), y, k, "biased"), x)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_wae_loss(kernel):
    task, given = made(wae.WAE, kernel=kernel), batch()
    torch.manual_seed(1)
    found, _ = losses_of(task.eval(), given)
    torch.manual_seed(1)
    x, codes = given["image"], task.encode(given["image"])
    z = torch.randn_like(codes)
    cost = 0.05 * (((x + 1) / 2 - (task.decoder(codes) + 1) / 2) ** 2).sum((1, 2, 3)).mean()

    def k(d):
        C = 16 * torch.tensor(wae.SCALES)
        return (C / (C + d)).sum() if kernel == "imq" else (-d / C).exp().sum()

    def mean(a, b, same):
        each = [
            k(((u - v) ** 2).sum()) for i, u in enumerate(a) for j, v in enumerate(b) if not (same and i == j)
        ]
        return torch.stack(each).mean()

    divergence = mean(codes, codes, True) + mean(z, z, True) - 2 * mean(codes, z, False)
    torch.testing.assert_close(found["WAE"], (cost + 10 * divergence).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("divergence", ["mmd", "gan"])
def test_wae_brings_the_codes_to_the_prior(divergence):
    """Codes of many pictures: MMD to N(0, I) below a plain autoencoder's."""
    given = batch(64)
    settings = dict(latent=2, network="dense", hidden=32, learning_rate=5e-3)
    plain = made(ae.AE, **settings)
    descend(plain, given, 60, "MSE")
    ours = made(wae.WAE, divergence=divergence, rate_D=2e-3, lambda_divergence=10.0, **settings)
    descend(ours, given, 60, "cost")
    z, k = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)), wae.kernel("imq", 2)
    with torch.no_grad():
        theirs, mine = (mmd.mmd2(task.encode(given["image"]), z, k).item() for task in (plain, ours))
    assert mine < 0.5 * theirs


def test_gmmn_loss_is_the_root_of_the_biased_mmd():
    task, given = made(gmmn.GMMN), batch()
    torch.manual_seed(2)
    found, _ = losses_of(task, given)
    torch.manual_seed(2)
    noise = torch.randn(4, 10)
    fake, x = task.G(2 * Normal(0.0, 1.0).cdf(noise) - 1), (given["image"].flatten(1) + 1) / 2
    variances = [s * 256 / 784 for s in (2, 5, 10, 20, 40, 80)]

    def mean(a, b):
        return torch.stack(
            [sum((-((u - v) ** 2).sum() / (2 * s)).exp() for s in variances) for u in a for v in b]
        ).mean()

    expected = (mean(fake, fake) + mean(x, x) - 2 * mean(fake, x)).sqrt()
    torch.testing.assert_close(found["G"], expected.detach(), rtol=1e-3, atol=1e-4)


def test_gmmn_learns_in_pixels_and_in_codes():
    given = batch(32)
    losses = descend(made(gmmn.GMMN, batch_size=32), given, 40, "MMD")
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    settings = dict(space="codes", batch_size=32, steps=100, ae_hidden=64, learning_rate=5e-3)
    task = made(gmmn.GMMN, **settings)
    errors = descend(task, given, 32, "AE")
    assert errors[29] < 0.9 * errors[0] and math.isnan(errors[30]), "the autoencoder first, then G"
    assert task.generate(torch.randn(3, 10)).shape == (3, 1, 16, 16)
