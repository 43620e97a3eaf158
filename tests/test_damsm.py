"""The text encoder's own loss: how it is learned, and what it tells the generator (--lambda-text)."""

import dataclasses
import math

import pytest
import torch

import datasets
from models.common.text import Pairing, TextEncoder
from models.text.df_gan import DFGAN
from models.text.gan_cls import GANCLS
from models.text.stackgan import StackGAN
from tests.conftest import build
from translate.config import UserError
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:16", size=32)
METHODS = (GANCLS, StackGAN, DFGAN)


def batch(count=4):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


def learned(method, **changes):
    """A task after one update of its text encoder."""
    task = build(method, BIRDS, dataclasses.replace(method.tiny(), **changes)).train()
    task.step(batch(), 0, lambda name, loss: loss.backward())
    task.zero_grad()
    return task


@pytest.mark.parametrize("method", METHODS)
def test_it_moves_the_generator_alone(method):
    plain, taught = (learned(method, lambda_text=weight) for weight in (0.0, 5.0))
    found = []
    for task in (plain, taught):
        before = {name: value.clone() for name, value in task.pairing.state_dict().items()}
        losses = {}
        torch.manual_seed(1)
        logs = task.step(batch(), 1, losses.__setitem__)
        after = task.pairing.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items()), "it stays as it is"
        found.append((losses, logs))
    (losses, logs), (more, taught_logs) = found
    name = next(name for name in losses if name.startswith("G"))
    assert more[name].item() == pytest.approx(losses[name].item() + taught_logs["damsm"].item(), rel=1e-4)
    assert "damsm" not in logs and taught_logs["damsm"] > 0
    generator = getattr(taught, name)
    grads = torch.autograd.grad(more[name], list(generator.parameters()), allow_unused=True)
    assert all(torch.isfinite(g).all() for g in grads if g is not None)


def test_a_generator_learns_from_it_until_its_pictures_say_as_much_as_real_ones():
    torch.manual_seed(0)
    b, task = batch(), learned(DFGAN, lambda_text=3.0)
    adam = task.text_optimizer()["text"]
    for _ in range(30):
        adam.zero_grad()
        task.learn_text(b, lambda name, loss: loss.backward())
        adam.step()
    e = task.sentences(b["caption"])
    pictures = torch.randn(4, 3, 32, 32).mul(0.1).requires_grad_()
    move, losses = torch.optim.Adam([pictures], 0.05), []
    for _ in range(40):
        loss = task.damsm(pictures, e, b["image"])
        losses.append(loss.item())
        move.zero_grad()
        loss.backward()
        move.step()
    assert losses[0] > 3 and sum(losses[-5:]) / 5 < 0.1 * losses[0]
    task.pairing.contrast.log_scale.data.fill_(0)
    same = b["image"][:, :, 16:17, 16:17].expand(-1, -1, 32, 32)  # shifts do not change it
    assert task.damsm(same, e, same).item() == 0, "pictures that say as much cost nothing"
    assert task.damsm(same.roll(1, 0), e, same).item() > 0


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_that_saw_no_pictures_cannot_tell(method):
    task = build(method, BIRDS, dataclasses.replace(method.tiny(), lambda_text=5.0)).train()
    with pytest.raises(UserError, match="has not seen pictures.*--lambda-text 0"):
        task.step(batch(), 1, lambda name, loss: None)


def test_one_picture_teaches_no_words():
    task = build(GANCLS, BIRDS).train()
    with pytest.warns(UserWarning, match="--batch-size 1"):
        task.step(batch(1), 0, lambda name, loss: None)


def test_the_rate_falls_with_the_text_and_starts_anew():
    config = dataclasses.replace(GANCLS.tiny(), text_steps=4, steps=12, lr_schedule="linear")
    task = build(GANCLS, BIRDS, config)
    rates = [task.lr_scale(t, "G") for t in range(12)]
    assert rates[:4] == pytest.approx([0.5 + 0.5 * math.cos(math.pi * t / 4) for t in range(4)])
    assert rates[4:] == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_words_are_learned_soon():
    """Pictures alike but for a patch: told apart after 10 updates, which without norms change nothing."""
    torch.manual_seed(0)
    text, pairing = TextEncoder(12, 64, depth=1), Pairing(3, 64)
    shared, patches = 2 * torch.rand(3, 32, 32) - 1, torch.rand(8, 3, 1, 1) - 0.5
    adam = torch.optim.Adam([*text.parameters(), *pairing.parameters()], 1e-3)
    for _ in range(10):
        order = torch.randperm(8)
        x = shared.repeat(8, 1, 1, 1)
        x[:, :, 12:18, 12:18] = patches[order]
        loss = pairing(x + 0.1 * torch.randn_like(x), text(torch.stack([torch.full((8,), 2), order + 3], 1)))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert loss.item() < 0.25 * math.log(8)
