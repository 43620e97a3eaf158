"""GAN-CLS: three kinds of pairs, interpolated sentences, one-sided smoothing."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

import datasets
from models.common import objectives
from models.text.gan_cls import GANCLS, Discriminator, Generator
from tests.conftest import build
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=16)


def batch(count=4):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


def losses_of(task, b, t=2, seed=0):
    found = {}
    torch.manual_seed(seed)
    task.step(b, t, lambda name, loss: found.update({name: loss.item()}))
    return found


@pytest.mark.parametrize("size", [16, 64, 128])
def test_sizes(size):
    G, D = Generator(4, 6, 5, 4, size, 3), Discriminator(6, 5, 4, size, 3)
    assert G(torch.randn(2, 4), torch.randn(2, 6)).shape == (2, 3, size, size)
    assert D(torch.rand(2, 3, size, size)).shape == (2, 4 * size // 8, 4, 4)
    assert D.match(D(torch.rand(2, 3, size, size)), torch.randn(2, 6)).shape == (2,)


def test_the_widths_are_those_of_dcgan():
    G = Generator(100, 256, 128, 64, 64, 3)
    widths = [m.out_channels for m in G.layers if isinstance(m, torch.nn.ConvTranspose2d)]
    assert widths == [512, 256, 128, 64, 3] and G.layers[0].in_channels == 228


def test_the_loss_of_three_pairs_by_hand():
    real, wrong, fake = torch.tensor([0.5]), torch.tensor([-1.0]), torch.tensor([2.0])
    p = [1 / (1 + math.exp(-v)) for v in (0.5, -1.0, 2.0)]
    expected = -math.log(p[0]) - 0.5 * math.log(1 - p[1]) - 0.5 * math.log(1 - p[2])
    loss_of_D = objectives.game("non-saturating").discriminate
    assert loss_of_D(real, fake, mismatched=wrong).item() == pytest.approx(expected)
    alone = -math.log(p[0]) - math.log(1 - p[2])
    assert loss_of_D(real, fake).item() == pytest.approx(alone)
    smooth = -0.9 * math.log(p[0]) - 0.1 * math.log(1 - p[0]) - math.log(1 - p[2])
    assert loss_of_D(real, fake, 0.9).item() == pytest.approx(smooth), "never on fakes"


def test_wrong_captions_count_unless_switched_off():
    for matching, equal in ((True, False), (False, True)):
        task = build(GANCLS, BIRDS, dataclasses.replace(GANCLS.tiny(), matching=matching)).eval()
        found = [losses_of(task, batch() | {"wrong": [w] * 4})["D"] for w in ("a red bird", "blue wings")]
        assert (found[0] == found[1]) == equal


def test_interpolation_adds_sentences_between_two():
    plain = build(GANCLS, BIRDS).eval()
    between = build(GANCLS, BIRDS, dataclasses.replace(GANCLS.tiny(), interpolate=True)).eval()
    b = batch()
    first, both = losses_of(plain, b)["G"], losses_of(between, b)["G"]
    torch.manual_seed(0)
    torch.randn(4, plain.config.noise)
    z = torch.randn(4, plain.config.noise)
    with torch.no_grad():
        e = plain.text(plain.tokenizer(b["caption"]))
        middle = torch.stack([(e[i] + e[i - 1]) / 2 for i in range(4)])
        extra = F.softplus(-plain.D.match(plain.D(plain.G(z, middle)), middle)).mean().item()
    assert both == pytest.approx(first + extra, rel=1e-4)
