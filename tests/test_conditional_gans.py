"""CGAN in its four forms and InfoGAN: losses from hand numbers and naive loops, and what the label does."""

import dataclasses
import math

import pytest
import torch

import datasets
from models.gan import cgan, infogan
from models.gan.cgan import CGAN, named_wrong
from models.gan.infogan import InfoGAN
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.task import DataInfo

INFO = DataInfo(kind="labels", name="x", count=8, channels={"image": 1}, classes=("a", "b", "c"))
X = torch.linspace(-1, 1, 4 * 256).view(4, 1, 16, 16)
Y = torch.tensor([0, 2, -1, 1])


class Recorded:
    """In place of an `Update`: keeps the losses and, of the first, no more."""

    def __init__(self):
        self.losses = {}

    def __call__(self, name, loss):
        self.losses[name] = loss.detach()


def task_of(condition: str, **options) -> CGAN:
    torch.manual_seed(0)
    config = dataclasses.replace(CGAN.tiny(), condition=condition, norm_d="none", **options)
    return CGAN(config, INFO)


def test_naming_by_hand():
    """P(y) is ¼ where the logits are (0, log 2, 0) and y is 0; the picture without label does not count."""
    logits = torch.tensor([[0.0, math.log(2), 0.0], [9.0, 9.0, 9.0]])
    assert named_wrong(logits, torch.tensor([0, -1])).item() == pytest.approx(math.log(4))
    assert named_wrong(logits, torch.tensor([-1, -1])) == 0


@pytest.mark.parametrize("condition", ["concat", "auxiliary", "projection", "none"])
def test_step_is_what_the_papers_print(condition):
    """Both losses of one step, picture by picture. D names real pictures alone."""
    task = task_of(condition, objective="minimax")
    drawn = {}
    task.G.register_forward_hook(lambda m, given, fake: drawn.update(y=given[1], fake=fake.detach()))
    update = Recorded()
    task.step({"image": X, "label": Y}, 0, update)
    fake, wanted = drawn["fake"], drawn["y"]
    assert wanted[[0, 1, 3]].tolist() == [0, 2, 1] and 0 <= wanted[2] < 3
    D = loss_C = G_C = 0.0
    with torch.no_grad():
        for i in range(4):
            real, named_real = task.D(X[i : i + 1], Y[i : i + 1])
            false, named_fake = task.D(fake[i : i + 1], wanted[i : i + 1])
            D -= (real.sigmoid().log() + (1 - false.sigmoid()).log()).item() / 4
            if condition == "auxiliary":
                loss_C -= named_real.log_softmax(1)[0, Y[i]].item() / 3 if Y[i] >= 0 else 0.0
                G_C -= named_fake.log_softmax(1)[0, wanted[i]].item() / 4
            else:
                assert named_real is named_fake is None
    G = sum((1 - task.D(fake[i : i + 1], wanted[i : i + 1])[0].sigmoid()).log().item() for i in range(4)) / 4
    assert update.losses["D"].item() == pytest.approx(D + loss_C, rel=1e-4)
    assert update.losses["G"].item() == pytest.approx(G + G_C, rel=1e-4)


@pytest.mark.parametrize("condition", ["concat", "projection", "auxiliary", "none"])
def test_label_changes_what_D_and_G_see(condition):
    task = task_of(condition).eval()
    a, b = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    z = torch.randn(4, 8)
    G_sees = not torch.equal(task.generate(z, a), task.generate(z, b))
    D_sees = not torch.equal(task.D(X, a)[0], task.D(X, b)[0])
    assert G_sees == (condition != "none")
    assert D_sees == (condition in ("concat", "projection"))


def test_learns_the_classes_of_two_greys(learn, tmp_path):
    """Class a is dark, class b bright: so are its samples, by the command line's pipeline, too."""
    from PIL import Image

    for name, grey in (("a", 60), ("b", 200)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (16, 16), grey + 5 * i).save(tmp_path / "data" / name / f"{i}.png")
    data = datasets.load("labels", str(tmp_path / "data"), size=16)
    options = dict(condition="projection", norm_d="spectral", batch_size=8, steps=60, learning_rate=2e-3)
    task = learn(CGAN, data, **options)
    pipeline = Pipeline.from_pretrained(task.config.output)
    dark, bright = (
        torch.cat([picture.tensor for picture in pipeline.sample(8, label=label)]).mean() for label in "ab"
    )
    assert bright - dark > 0.5
    with pytest.raises(UserError, match="there is no class 'c'.*the 2 classes are a, b"):
        pipeline.sample(1, label="c")


def info_task(**options) -> InfoGAN:
    torch.manual_seed(0)
    config = dataclasses.replace(InfoGAN.tiny(), **options)
    return InfoGAN(config, dataclasses.replace(INFO, kind="images", classes=()))


def test_code_is_read_by_hand():
    """-log Q is log 4 for a first code with P = ¼, and ½ (0.5 - (-0.5))² for a continuous one."""
    task = info_task(continuous=1, lambda_continuous=0.1)
    given = torch.zeros(1, task.config.latent + 1 + 3)
    given[0, task.config.latent] = 0.5
    values, means = torch.tensor([[0.0, math.log(2), 0.0]]), torch.tensor([[-0.5]])
    first, others = task.unread((values, means), torch.tensor([0]), given)
    assert first.item() == pytest.approx(math.log(4)) and others.item() == pytest.approx(0.1 * 0.5)


def test_codes_are_uniform_and_one_hot():
    task = info_task()
    whole = task.whole(torch.randn(4000, *task.noise_shape), torch.arange(4000) % 3)
    noise, code = whole[:, :-3], whole[:, -3:]
    assert noise.abs().max() <= 1 and noise.mean().abs() < 0.03
    assert noise.square().mean().item() == pytest.approx(1 / 3, abs=0.02)
    assert code.sum(1).eq(1).all() and code.argmax(1).tolist() == (torch.arange(4000) % 3).tolist()
    assert task.info.classes == ("0", "1", "2")


def test_both_players_lower_what_Q_cannot_read():
    task, update = info_task(), Recorded()
    logs = task.step({"image": X}, 0, update)
    codes = logs["code"] + logs["codes"]
    assert update.losses["G"].item() == pytest.approx((logs["G"] + codes).item(), rel=1e-5)
    assert update.losses["D"] > logs["D"]


def test_sizes_and_codes_are_checked():
    with pytest.raises(UserError, match="multiples of 4"):
        info_task(size=10)
    with pytest.raises(UserError, match="--codes 1"):
        info_task(codes=1)
    assert cgan.Config().condition == "projection" and infogan.Config().codes == 10


def test_codes_can_be_read_where_that_counts(learn, tmp_path):
    """With λ = 1 Q soon reads the first code off nearly all samples, with λ = 0 it does not."""
    data, right = datasets.load("images", "digits", size=16, resize="resize"), {}
    for weight in (1.0, 0.0):
        given = dict(lambda_info=weight, codes=2, continuous=0, batch_size=16, steps=40, channels=4)
        folder = tmp_path / f"weight-{weight:g}"
        task = learn(InfoGAN, data, **given, learning_rate=5e-3, rate_d=5e-3, output=folder).eval()
        label = torch.arange(200) % 2
        with torch.no_grad():
            read = task.classify(task.generate(torch.randn(200, *task.noise_shape), label)).argmax(1)
        right[weight] = (read == label).float().mean().item()
    assert right[1.0] > 0.9 and right[0.0] < 0.75
