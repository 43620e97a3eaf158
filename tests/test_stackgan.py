"""StackGAN: conditioning augmentation, two stages as a function of t, schedules."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

import datasets
from models.text.stackgan import Augmentation, StackGAN, StageI, StageII
from tests.conftest import build
from translate.config import UserError, from_json, to_json
from translate.training.checkpoint import read_model, write_model
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=32)


def batch(count=4):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


def losses_of(task, t, b=None, seed=0):
    found = {}
    torch.manual_seed(seed)
    task.step(b or batch(), t, lambda name, loss: found.update({name: loss.item()}))
    return found


def test_published_layers():
    first, second = StageI(100, 128, 128, 3, 64), StageII(128, 128, 3, 64, 256)
    assert first.start.out_features == 1024 * 16 and first.start.in_features == 228
    assert first(torch.randn(2, 100), torch.randn(2, 128)).shape == (2, 3, 64, 64)
    assert second(torch.rand(1, 3, 64, 64), torch.randn(1, 128)).shape == (1, 3, 256, 256)
    assert second.joint[0].in_channels == 512 + 128
    assert sum("Residual" in type(m).__name__ for m in second.layers) == 4
    assert sum("Residual" in type(m).__name__ for m in StageII(8, 4, 3, 64, 128).layers) == 2


def test_augmentation_and_its_divergence():
    """ĉ has the mean and deviation that the layer says; KL by torch's own formula."""
    torch.manual_seed(0)
    augment, phi = Augmentation(6, 5, True), torch.randn(1, 6)
    mu, log_var = F.leaky_relu(augment.net(phi), 0.2).chunk(2, 1)
    drawn = torch.cat([augment(phi)[0] for _ in range(4000)])
    torch.testing.assert_close(drawn.mean(0), mu[0], atol=0.06, rtol=0)
    torch.testing.assert_close(drawn.std(0), (0.5 * log_var[0]).exp(), atol=0.06, rtol=0)
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mu, (0.5 * log_var).exp()), normal(0.0, 1.0)).mean()
    assert augment(phi)[1].item() == pytest.approx(kl.item(), rel=1e-5)
    assert torch.equal(augment.eval()(phi)[0], mu), "in use the mean"
    plain = Augmentation(6, 5, False)
    assert torch.equal(plain(phi)[0], plain(phi)[0]) and plain(phi)[1] == 0


def test_the_stage_follows_from_t():
    task = build(StackGAN, BIRDS, dataclasses.replace(StackGAN.tiny(), text_steps=2, stage1_steps=3, steps=9))
    seen = [sorted(losses_of(task.train(), t)) for t in (0, 1, 2, 4, 5, 8)]
    assert seen == [["text"]] * 2 + [["D_1", "G_1"]] * 2 + [["D_2", "G_2"]] * 2
    rates = [task.lr_scale(t, "G") for t in range(9)]
    assert rates == pytest.approx([1, 0.5, 1, 0.25, 0.0625, 1, 0.5, 0.125, 0.0625])


def test_the_losses_of_each_stage():
    task = build(StackGAN, BIRDS, dataclasses.replace(StackGAN.tiny(), lambda_kl=3.0)).eval()
    b = batch()
    with torch.no_grad():
        phi, wrong = task.text(task.tokenizer(b["caption"])), task.text(task.tokenizer(b["wrong"]))
        for t, D, real in (
            (1, task.D_1, F.interpolate(b["image"], (16, 16), mode="area")),
            (2, task.D_2, b["image"]),
        ):
            losses = losses_of(task, t, b)
            torch.manual_seed(0)
            fake, kl = task.draw(torch.randn(4, task.config.noise), phi, t == 2)
            right, false, made = (D.match(D(x), e) for x, e in ((real, phi), (real, wrong), (fake, phi)))
            expected = F.softplus(-right).mean() + (F.softplus(false).mean() + F.softplus(made).mean()) / 2
            assert losses[f"D_{t}"] == pytest.approx(expected.item(), rel=1e-4)
            expected = F.softplus(-made).mean() + 3 * kl
            assert losses[f"G_{t}"] == pytest.approx(expected.item(), rel=1e-4)


def test_stage_two_leaves_stage_one_alone(learn):
    """With `--init-from` a finished Stage-I: its weights are there, and stay."""
    first = learn(StackGAN, datasets.load("captions", "birds:8", size=16), size=16, sketch=16, steps=3)
    assert set(first.exported) == {"text", "augment_1", "G_1"} and not hasattr(first, "G_2")
    folder = first.config.output
    second = learn(
        StackGAN,
        BIRDS,
        steps=2,
        text_steps=0,
        stage1_steps=0,
        init_from=folder,
        output=folder.parent / "second",
    )
    for name in ("G_1", "augment_1", "text"):
        ours, theirs = getattr(second, name).state_dict(), getattr(first, name).state_dict()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours), name
    read = read_model(write_model(folder.parent / "model", second.eval(), 2))
    assert read.generate(text=["a red bird"], noise=torch.randn(1, 4)).shape == (1, 3, 32, 32)


def test_sizes_are_checked():
    with pytest.raises(UserError, match="draws 16, 32, 64 px, not --size 48"):
        build(StackGAN, BIRDS, dataclasses.replace(StackGAN.tiny(), size=48))


def test_runs_of_older_names_load():
    config = to_json(StackGAN.tiny())
    config["said"], config["given"] = config.pop("compressed"), config.pop("condition")
    assert from_json(StackGAN.Config, config) == StackGAN.tiny()
