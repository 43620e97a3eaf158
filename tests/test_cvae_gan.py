"""CVAE-GAN: what each phase learns, its losses by hand, what captions leave to the encoder."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

import datasets
from models.text.cvae_gan import CVAEGAN, Discriminator, Encoder, Generator
from tests.conftest import build
from translate.config import UserError
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=32)
TEXT, VAE, GAME = 0, 1, 2  # updates of tiny()


def batch(count=4):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


@pytest.fixture(scope="module")
def task():
    torch.manual_seed(0)
    return build(CVAEGAN, BIRDS).train()


@pytest.mark.parametrize("size", [32, 64, 128])
def test_sizes(size):
    G, D = Generator(4, 6, 4, 8, size, 3), Discriminator(6, 4, 8, size, 3, joint=8)
    e = torch.randn(2, 6)
    picture = G(torch.randn(2, 4), e)
    assert picture.shape == (2, 3, size, size) and picture.abs().max() <= 1
    assert D.match(D(picture), e).shape == (2, 1, 1, 1)
    mu, log_var = Encoder(4, 6, 4, 8, size, 3)(picture, e)
    assert mu.shape == log_var.shape == (2, 4)


def test_another_size_is_a_sentence():
    with pytest.raises(UserError, match="CVAE-GAN draws 32, 64, 128, 256 px, not --size 48"):
        build(CVAEGAN, BIRDS, dataclasses.replace(CVAEGAN.tiny(), size=48))


def stepped(task, b, t, seed=5):
    """The losses by optimizer, in order, and what is logged."""
    losses = []
    torch.manual_seed(seed)
    logs = task.step(b, t, lambda name, loss: losses.append((name, loss.item())))
    return losses, logs


def test_text_then_reconstruction_then_the_game(task):
    names = [[name for name, _ in stepped(task, batch(), t)[0]] for t in (TEXT, VAE, GAME)]
    assert names == [["text"], ["G"], ["D", "G"]]


def test_the_first_phase_is_a_conditional_vae(task):
    b = batch()
    losses, logs = stepped(task, b, VAE)
    torch.manual_seed(5)
    with torch.no_grad():
        e = task.sentences(b["caption"])
        mu, log_var = task.E(b["image"], e)
        q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
        made = task.G(mu + q.scale * torch.randn_like(mu), e)
        error = F.l1_loss(made, b["image"])
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0, 1)).sum(1).mean()
    assert losses[0][1] == pytest.approx((error + task.config.beta * kl).item(), rel=1e-5)
    assert logs["error"].item() == pytest.approx(error.item()) and logs["KL"].item() == pytest.approx(
        kl.item()
    )


def test_the_game_is_df_gans_on_reconstructions_and_pictures_from_noise(task):
    b, c = batch(), task.config
    losses, logs = stepped(task, b, GAME + 1)  # no penalty in this update
    assert (GAME + 1) % c.penalty_every
    torch.manual_seed(5)
    with torch.no_grad():
        x, e, wrong = b["image"], task.sentences(b["caption"]), task.sentences(b["wrong"])
        mu, log_var = task.E(x[:2], e[:2])
        noise = torch.randn(4, c.noise)
        fake = task.G(torch.cat([mu + (0.5 * log_var).exp() * noise[:2], noise[2:]]), e)
        D = lambda x, e: task.D.match(task.D(x), e)  # noqa: E731
        loss_D = F.relu(1 - D(x, e)).mean()
        loss_D += 0.5 * F.relu(1 + D(fake, e)).mean() + 0.5 * F.relu(1 + D(x, wrong)).mean()
        kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1).mean()
        loss_G = F.l1_loss(fake[:2], x[:2]) + c.beta * kl - c.lambda_adversarial * D(fake, e).mean()
        loss_G += c.lambda_features * F.mse_loss(task.D(fake[:2]), task.D(x[:2]))
    assert dict(losses) == pytest.approx({"D": loss_D.item(), "G": loss_G.item()}, rel=1e-4)
    assert set(logs) == {"error", "KL", "D", "fool", "features"}


def test_the_penalty_comes_now_and_then_and_weighs_so_much_more(task):
    b, every = batch(), task.config.penalty_every
    (_, with_penalty), _ = stepped(task, b, every)[0]
    (_, without), _ = stepped(task, b, every + 1)[0]
    penalty = task.penalty(b["image"], task.sentences(b["caption"]))
    assert with_penalty - without == pytest.approx(every * penalty.item(), rel=1e-2, abs=1e-6)


def test_rates():
    """The first phase has its own; the schedule counts the game alone."""
    c = dataclasses.replace(CVAEGAN.tiny(), text_steps=10, vae_steps=10, steps=120, lr_schedule="cosine")
    task = build(CVAEGAN, BIRDS, c)
    assert task.lr_scale(0, "G") == 1 and task.lr_scale(9, "G") < 0.1
    assert task.lr_scale(10, "G") == task.lr_scale(19, "G") == c.rate_vae / c.learning_rate
    assert (
        task.lr_scale(20, "G") == 1
        and task.lr_scale(70, "G") == pytest.approx(0.5)
        and task.lr_scale(119, "G") < 0.01
    )


def test_the_encoder_tells_what_the_caption_leaves_open():
    """Two birds of one caption: after some updates each reconstruction is nearer to its own bird."""
    torch.manual_seed(0)
    c = dataclasses.replace(
        CVAEGAN.tiny(), vae_steps=100, beta=1e-5, channels=8, most=16, channels_D=8, most_D=16
    )
    task = build(CVAEGAN, BIRDS, c).train()
    b = batch(2) | {"caption": ["a bird", "a bird"]}
    adam = torch.optim.Adam([*task.G.parameters(), *task.E.parameters()], 3e-3)

    def update(name, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    for t in range(80):
        task.step(b, c.text_steps + t, update)
    with torch.no_grad():
        e = task.sentences(b["caption"])
        made = task.G(task.E(b["image"], e)[0], e)
        error = (made[:, None] - b["image"][None]).abs().flatten(2).mean(2)
    assert error[0, 0] < 0.6 * error[0, 1] and error[1, 1] < 0.6 * error[1, 0]
