"""Norms that leave a picture alone, spectral norm, and features that compare the pictures of a batch."""

import math

import pytest
import torch
from torch import nn

from models.common import normalise
from models.gan import dcgan, gan
from tests.test_games import batch, built


def test_spectral_norm_is_the_largest_singular_value():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.Linear(6, 5))
    truth = [torch.linalg.svdvals(m.weight.detach().flatten(1))[0] for m in (network[0], network[2])]
    transposed = network[1].weight.detach().transpose(0, 1).flatten(1)
    truth.insert(1, torch.linalg.svdvals(transposed)[0])
    raw = [m.weight.detach().clone() for m in network]
    normalise.spectrally(network)
    for _ in range(20):  # the power method goes on with each step of training
        now = [m.weight for m in network]
    for before, after, sigma in zip(raw, now, truth, strict=True):
        assert (before / after).median().item() == pytest.approx(sigma.item(), rel=0.01)


@pytest.mark.parametrize("shape", [(6,), (6, 5, 4)])
@pytest.mark.parametrize("kind", ["reference", "virtual"])
def test_reference_norms_by_a_naive_loop(kind, shape):
    torch.manual_seed(0)
    R, x = torch.randn(7, *shape) * 3 + 1, torch.randn(4, *shape)
    layer = normalise.norm(kind, 6, 7, vectors=len(shape) == 1)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    found = layer(torch.cat([R, x]))

    def naive(v, statistics_of):
        axes = [0, *range(2, statistics_of.dim())]
        mean = statistics_of.mean(axes)
        deviation = (statistics_of.var(axes, unbiased=False) + 1e-5).sqrt()
        view = (-1, *[1] * (v.dim() - 1))
        return (v - mean.view(view)) / deviation.view(view) * layer.weight.view(view) + layer.bias.view(view)

    expected = [naive(v, R) for v in R]
    expected += [naive(v, torch.cat([R, v[None]]) if kind == "virtual" else R) for v in x]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "alone"), [("reference", True), ("virtual", True), ("layer", True), ("batch", False)]
)
@pytest.mark.parametrize("method", [gan.GAN, dcgan.DCGAN])
def test_which_norms_leave_a_picture_alone(method, kind, alone):
    """G's picture of z, and D's answer to x, with other batch mates: batch norm changes both."""
    if method is gan.GAN and kind == "layer":
        kind = "none"
    task, update = (
        built(method, norm_g=kind, norm_d=kind, dropout=False)
        if method is gan.GAN
        else built(method, norm_g=kind, norm_d=kind)
    )
    task.step(batch(), 0, update)
    if kind in normalise.REFERENCES:
        assert torch.equal(task.D.reference, batch()["image"]), "the first pictures are the reference"
    z, x = torch.randn(4, 8), batch(first=8)["image"]
    for network, given in ((task.G, z), (task.D, x)):
        whole, half = network(given), network(torch.cat([given[:1], -given[1:]]))
        assert torch.allclose(whole[0], half[0], atol=1e-5) == alone


def test_a_reference_batch_is_part_of_the_state():
    task, update = built(dcgan.DCGAN, norm_d="virtual")
    task.step(batch(), 0, update)
    other, _ = built(dcgan.DCGAN, norm_d="virtual")
    other.load_state_dict(task.state_dict())
    assert torch.equal(other.D.reference, batch()["image"])


# --- features of a batch ---


def test_minibatch_discrimination_by_naive_loops():
    torch.manual_seed(0)
    layer = normalise.MinibatchDiscrimination(3, kernels=4, dimensions=2)
    nn.init.normal_(layer.T)
    f = torch.randn(5, 3)
    M = [[sum(f[i, a] * layer.T[a, b] for a in range(3)) for b in range(4)] for i in range(5)]
    near = [
        [sum(math.exp(-float((M[i][b] - M[j][b]).abs().sum())) for j in range(5)) for b in range(4)]
        for i in range(5)
    ]
    found = layer(f)
    torch.testing.assert_close(found, torch.cat([f, torch.tensor(near)], 1), rtol=1e-5, atol=1e-5)
    assert torch.allclose(layer(f[:1].expand(5, 3))[:, 3:], torch.tensor(5.0)), "collapsed batches are seen"


def test_minibatch_deviation_by_hand():
    f = torch.tensor([[1.0, 5.0], [3.0, 5.0]])  # deviations 1 and 0
    found = normalise.MinibatchStddev(2)(f)
    assert torch.allclose(found[:, 2], torch.tensor(0.5), atol=1e-4) and torch.equal(found[:, :2], f)


@pytest.mark.parametrize("kind", ["stddev", "discrimination"])
@pytest.mark.parametrize("method", [gan.GAN, dcgan.DCGAN])
def test_discriminators_compare_a_batch(kind, method):
    plain, compared = (built(method, minibatch=m)[0].D.eval() for m in ("none", kind))
    x = batch()["image"]
    mates = torch.cat([x[:1], x[:1], x[:1], x[:1]])
    assert compared(x).shape == plain(x).shape
    assert torch.equal(plain(x)[0], plain(mates)[0]) and not torch.equal(compared(x)[0], compared(mates)[0])
