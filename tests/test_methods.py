"""The objectives and networks of the methods against their papers."""

import dataclasses
import math

import pytest
import torch

from models.common import objectives, translators
from models.gan import dcgan
from models.latent import vae
from models.translation import cyclegan, pix2pix
from translate.task import DataInfo, UserError

INFO = DataInfo(kind="", name="test", count=1, channels={"a": 3, "b": 3, "image": 3})


def losses_of(task, batch, t=0) -> tuple[dict[str, torch.Tensor], dict]:
    """What `step` would descend, by optimizer."""
    given = {}
    logs = task.step(batch, t, lambda name, loss: given.__setitem__(name, loss.detach()))
    return given, logs


def pair(config, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (config.batch_size, 3, config.size, config.size)
    return {key: torch.rand(shape, generator=generator) * 2 - 1 for key in ("a", "b")}


def change(config, **values):
    return dataclasses.replace(config, **values)


@pytest.mark.parametrize("game", objectives.GAMES)
def test_pix2pix_objective(game):
    config = change(pix2pix.Pix2Pix.tiny(), objective=game)
    task, batch = pix2pix.Pix2Pix(config, INFO), pair(config)
    given, _ = losses_of(task, batch)
    x, y, fake = batch["a"], batch["b"], task.G(batch["a"])
    real_logits, fake_logits = task.D(torch.cat([x, y], 1)), task.D(torch.cat([x, fake], 1))
    g = objectives.game(game)
    fool = g.fool(task.D, torch.cat([x, fake], 1), torch.cat([x, y], 1))
    torch.testing.assert_close(given["G"], fool + 100 * (y - fake).abs().mean())
    torch.testing.assert_close(given["D"], 0.5 * g.discriminate(real_logits, fake_logits))


@pytest.mark.parametrize(
    ("norm", "norm_D"), [("instance", "instance"), ("batch", "batch"), ("none", "batch")]
)
@pytest.mark.parametrize("game", objectives.GAMES)
def test_cyclegan_objective(game, norm, norm_D):
    config = change(cyclegan.CycleGAN.tiny(), objective=game, norm=norm, norm_D=norm_D)
    task, batch = cyclegan.CycleGAN(config, INFO), pair(config)
    given, _ = losses_of(task, batch)
    x, y, G, F = batch["a"], batch["b"], task.G, task.F
    fake_y, fake_x, g = G(x), F(y), objectives.game(game)

    def l1(a, b):
        return (a - b).abs().mean()

    fool = g.fool(task.D_Y, fake_y, y) + g.fool(task.D_X, fake_x, x)
    cycle = l1(F(fake_y), x) + l1(G(fake_x), y)
    identity = l1(G(y), y) + l1(F(x), x)
    torch.testing.assert_close(given["G"], fool + 10 * cycle + 5 * identity)
    d = g.discriminate(task.D_X(x), task.D_X(fake_x)) + g.discriminate(task.D_Y(y), task.D_Y(fake_y))
    torch.testing.assert_close(given["D"], 0.5 * d)


def test_discriminators_may_be_wider_than_generators():
    task = cyclegan.CycleGAN(change(cyclegan.CycleGAN.tiny(), channels_D=6, norm_D="none"), INFO)
    assert task.D_X[0].out_channels == task.D_Y[0].out_channels == 6 and task.G[1].out_channels == 4
    assert task.D_X[2].bias is not None and task.D_X[2].weight.std() > 0.05, "no norm: He's initialisation"
    assert cyclegan.CycleGAN(cyclegan.CycleGAN.tiny(), INFO).D_X[0].out_channels == 4


def test_noise_of_the_cycle_meets_what_goes_back_and_nothing_else():
    config = change(cyclegan.CycleGAN.tiny(), cycle_noise=0.5)
    task, batch = cyclegan.CycleGAN(config, INFO), pair(config)
    torch.manual_seed(3)
    _, logs = losses_of(task, batch)
    (x, y), (G, F) = batch.values(), (task.G, task.F)
    torch.manual_seed(3)
    fake_x, fake_y = F(y), G(x)
    noise_x, noise_y = 0.5 * torch.randn_like(x), 0.5 * torch.randn_like(y)
    cycle = (F(fake_y + noise_y) - x).abs().mean() + (G(fake_x + noise_x) - y).abs().mean()
    torch.testing.assert_close(logs["cycle"], cycle.detach())
    g = objectives.game(config.objective)
    fool = g.fool(task.D_Y, fake_y, y) + g.fool(task.D_X, fake_x, x)
    torch.testing.assert_close(logs["G_fool"], fool.detach())


def test_cyclegan_without_cycle_is_two_plain_gans():
    config = change(cyclegan.CycleGAN.tiny(), lambda_cycle=0.0)
    _, logs = losses_of(cyclegan.CycleGAN(config, INFO), pair(config))
    assert logs["cycle"] == 0 and logs["identity"] == 0 and logs["G_fool"] > 0


def test_cyclegan_identity_needs_equal_channels():
    info = dataclasses.replace(INFO, channels={"a": 1, "b": 3})
    with pytest.raises(UserError, match="--identity 0"):
        cyclegan.CycleGAN(cyclegan.CycleGAN.tiny(), info)
    task = cyclegan.CycleGAN(change(cyclegan.CycleGAN.tiny(), identity=0.0), info)
    assert task.generate(image=torch.randn(1, 1, 16, 16), direction="AtoB").shape == (1, 3, 16, 16)
    assert task.generate(image=torch.randn(1, 3, 16, 16), direction="BtoA").shape == (1, 1, 16, 16)


@pytest.mark.parametrize("patch", [1, 16, 70, 286])
def test_patch_gan_sees_exactly_its_patch(patch):
    """The gradient of one answer with respect to the input covers `patch` pixels in each direction."""
    torch.manual_seed(0)
    D = translators.PatchGAN(3, 2, patch, "none").double()
    x = torch.randn(1, 3, 600, 600, dtype=torch.double, requires_grad=True)
    answers = D(x)
    middle = answers.shape[-1] // 2
    (gradient,) = torch.autograd.grad(answers[0, 0, middle, middle], x)
    seen = gradient.abs().sum((0, 1)) > 0
    assert seen.any(0).sum() == patch and seen.any(1).sum() == patch


def test_unet_is_the_published_network():
    """54.41 M parameters with batch norm: what the authors' PyTorch code prints."""
    G = translators.UNet(3, 3, 64, 8, "batch", "transposed", dropout=True)
    assert sum(p.numel() for p in G.parameters()) == pytest.approx(54.41e6, rel=1e-3)
    noisy = [any(isinstance(m, torch.nn.Dropout) for m in layer) for layer in G.up]
    assert noisy == [True] * 3 + [False] * 5, "CD512-CD512-CD512-C512-... from the innermost"
    with torch.no_grad():
        assert G.eval()(torch.randn(1, 3, 256, 256)).shape == (1, 3, 256, 256)


@pytest.mark.parametrize("kind", ["instance", "batch"])
@pytest.mark.parametrize("up", ["transposed", "resize"])
def test_unet_skips_reach_the_output(kind, up):
    """Every encoder level's output is used: blanking any one of them changes the picture."""
    torch.manual_seed(0)
    G = translators.UNet(1, 1, 2, 5, kind, up, dropout=False).eval()
    x = torch.randn(2, 1, 32, 32)
    plain = G(x)
    for level in G.down[:-1]:
        hook = level.register_forward_hook(lambda module, inputs, output: output * 0)
        assert not torch.allclose(G(x), plain)
        hook.remove()


def test_pix2pix_noise_is_dropout_and_off_unless_asked():
    config = change(pix2pix.Pix2Pix.tiny(), generator="unet128", size=128, channels=2)
    task = pix2pix.Pix2Pix(config, INFO).eval()
    x = torch.randn(1, 3, 128, 128)
    assert torch.equal(task.generate(image=x), task.generate(image=x))
    noisy = pix2pix.Pix2Pix(change(config, noise_in_use=True), INFO).eval()
    assert not torch.equal(noisy.generate(image=x), noisy.generate(image=x))


@pytest.mark.parametrize("task_class", [pix2pix.Pix2Pix, cyclegan.CycleGAN])
def test_sizes_the_generator_cannot_take_are_refused(task_class):
    with pytest.raises(UserError, match="multiples of 256, not 128"):
        task_class(change(task_class.tiny(), generator="unet256", size=128), INFO)


def test_pix2pix_learns():
    """Four pairs of smooth pictures are learned by heart: the L1 error falls to less than a third."""
    from translate.training.loop import Update

    class Alone:
        num_processes, device = 1, torch.device("cpu")

    config = change(pix2pix.Pix2Pix.tiny(), channels=8, learning_rate=2e-3, batch_size=4)
    torch.manual_seed(0)
    task = pix2pix.Pix2Pix(config, INFO)
    coarse = {key: x[..., :4, :4] for key, x in pair(config).items()}
    batch = {key: torch.nn.functional.interpolate(x, size=16, mode="bicubic") for key, x in coarse.items()}
    update = Update(task, config, Alone(), None)
    errors = [task.step(batch, t, update)["L1"].item() for t in range(80)]
    assert sum(errors[-5:]) < sum(errors[:5]) / 3


def test_vae_kl_is_the_integral():
    """KL(N(μ, σ²) ‖ N(0, 1)) = E_q[log q - log p], estimated on a fine grid."""
    mu, log_var = torch.tensor([[0.7, -1.2]]), torch.tensor([[math.log(0.5), 0.3]])
    x = torch.linspace(-12, 12, 20001, dtype=torch.double)[:, None]
    q = torch.distributions.Normal(mu[0].double(), (0.5 * log_var[0].double()).exp())
    p = torch.distributions.Normal(0.0, 1.0)
    integral = (q.log_prob(x).exp() * (q.log_prob(x) - p.log_prob(x))).sum() * (24 / 20000)
    assert vae.kl(mu, log_var).item() == pytest.approx(integral.item(), rel=1e-4)
    assert vae.kl(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_vae_loss_is_the_negative_elbo():
    config = change(vae.VAE.tiny(), beta=4.0, deviation=0.5)
    task = vae.VAE(config, INFO)
    x = pair(config)["a"]
    torch.manual_seed(3)
    given, _ = losses_of(task, {"image": x})
    torch.manual_seed(3)
    mu, log_var = task.posterior(x)
    z = mu + (log_var / 2).exp() * torch.randn_like(mu)
    picture = torch.distributions.Normal(task.decoder(z), 0.5)
    reconstruction = -picture.log_prob(x).flatten(1).sum(1).mean()
    torch.testing.assert_close(
        given["VAE"], reconstruction + 4 * vae.kl(mu, log_var).mean(), rtol=1e-4, atol=1e-2
    )


def test_dcgan_objective_and_shapes():
    config = dcgan.DCGAN.tiny()
    task = dcgan.DCGAN(config, INFO)
    task.eval()  # batch norm's running statistics must not move between the two computations
    x = pair(config)["a"]
    torch.manual_seed(1)
    given, _ = losses_of(task, {"image": x})
    torch.manual_seed(1)
    fake = task.G(torch.randn(config.batch_size, config.latent))
    softplus = torch.nn.functional.softplus
    torch.testing.assert_close(given["D"], softplus(-task.D(x)).mean() + softplus(task.D(fake)).mean())
    torch.testing.assert_close(given["G"], softplus(-task.D(fake)).mean())
    assert fake.shape == (config.batch_size, 3, 16, 16)


def test_dcgan_is_the_published_network_at_64():
    """Radford et al. 2016, figure 1, with the authors' width 64."""
    G = dcgan.Generator(100, 64, 64, 3)
    shapes = []
    for layer in G.layers:
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    G(torch.randn(2, 100))
    assert shapes == [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]


@pytest.mark.parametrize("size", [6, 50, 100])
def test_dcgan_and_vae_want_sizes_that_can_be_halved(size):
    for task in (dcgan.DCGAN, vae.VAE):
        with pytest.raises(UserError, match="power of two"):
            task(change(task.tiny(), size=size), INFO)


@pytest.mark.parametrize("size", [8, 28, 48, 80])
def test_dcgan_draws_and_judges_the_sizes_it_admits(size):
    picture = dcgan.Generator(5, 2, size, 1)(torch.randn(2, 5))
    assert picture.shape == (2, 1, size, size)
    assert dcgan.Discriminator(1, 2, size, 3)(picture).shape == (2, 3, 1, 1)
