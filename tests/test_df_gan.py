"""DF-GAN: its losses by hand, its penalty, what it does with captions and noise."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import datasets
from models.common.layers import LowPass
from models.common.text import shifted
from models.text.df_gan import DFGAN, Affine, Discriminator, DownBlock, Generator, UpBlock
from tests.conftest import build
from translate.commands.text import text as text_command
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.task import DataInfo
from translate.training.checkpoint import write_model
from translate.training.stream import collate

BIRDS = datasets.load("captions", "birds:8", size=32)


@pytest.fixture(scope="module")
def task():
    task = build(DFGAN, BIRDS).train()
    with torch.no_grad():
        for name, p in task.named_parameters():
            if name.endswith("gain"):
                p.fill_(0.5)
            if "gamma.2.weight" in name or "beta.2.weight" in name:
                p.normal_(0, 0.3)
    return task


def batch(count=2):
    return collate([BIRDS.sample(i, torch.Generator().manual_seed(i)) for i in range(count)])


def test_the_affine_begins_as_the_identity():
    x = torch.randn(2, 3, 4, 4)
    affine = Affine(5, 3)
    torch.testing.assert_close(affine(x, torch.randn(2, 5)), x)
    with torch.no_grad():
        affine.gamma[2].bias.fill_(2.0)
        affine.beta[2].bias.fill_(1.0)
    torch.testing.assert_close(affine(x, torch.randn(2, 5)), 2 * x + 1)


@pytest.mark.parametrize("size", [32, 64, 256])
def test_sizes(size):
    G, D = Generator(4, 6, 4, size, 3), Discriminator(6, 4, size, 3, joint=8)
    picture = G(torch.randn(2, 4), torch.randn(2, 6))
    assert picture.shape == (2, 3, size, size) and picture.abs().max() <= 1
    features = D(picture)
    assert features.shape == (2, 32, 4, 4) and D.match(features, torch.randn(2, 6)).shape == (2, 1, 1, 1)


def test_the_text_comes_first_and_alone(task):
    updates = []
    torch.manual_seed(5)
    task.step(batch(), 0, lambda name, loss: updates.append((name, loss.item())))
    assert [name for name, _ in updates] == ["text"]
    b = batch()
    torch.manual_seed(5)
    expected = task.pairing(shifted(b["image"], 4), task.text(task.tokenizer(b["caption"])))
    assert updates[0][1] == pytest.approx(expected.item())


def test_the_losses_are_the_published_ones(task):
    b, losses = batch(), {}
    torch.manual_seed(5)
    task.step(b, 3, lambda name, loss: losses.update({name: loss.item()}))
    torch.manual_seed(5)
    z = torch.randn(2, task.config.noise)
    with torch.no_grad():
        e, wrong = task.text(task.tokenizer(b["caption"])), task.text(task.tokenizer(b["wrong"]))
        fake = task.G(z, e)
        logit = lambda x, e: task.D.match(task.D(x), e)  # noqa: E731
        loss = F.relu(1 - logit(b["image"], e)).mean()
        loss += 0.5 * F.relu(1 + logit(fake, e)).mean() + 0.5 * F.relu(1 + logit(b["image"], wrong)).mean()
        assert losses["G"] == pytest.approx(-logit(fake, e).mean().item(), rel=1e-4)
    norms = []
    for i in range(2):
        x, one = b["image"][i : i + 1].clone().requires_grad_(), e[i : i + 1].clone().requires_grad_()
        by_x, by_e = torch.autograd.grad(task.D.match(task.D(x), one).sum(), (x, one))
        norms.append((by_x.square().sum() + by_e.square().sum()).sqrt())
    penalty = 2 * torch.stack(norms).pow(6).mean()
    assert losses["D"] == pytest.approx((loss + penalty).item(), rel=1e-3)


def test_without_the_matching_term_wrong_captions_do_not_count(task):
    plain = build(DFGAN, BIRDS, dataclasses.replace(DFGAN.tiny(), matching=False)).train()
    plain.load_state_dict(task.state_dict())
    found = []
    for wrong in (["a red bird", "a blue bird"], ["x", "y"]):
        b, losses = batch() | {"wrong": wrong}, {}
        torch.manual_seed(1)
        plain.step(b, 3, lambda name, loss, losses=losses: losses.update({name: loss.item()}))
        found.append(losses["D"])
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def folder(task, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "tiny-birds", task.eval(), 5)


def test_same_seed_same_pictures(folder):
    pipeline = Pipeline.from_pretrained(folder)
    caption = "this bird is completely red with black wings"
    four, two = pipeline.imagine(caption, 4, seed=3), pipeline.imagine(caption, 2, seed=3)
    for a, b in zip(four[:2], two, strict=True):
        torch.testing.assert_close(a.tensor, b.tensor, atol=1e-5, rtol=0)
    assert (four[0].tensor - four[1].tensor).abs().max() > 1e-3, "noise makes a difference"
    other = pipeline.imagine("a small blue bird", 1, seed=3)[0].tensor
    assert (other - four[0].tensor).abs().max() > 1e-4, "text makes a difference"
    calm = pipeline.imagine(caption, 4, seed=3, truncation=0.1)
    spread = [torch.cat([p.tensor for p in pictures]).std(0).mean() for pictures in (four, calm)]
    assert spread[1] < 0.5 * spread[0]
    pictures = pipeline(text=[caption, "blue"], n=2)
    assert len(pictures) == 4 and pictures[0].size == (32, 32)
    with pytest.raises(UserError, match="takes text and noise, not image"):
        pipeline(image=Image.new("RGB", (8, 8)))
    with pytest.raises(UserError, match="truncation -1 must be above 0"):
        pipeline.imagine(caption, truncation=-1)


def test_the_command(folder, tmp_path, capsys):
    (tmp_path / "told.txt").write_text("a yellow bird\n\nein Vogel\n")
    text_command(
        ("a red bird",),
        model=str(folder),
        output=str(tmp_path / "out"),
        file=str(tmp_path / "told.txt"),
        count=2,
    )
    said = capsys.readouterr()
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"{i:04d}-{k}.png" for i in range(3) for k in range(2)] + ["grid.png"]
    assert "6 pictures and grid.png" in said.out and "100% of the words are not known" in said.err
    with pytest.raises(UserError, match="--overwrite replaces it"):
        text_command(("a red bird",), model=str(folder), output=str(tmp_path / "out"))
    with pytest.raises(UserError, match="there is no caption"):
        text_command((), model=str(folder), output=str(tmp_path / "other"))
    with pytest.raises(UserError, match="told.text cannot be read"):
        text_command((), model=str(folder), output=str(tmp_path / "other"), file=str(tmp_path / "told.text"))


def test_enlarging_late_is_enlarging_first():
    """As the paper draws it: larger, then fused; the mean after the 1x1 convolution."""
    torch.manual_seed(0)
    block, e = UpBlock(6, 4, 8), torch.randn(2, 6)
    for p in block.parameters():
        p.data.add_(0.2 * torch.randn_like(p))
    x = torch.randn(2, 4, 5, 5)
    large = F.interpolate(x, scale_factor=2)
    y = large
    for fuse in block.fuse:
        y = fuse.conv(F.leaky_relu(fuse.second(F.leaky_relu(fuse.first(y, e), 0.2), e), 0.2))
    assert torch.allclose(block(x, e), block.shortcut(large) + block.gain * y, atol=1e-5)
    down, x = DownBlock(4, 8), torch.randn(2, 4, 6, 6)
    down.gain.data.fill_(0.5)
    published = F.avg_pool2d(down.shortcut(x), 2) + down.gain * down.body(x)
    assert torch.allclose(down(x), published, atol=1e-5)


def test_the_low_pass_is_of_what_the_plain_generator_draws():
    torch.manual_seed(0)
    plain, low = Generator(4, 6, 4, 32, 3), Generator(4, 6, 4, 32, 3, low=True)
    low.load_state_dict(plain.state_dict())  # either takes the other's weights
    z, e = torch.randn(2, 4), torch.randn(2, 6)
    with torch.no_grad():
        torch.testing.assert_close(low(z, e), LowPass()(plain(z, e).atanh()).tanh())


def test_a_model_with_low_pass_is_read_from_its_folder(tmp_path):
    task = build(DFGAN, BIRDS, dataclasses.replace(DFGAN.tiny(), low_pass=True)).eval()
    pipeline = Pipeline.from_pretrained(write_model(tmp_path / "low", task, 1))
    assert isinstance(pipeline.task.G.end[2], LowPass)
    assert pipeline.imagine("a small blue bird", 1, seed=3)[0].tensor.isfinite().all()


def test_the_average_starts_anew_with_the_generator():
    """Right after the text it is nearly the live network, however long the text took."""
    config = dataclasses.replace(DFGAN.tiny(), ema=0.999, text_steps=5000)
    task = DFGAN(config, DataInfo.of(BIRDS.info))
    task.keep_average()
    with torch.no_grad():
        task.text.out.weight.add_(1), task.G.start.weight.add_(1)
    task.update_average(4999)  # still text: slow
    assert (task.averaged["text"].out.weight - task.text.out.weight).abs().mean() > 0.9
    task.update_average(5000)
    for name, layer in (("text", "out"), ("G", "start")):
        mean, live = getattr(task.averaged[name], layer).weight, getattr(getattr(task, name), layer).weight
        assert (mean - live).abs().max() < 0.11
