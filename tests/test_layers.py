import copy

import pytest
import torch
import torch.nn.functional as F

from models.common.layers import (
    InstanceNorm,
    LowPass,
    ReflectionPad,
    ToPicture,
    init_normal,
    upsample,
)
from models.common.muon import Muon
from models.common.pool import Pool
from models.common.translators import ResNetGenerator, init_he
from translate.task import UserError
from translate.training import checkpoint


def test_instance_norm_is_the_formula():
    x = torch.randn(3, 5, 7, 6) * 4 + 2
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-5).sqrt()
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(InstanceNorm()(x.contiguous(memory_format=layout)), expected)


def test_instance_norm_has_first_and_second_derivatives():
    x = torch.randn(2, 3, 4, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(InstanceNorm(), (x,))
    assert torch.autograd.gradgradcheck(InstanceNorm(), (x,))


def test_reflection_pad_keeps_bfloat16_under_autocast():
    x = torch.arange(4.0).reshape(1, 1, 2, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        padded = ReflectionPad(1)(x)
    assert padded.dtype == torch.bfloat16
    assert padded[0, 0].tolist() == [[3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0]]


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (7, 8)])
def test_to_picture_is_a_plain_convolution(size):
    x = torch.randn(2, 5, size[0] + 6, size[1] + 6, requires_grad=True)
    layer = ToPicture(5, 3, 7)
    expected = F.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected)
    towards = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (x, layer.weight, layer.bias), towards)
    for got, want in zip(
        torch.autograd.grad(layer(x), (x, layer.weight, layer.bias), towards), wanted, strict=True
    ):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("kind", ["transposed", "resize"])
def test_upsample_doubles(kind, kernel):
    assert upsample(kind, 6, 4, kernel)(torch.randn(1, 6, 5, 7)).shape == (1, 4, 10, 14)


def test_resize_upsampling_leaves_no_checkerboard():
    """A flat input gives a flat interior; a random transposed convolution does not."""
    flat = torch.ones(1, 4, 8, 8)

    def unevenness(kind):
        torch.manual_seed(0)
        return upsample(kind, 4, 1)(flat)[..., 2:-2, 2:-2].std().item()

    assert unevenness("resize") < 1e-6 < 1e-2 < unevenness("transposed")


@pytest.mark.parametrize("period, gain", [(2, 0.0), (4, 0.75), (1, 1.0)])
def test_the_low_pass_takes_away_the_period_of_two_pixels(period, gain):
    wave = torch.cos(2 * torch.pi * torch.arange(16) / period).expand(1, 3, 16, 16)
    for x in (wave, wave.mT):
        torch.testing.assert_close(LowPass()(x)[..., 2:-2, 2:-2], gain * x[..., 2:-2, 2:-2])


def test_resnet_generator_is_the_published_network():
    """Zhu et al. 2017, 9 blocks: 11.378 M weights and biases; a norm makes all biases but the last idle."""
    G = ResNetGenerator(3, 3, 64, 9, "instance", "transposed")
    weights = sum(p.numel() for name, p in G.named_parameters() if name.endswith("weight"))
    biases = 64 + 128 + 256 + 18 * 256 + 128 + 64 + 3
    assert weights + biases == 11_378_179
    assert G(torch.randn(1, 3, 16, 20)).shape == (1, 3, 16, 20)


def test_init_normal():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(16, 64, 5), torch.nn.BatchNorm2d(64))
    init_normal(net)
    assert net[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert net[0].bias.abs().sum() == 0
    assert net[1].weight.mean().item() == pytest.approx(1.0, abs=0.02) and net[1].weight.std() > 0.01


def test_without_norms_a_network_begins_with_signals_of_one_size():
    """Ten times deeper, they neither vanish nor explode; the picture begins grey, where tanh is steep."""
    torch.manual_seed(0)
    for blocks in (2, 20):
        G = ResNetGenerator(3, 3, 16, blocks, "none", "resize")
        init_he(G)
        last = torch.nn.Sequential(*[*G][:-2])(torch.rand(2, 3, 32, 32) * 2 - 1)
        assert 0.2 < last.std() < 2
        assert 0.001 < G[-2](last).std() < 0.3
    assert all(p.abs().sum() == 0 for name, p in G.named_parameters() if name.endswith("bias"))


def test_pool_fills_then_answers_half_the_time_with_older_pictures():
    pool = Pool(4, (1, 2, 2), seed=0)

    def picture(i):
        return torch.full((1, 1, 2, 2), float(i))

    assert [pool(picture(i))[0, 0, 0, 0].item() for i in range(4)] == [0, 1, 2, 3]
    answers = [int(pool(picture(i))[0, 0, 0, 0]) for i in range(4, 204)]
    older = [answer != i for i, answer in enumerate(answers, 4)]
    assert 70 <= sum(older) <= 130  # 100 expected
    assert len({a for a, old in zip(answers, older, strict=True) if old}) == sum(
        older
    )  # each leaves but once
    assert all(a < i or not old for i, (a, old) in enumerate(zip(answers, older, strict=True), 4))


def test_pool_repeats_itself_from_its_buffers_alone():
    first, again = Pool(3, (1, 1, 1), seed=5), Pool(3, (1, 1, 1), seed=5)
    for i in range(10):
        first(torch.full((2, 1, 1, 1), float(i)))
    again.load_state_dict(first.state_dict())
    for i in range(10, 20):
        x = torch.full((2, 1, 1, 1), float(i))
        assert torch.equal(first(x), again(x))


def test_pool_of_size_zero_passes_through_and_detaches():
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    assert torch.equal(Pool(0, (1, 2, 2), 0)(x), x) and not Pool(0, (1, 2, 2), 0)(x).requires_grad


def test_muon_moves_matrices_alike_in_all_directions_and_the_rest_as_adam():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    before = copy.deepcopy(net)
    optimizer = Muon([*net.parameters()], [net[0].weight], lr=1e-3, rate=0.02)
    net(torch.randn(32, 8)).square().mean().backward()
    gradient = torch.linalg.svdvals(net[0].weight.grad)
    assert gradient[0] > 5 * gradient[-1]
    optimizer.step()
    moved = [
        after.detach() - start for after, start in zip(net.parameters(), before.parameters(), strict=True)
    ]
    singular = torch.linalg.svdvals(moved[0]) / (0.02 * (16 / 8) ** 0.5)
    assert singular.min() > 0.5 and singular.max() < 1.5
    for change in moved[1:]:  # Adam's first step has its rate's size
        torch.testing.assert_close(change.abs(), torch.full_like(change, 1e-3), rtol=1e-2, atol=0)


def test_muon_goes_on_from_its_state():
    torch.manual_seed(0)
    x, nets = torch.randn(32, 8), [torch.nn.Linear(8, 16)]
    nets.append(copy.deepcopy(nets[0]))
    optimizers = [Muon([*net.parameters()], [net.weight], lr=1e-3) for net in nets]
    for t in range(4):
        if t == 2:
            optimizers[1] = Muon([*nets[1].parameters()], [nets[1].weight], lr=1e-3)
            optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
            nets[1].load_state_dict(nets[0].state_dict())
        for net, optimizer in zip(nets, optimizers, strict=True):
            for group in optimizer.param_groups:  # as the trainer's schedule does
                group["lr"] *= 0.5
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    assert torch.equal(nets[0].weight, nets[1].weight) and torch.equal(nets[0].bias, nets[1].bias)


def test_a_state_of_another_optimizer_is_refused_in_words():
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Linear(16, 3))
    adam = torch.optim.Adam(net.parameters())
    net(torch.randn(4, 8)).sum().backward()
    adam.step()
    tensors = checkpoint.optimizer_tensors("flow", adam)
    with pytest.raises(
        UserError, match="the saved optimizer flow is of another version; begin a new --output"
    ):
        checkpoint.load_optimizer("flow", Muon([*net.parameters()], [net[0].weight], 1e-3), tensors)
    checkpoint.load_optimizer("flow", Muon([*net.parameters()], [], 1e-3), tensors)  # Adam alone fits
