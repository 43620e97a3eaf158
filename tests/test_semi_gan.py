"""Semi-supervised GAN: losses from hand numbers, initialisation by data, all labels in every step."""

import dataclasses
import math

import pytest
import torch

import datasets
from benchmarks import put, semi
from models.gan import semi_gan
from models.gan.semi_gan import Classifier, Config, Normalised, SemiGAN, unlabelled_loss
from translate.task import DataInfo, UserError


def test_unlabelled_loss_is_log_D_and_log_one_minus_D():
    """Logits (0, log 2) have Z = 3, D = 3/4; (log ½, log ½) has Z = 1, D = ½."""
    real = torch.tensor([[0.0, math.log(2)]])
    fake = torch.tensor([[math.log(0.5), math.log(0.5)]])
    assert unlabelled_loss(real, fake).item() == pytest.approx(-0.5 * (math.log(3 / 4) + math.log(1 / 2)))


def test_normalised_layer_by_hand():
    layer = Normalised((1, 2))
    layer.W.data = torch.tensor([[3.0, 4.0]])
    layer.g.fill_(2.0)
    layer.b.data.fill_(0.5)
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert layer(x).flatten().tolist() == pytest.approx([2 * 7 / 5 + 0.5, 0.0])  # behind a ReLU
    layer.W.data *= 10  # its length does not matter
    assert layer(x)[0].item() == pytest.approx(2 * 7 / 5 + 0.5)


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_initialised_by_data(network):
    """Behind it, each output of each layer has mean 0 and variance 1 before its nonlinearity."""
    torch.manual_seed(0)
    D = Classifier(Config(network=network, size=16, width=40), 1, 3)
    x = torch.rand(64, 1, 16, 16) * 2 - 1
    D.eval()  # without noise, so that it can be repeated
    D.initialise(x)
    assert D.initialised
    seen = []
    for layer in D.modules():
        if isinstance(layer, Normalised):
            layer.register_forward_hook(
                lambda m, i, o: seen.append(m.before(i[0]) + m.b.view(-1, *[1] * (o.dim() - 2)))
            )
    D(x)
    assert len(seen) == (6 if network == "dense" else 10)
    for y in seen:
        values = y.detach().transpose(0, 1).flatten(1)
        live = values.std(1) > 1e-3  # a ReLU may be shut for all the pictures
        assert values.mean(1).abs().max() < 1e-3
        assert (values.std(1, unbiased=False)[live] - 1).abs().max() < 1e-3


def few(count: int = 3, **options):
    """Digits of which 3 of each class keep their label, and a small task that has met them."""
    config = dataclasses.replace(SemiGAN.tiny(), size=8, labelled=count, batch_size=60, **options)
    data = datasets.load("labels", "digits", size=8, resize="resize", labelled=count)
    torch.manual_seed(0)
    task = SemiGAN(config, DataInfo.of(data.info))
    task.before_training(data)
    return task, data


def test_all_labels_are_in_every_step():
    task, data = few()
    x, y = task.labelled(torch.zeros(1), torch.zeros(1), 30)
    assert torch.bincount(y).tolist() == [3] * 10
    assert len(x.flatten(1).unique(dim=0)) == 30
    assert torch.bincount(task.labelled(x, y, 40)[1]).sum() == 40  # some of them twice
    known = {int(i) for i in (data.labels >= 0).nonzero()}
    wanted = {data.sample(i, torch.Generator())["image"].sum().item() for i in known}
    assert {picture.sum().item() for picture in x} == wanted


def test_initialises_once():
    task, data = few()
    g = task.D.last.g.detach().clone()
    assert not torch.equal(g, torch.ones_like(g))
    task.before_training(data)
    assert torch.equal(task.D.last.g, g)


class Recorded:
    """In place of an `Update`: keeps the losses and their gradients."""

    def __init__(self, task):
        self.task, self.losses, self.reached = task, {}, {}

    def __call__(self, name, loss):
        self.losses[name] = loss.detach()
        loss.backward(inputs=list(getattr(self.task, name).parameters()), retain_graph=True)


def test_step_is_what_the_paper_prints():
    """The losses of one step, from a naive loop over pictures; D in eval mode, so without noise."""
    task, data = few()
    task.known = None
    x = torch.stack([data.sample(i, torch.Generator())["image"] for i in range(8)])
    y = torch.tensor([3, -1, 1, -1, 0, 0, 0, 0])
    drawn = {}
    task.G.register_forward_hook(lambda m, i, o: drawn.update(fake=o.detach()))
    task.D.eval()
    update = Recorded(task)
    task.step({"image": x, "label": y}, 0, update)
    fake = drawn["fake"]
    with torch.no_grad():
        supervised = -sum(task.D(x[i : i + 1]).log_softmax(1)[0, y[i]] for i in (0, 2)) / 2
        D = lambda p: 1 - 1 / (1 + task.D(p[None]).exp().sum())  # noqa: E731
        real = sum(-0.5 * D(x[i]).log() for i in range(4)) / 4
        fooled = sum(-0.5 * (1 - D(p)).log() for p in fake) / len(fake)
        means = task.D.features(x[4:]).mean(0) - task.D.features(fake).mean(0)
    assert update.losses["D"].item() == pytest.approx(float(supervised + real + fooled), rel=1e-4)
    assert update.losses["G"].item() == pytest.approx(float(means.square().mean()), rel=1e-3)


def test_learns_digits_from_thirty_labels(learn):
    """Of scikit-learn's digits, 8 x 8 pixels, it names most that it has not seen: 0.1 is chance."""
    data = datasets.load("labels", "digits", size=8, resize="resize", labelled=3)
    test = datasets.load("labels", "digits", size=8, resize="resize", split="test")
    task = learn(SemiGAN, data, size=8, labelled=3, width=64, batch_size=60, steps=120, ema=0.9)
    samples = [test.sample(i, torch.Generator()) for i in range(len(test))]
    pictures, truth = torch.stack([s["image"] for s in samples]), torch.tensor([s["label"] for s in samples])
    with torch.no_grad(), task.eval().using_average():
        assert semi.wrong(task, pictures, truth) < 0.45 * len(truth)


def test_labels_alone_leaves_G_out():
    task, data = few(unlabelled=0.0)
    assert list(task.optimizers()) == ["D"]
    batch = {"image": torch.zeros(4, 1, 8, 8), "label": torch.zeros(4, dtype=torch.long)}
    assert list(task.step(batch, 0, Recorded(task))) == ["supervised"]


def test_conv_learns_in_its_sizes_alone():
    info = DataInfo(kind="labels", name="x", count=4, channels={"image": 3}, classes=("a", "b"))
    config = dataclasses.replace(SemiGAN.tiny(), network="conv", size=16, width=40)
    task = SemiGAN(config, info)
    batch = {"image": torch.rand(4, 3, 16, 16), "label": torch.tensor([0, 1, -1, 0])}
    logs = task.step(batch, 0, Recorded(task))
    assert all(torch.isfinite(value) for value in logs.values())
    assert task.generate(torch.randn(2, 8)).shape == (2, 3, 16, 16)
    with pytest.raises(UserError, match="multiples of 8"):
        SemiGAN(dataclasses.replace(config, size=28), info)


def test_benchmark_table(tmp_path):
    rows = [
        dict(
            set="mnist",
            labels=100,
            seed=s,
            alone=a,
            epochs=e,
            updates=9,
            schedule="linear",
            wrong=w,
            of=10_000,
        )
        for s, a, e, w in ((0, False, 60, 90), (1, False, 60, 110), (0, True, 5, 2000))
    ]
    line = semi.table(rows).splitlines()[-1]
    assert line == "| mnist | 100 | 60 epochs, linear rate | 2 | 100 ± 14 of 10,000 | 2000 | 93 ± 6.5 |"
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results of benchmarks.semi -->\nold\n<!-- end of results -->\nafter\n")
    put(page, "semi", "new")
    assert (
        page.read_text().split()
        == "before <!-- results of benchmarks.semi --> new <!-- end of results --> after".split()
    )
    assert semi_gan.INITIAL == 500
