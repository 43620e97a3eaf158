"""GLO, IMLE, GLANN, RAE, the linear VAE and restoring: formulas, phases, and that they learn."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from models.latent import glann, glo, imle, linear_vae, rae, vae
from tests.test_latent import INFO, Alone, batch, change, descend, losses_of, made
from translate.inference.restore import restore
from translate.training.update import Update

# --- GLO, IMLE, GLANN -----------------------------------------------------------------------------------


def test_laplacian_pyramid_sums_to_the_picture_and_weighs_levels_alike():
    """Levels put together again are the picture (with the same interpolation); the distance is linear."""
    x = batch(2, 16)["image"]
    levels = glo.pyramid(x)
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    torch.testing.assert_close(levels[0] + glo.blurred(x), x)
    flat = torch.full((2, 1, 16, 16), 0.25)
    assert glo.laplacian(flat, torch.zeros_like(flat)).item() == pytest.approx(0.25), "only what is left over"
    naive = sum((a - b).abs().mean() for a, b in zip(glo.pyramid(x), glo.pyramid(flat), strict=True))
    torch.testing.assert_close(glo.laplacian(x, flat), naive, rtol=1e-4, atol=1e-6)


def test_glo_keeps_its_codes_in_the_ball_and_moves_those_of_the_batch():
    task = made(glo.GLO, rate_z=0.1)
    before = task.Z.weight.detach().clone()
    descend(task, batch(4), 3, "loss")
    used = []
    task.G.register_forward_pre_hook(lambda module, given: used.append(given[0].norm(dim=1).max().item()))
    descend(task, batch(4), 1, "loss")
    assert used[0] <= 1 + 1e-6
    moved = (task.Z.weight.detach() != before).any(1)
    assert moved[:4].all() and not moved[4:].any()
    z = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    torch.testing.assert_close(task.projected(z), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))


def test_glo_by_squares_alone():
    x, y = torch.randn(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    squares = made(glo.GLO, distance="squares").distance(x, y)
    torch.testing.assert_close(squares, (x - y).square().mean())
    torch.testing.assert_close(made(glo.GLO).distance(x, y), squares + glo.laplacian(x, y))


def test_glo_begins_at_principal_components():
    """Of twelve pictures: eight orthogonal directions that hold what the best eight do."""
    task, given = made(glo.GLO), batch(12)
    descend(task, given, 1, "loss")
    away = (given["image"] - given["image"].mean(0)).flatten(1)
    best = torch.linalg.svdvals(away)[:8].square().sum()
    assert (away @ task.R).square().sum() > 0.98 * best
    torch.testing.assert_close(task.R.T @ task.R, torch.eye(8), atol=1e-4, rtol=0)
    known = task.R.clone()
    descend(made(glo.GLO), batch(1), 1, "loss")
    task.step(batch(4), 1, Update(task, task.config, Alone(), None))
    assert torch.equal(task.R, known)


def test_glo_rebuilds_the_pictures_of_its_codes():
    task, given = made(glo.GLO, channels=8, rate_z=0.05), batch(4)
    losses = descend(task, given, 150, "MSE")
    assert losses[-1] < 0.1 * losses[0]
    task.eval()
    assert (task.preview(given)["reconstruction"] - given["image"]).square().mean() < 0.05


def test_nearest_is_the_naive_nearest():
    torch.manual_seed(0)
    x, candidates = torch.randn(6, 5), torch.randn(9, 5)
    naive = [min(range(9), key=lambda j: ((u - candidates[j]) ** 2).sum().item()) for u in x]
    assert imle.nearest(x, candidates).tolist() == naive
    with torch.autocast("cpu", torch.bfloat16):
        assert imle.nearest(x, candidates).tolist() == naive


def test_imle_pulls_the_nearest_sample_to_each_picture_and_drops_none():
    """Four pictures: in the end each has a sample nearby, which a mean of all would not be."""
    task, given = made(imle.IMLE, channels=8, candidates=8, learning_rate=5e-3), batch(4)
    errors = descend(task, given, 80, "MSE")
    assert errors[-1] < 0.4 * errors[0]
    task.eval()
    with torch.no_grad():
        samples = task.generate(torch.randn(200, 8, generator=torch.Generator().manual_seed(0)))
    apart = torch.cdist(given["image"].flatten(1), samples.flatten(1)).square().amin(1) / 256
    assert (apart < given["image"].var(0).mean()).all()


def test_imle_draws_candidates_anew_every_few_updates():
    task, given = made(imle.IMLE, refresh=2), batch(4)
    update, seen = Update(task, task.config, Alone(), None), []
    for t in range(4):
        task.step(given, t, update)
        seen.append(task.z.clone())
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3])


def test_glann_learns_codes_then_a_way_from_noise_to_them():
    settings = dict(
        steps=200, codes=24, candidates=200, hidden=32, learning_rate=5e-3, rate_T=1e-2, rate_z=0.05
    )
    task, given = made(glann.GLANN, channels=8, **settings), batch(12)
    errors = descend(task, given, 200, "code error")
    assert math.isnan(errors[99]) and errors[-1] < 0.3 * errors[100]
    torch.testing.assert_close(task.projected(task.Z.weight).norm(dim=1), torch.ones(12))
    task.eval()
    with torch.no_grad():
        samples = task.generate(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
        stray = task.G(task.projected(torch.randn(200, 8, generator=torch.Generator().manual_seed(0))))
    near, far = (
        torch.cdist(some.flatten(1), given["image"].flatten(1)).amin(1).mean() for some in (samples, stray)
    )
    assert near < 0.85 * far, "codes from T are pictures, random ones need not be"


def test_glann_leads_noise_to_codes_of_pictures_that_were_seen():
    """Twelve pictures, of which a short phase one saw three: the other codes are still random."""
    task = made(glann.GLANN, steps=4, codes=24)
    descend(task, batch(3), 2, "loss")
    asked = []
    task.projected = lambda z: asked.append(z) or glann.GLANN.projected(task, z)
    task.step(batch(3), 2, Update(task, task.config, Alone(), None))
    known = task.Z.weight.detach()[:3]
    assert len(asked[0]) > 3 and torch.cdist(asked[0], known).amin(1).max() < 1e-3


def test_glann_halves_its_rate_nine_times_in_phase_one():
    task = made(glann.GLANN, steps=1000, glo_share=0.8)
    assert [task.lr_scale(t, "GLO") for t in (0, 79, 80, 799)] == [1, 1, 0.5, 0.5**9]
    task = made(glann.GLANN, steps=1000, glo_share=0.8, lr_schedule="linear")
    assert [task.lr_scale(t, "T") for t in (0, 600, 800, 950)] == pytest.approx([1, 0.5, 1, 0.5])
    assert task.lr_scale(800, "T") == 1


# --- RAE and the linear VAE -----------------------------------------------------------------------------


def test_mixture_density_against_torch():
    torch.manual_seed(0)
    density = rae.Mixture(3, 2).eval()
    with torch.no_grad():
        for parameter in density.parameters():
            parameter.normal_(0, 0.5)
        density.norm.running_mean.normal_()
        density.norm.running_var.uniform_(0.5, 2)
    z = torch.randn(5, 3)
    scale = density.deviation()
    L, pi = density.triangles(), density.weights.softmax(0)
    parts = [
        MultivariateNormal(m, precision_matrix=low @ low.T) for m, low in zip(density.mean, L, strict=True)
    ]
    inner = (z - density.norm.running_mean) / scale
    expected = sum(p * part.log_prob(inner).exp() for p, part in zip(pi, parts, strict=True)).log()
    torch.testing.assert_close(density.log_density(z), expected - scale.log().sum(), rtol=1e-4, atol=1e-4)
    drawn = density(torch.randn(40_000, 4))
    mean = sum(p * part.mean for p, part in zip(pi, parts, strict=True)) * scale + density.norm.running_mean
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.05, rtol=0.05)
    assert density.log_density(drawn).mean() > density.log_density(drawn + 3).mean()
    torch.testing.assert_close(density(density.noise(z)), z, rtol=1e-4, atol=1e-4)


def test_rae_terms():
    task, given = made(rae.RAE, network="dense", hidden=6, beta=0.5, lambda_reg=0.1), batch()
    found, _ = losses_of(task, given)
    x, z = given["image"], task.encoder(given["image"])
    cost = ((x - task.decoder(z)) ** 2).sum((1, 2, 3)).mean() / 4
    size = sum((p**2).sum() for p in task.decoder.parameters())
    expected = cost + 0.25 * (z**2).sum(1).mean() + 0.1 * size
    torch.testing.assert_close(found["RAE"], expected.detach())


def test_rae_gradient_penalty_is_the_jacobians_norm():
    task = made(rae.RAE, network="dense", hidden=6, latent=3, regulariser="gradient")
    z = torch.randn(1, 3)
    jacobian = torch.autograd.functional.jacobian(lambda z: task.decoder(z).flatten(), z)
    torch.manual_seed(0)
    ours = torch.stack([task.regularised(z.clone()) for _ in range(500)]).mean()
    torch.testing.assert_close(ours, jacobian.square().sum(), rtol=0.15, atol=0)


def test_rae_fits_its_density_last_and_moves_nothing_else_then():
    task, given = made(rae.RAE, steps=120, network="dense", hidden=16, density_share=0.5), batch(32)
    descend(task, given, 60, "MSE")
    kept = {k: v.clone() for k, v in task.state_dict().items() if not k.startswith("density")}
    update = Update(task, task.config, Alone(), None)
    update.schedule = None
    values = [task.train().step(given, t, update)["-log q(z)"].item() for t in range(60, 120)]
    assert values[-1] < values[0] - 1
    assert all(torch.equal(task.state_dict()[k], v) for k, v in kept.items())


def some_linear(latent: int = 3):
    torch.manual_seed(0)
    task = linear_vae.LinearVAE(change(linear_vae.LinearVAE, size=8, latent=latent), INFO)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.normal_(0, 0.4)
    return task, torch.randn(6, 64)


def test_linear_vae_exact_likelihood():
    task, x = some_linear()
    W, s2 = task.decoder.weight, (2 * task.log_s).exp()
    exact = MultivariateNormal(task.decoder.bias, W @ W.T + s2 * torch.eye(64))
    torch.testing.assert_close(task.log_likelihood(x), exact.log_prob(x), rtol=1e-4, atol=1e-2)


def test_linear_vae_gap_is_the_divergence_from_the_true_posterior():
    """log p(x) = ELBO + KL(q(z|x) ‖ p(z|x)), to the last digits; and the ELBO is its own Monte Carlo mean."""
    task, x = some_linear()
    task, x = task.double(), x.double()
    with torch.no_grad():
        W, s2, M = task.decoder.weight, (2 * task.log_s).exp(), task.precision()
        r = x - task.decoder.bias
        posterior = MultivariateNormal((torch.linalg.inv(M) @ W.T @ r.T).T, s2 * torch.linalg.inv(M))
        q = MultivariateNormal(task.V(r), torch.diag(task.log_D.exp()))
        gap = task.log_likelihood(x) - task.elbo(x)
        torch.testing.assert_close(gap, kl_divergence(q, posterior), rtol=1e-8, atol=1e-8)
        assert (gap > 0).all()
        z = q.sample((4000,))
        inside = Normal(z @ W.T + task.decoder.bias, s2.sqrt()).log_prob(x).sum(2)
        sampled = (inside + Normal(0.0, 1.0).log_prob(z).sum(2) - q.log_prob(z)).mean(0)
        torch.testing.assert_close(sampled, task.elbo(x), rtol=0.01, atol=1.0)


def test_linear_vae_learns_principal_components_and_closes_its_gap():
    """At the optimum log p is that of probabilistic PCA, known from the eigenvalues of the covariance."""
    torch.manual_seed(0)
    axes = torch.linalg.qr(torch.randn(64, 2))[0] * torch.tensor([3.0, 1.5])
    x = torch.randn(200, 2) @ axes.T + 0.3 * torch.randn(200, 64)
    task = linear_vae.LinearVAE(change(linear_vae.LinearVAE, size=8, latent=2, learning_rate=4e-2), INFO)
    given = {"image": x.view(200, 1, 8, 8)}
    gaps = descend(task, given, 250, "gap")
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    s2 = values[2:].mean()
    best = -0.5 * (64 * math.log(2 * math.pi) + values[:2].log().sum() + 62 * s2.log() + 64)
    assert gaps[-1] < 0.1 < 10 * gaps[-1] + gaps[0]
    assert task.log_likelihood(x).mean().item() == pytest.approx(best.item(), abs=1.0)


# --- restoring ------------------------------------------------------------------------------------------


def test_restoring_beats_what_it_was_given():
    """By a decoder that knows the pictures: less error than the noisy ones, and hidden halves come back."""
    task, given = made(vae.VAE, network="dense", hidden=64, learning_rate=5e-3), batch(8)
    descend(task, given, 200, "KL")
    task.eval()
    x = given["image"]
    noisy = x + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    cleaned, z = restore(task, noisy, deviation=0.5, starts=2, steps=60)
    assert z.shape == (8, 8) and (cleaned - x).square().mean() < 0.5 * (noisy - x).square().mean()
    mask = torch.zeros(8, 1, 16, 16)
    mask[..., 8:] = 1
    hidden = x * (1 - mask)
    filled, _ = restore(task, hidden, mask, deviation=0.1, starts=2, steps=60)
    hole = mask.bool()
    assert (filled - x)[hole].square().mean() < 0.5 * (hidden - x)[hole].square().mean()
    assert all(parameter.requires_grad for parameter in task.parameters())
