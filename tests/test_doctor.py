"""The doctor: each fault done to a real tiny training brings its alarm; healthy ones are left in peace."""

import dataclasses
import json
import re

import pytest
import torch

import datasets
from tests.conftest import World, build
from tests.test_every_task import Alone, birds, every_task
from translate import doctor, symptoms, vitals
from translate.config import UserError
from translate.task import find
from translate.task import names as names_of_tasks
from translate.training.stream import Stream
from translate.training.update import Update


class Told:
    """A data set whose pictures something was done to."""

    def __init__(self, data, change, split="train"):
        self.data, self.change, self.info = data, change, dict(data.info) | {"split": split}

    def __len__(self):
        return len(self.data)

    def order(self, epoch, seed):
        return self.data.order(epoch, seed)

    def sample(self, index, generator):
        found = self.data.sample(index, generator)
        return {k: self.change(v) if k in ("image", "a", "b") else v for k, v in found.items()}


def watch(name, change=lambda x: x, before=None, during=None, steps=120, count=64, split="train", **settings):
    """Alarms of a real training of a tiny model on drawn birds: its doctor, who saw it.

    change: of pictures; before(task, update): a fault done at first; during(task, update, t): each time.
    """
    task_class = find(name)
    config = dataclasses.replace(task_class.tiny(), **{"batch_size": 8, "steps": steps} | settings)
    data = Told(datasets.load(task_class.data, f"birds:{count}", size=config.size), change)
    held_out = Told(
        datasets.load(task_class.data, "birds:48", size=config.size, split="test"), change, "test"
    )
    task = build(task_class, data, config)
    update = Update(task, config, Alone(), None)
    if before:
        before(task, update)
    seen = doctor.Doctor(task, data, held_out if split == "test" else None)
    stream = Stream(data, config.batch_size, 0)
    for t in range(steps):
        torch.manual_seed(t)
        if during:
            during(task, update, t)
        logs = task.train().step(stream.batch(t), t, update)
        if (t + 1) % seen.every == 0:
            seen.visit(t + 1, floats(logs), floats(update.norms), task)
    return seen


def floats(values: dict) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def names(seen) -> set[str]:
    return {alarm.name for alarm in seen.alarms}


def often(monkeypatch, updates):
    """A look with samples every so many, so that a test need not train for 180."""
    monkeypatch.setattr(doctor, "SAMPLE", updates)
    monkeypatch.setattr(doctor, "EARLY", updates)


def rate(update, **factors):
    for name, factor in factors.items():
        for group in update.optimizers[name].param_groups:
            group["lr"] *= factor


HEALTHY = {
    "dcgan": dict(channels=8, steps=200),
    "wgan_gp": dict(channels=8, batch_size=4),
    "vae": dict(channels=8, steps=200),
    "pix2pix": dict(batch_size=2, count=24, steps=80),
    "cyclegan": dict(batch_size=1, count=16, steps=80),
    "stackgan": dict(batch_size=4, count=24, text_steps=10, steps=80),
    "gan_cls": dict(batch_size=4, count=24, text_steps=10, steps=80),
    "df_gan": dict(batch_size=4, count=24, text_steps=10, steps=80),
    "dit": dict(batch_size=4, count=24, text_steps=10, autoencoder_steps=30, steps=80),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_trainings_are_left_in_peace(name, monkeypatch):
    often(monkeypatch, 40)
    seen = watch(name, split="test", **HEALTHY[name])
    assert seen.alarms == [], "\n".join(map(str, seen.alarms))
    assert len(seen.history) >= 4 and seen.history[3].samples


@every_task
def test_every_method_can_be_looked_at(name):
    """One update and two looks, one with samples: no error, and nothing is changed."""
    task_class = find(name)
    data = birds(task_class)
    task = build(task_class, data)
    seen, update = (
        doctor.Doctor(task, data, Told(data, lambda x: x, "test")),
        Update(task, task.config, Alone(), None),
    )
    logs = task.train().step(Stream(data, 2, 0).batch(0), 0, update)
    before = {key: value.clone() for key, value in task.state_dict().items()}
    for t in (20, 100):
        seen.visit(t, floats(logs), floats(update.norms), task)
    assert all(torch.equal(value, before[key]) for key, value in task.state_dict().items())
    assert [v.t for v in seen.history] == [20, 100] and task.training


# --- faults, each done to a training that is sound otherwise ----------------------------------------------


def output(network, change):
    """From here on, what the network gives is changed: change(its output, its input)."""
    network.register_forward_hook(lambda module, given, y: change(y, given[0]))


def silent_noise(task, update):
    task.G.register_forward_pre_hook(lambda module, given: (torch.zeros_like(given[0]), *given[1:]))


def drawing(split):
    """G gives real pictures of this part of the data."""

    def change(task, update):
        data = datasets.load("images", "birds:64", size=task.config.size, split=split)
        known = torch.stack([data.sample(i, torch.Generator().manual_seed(i))["image"] for i in range(64)])
        output(task.G, lambda y, z: 0 * y + known[(z[:, 0].abs() * 1000).long() % 64].contiguous())

    return change


def dead(task, update):
    with torch.no_grad():
        task.G.layers[1].bias.fill_(-100)


def blind(task, update, t):
    """D stops learning after 40 updates."""
    if t == 40:
        rate(update, D=0, G=3)


def swinging(task, update, t):
    """For twenty updates D alone learns, then G alone."""
    if t % 40 == 0:
        rate(update, **({"D": 10, "G": 0.1} if t == 0 else {"D": 1000, "G": 5e-4}))
    elif t % 20 == 0:
        rate(update, D=1e-3, G=2000)


def pale(task, update):
    output(task.G, lambda y, z: (y + 1.5).clamp(-1, 1))


def board(task, update):
    """Every other pixel lighter."""

    def lighter(y, z):
        light = torch.zeros(y.shape[-2:])
        light[::2, ::2] = 0.6
        return y + light

    output(task.G, lighter)


def whispering(task, update):
    """G hides its input where nobody sees it; F finds it there."""
    output(task.G, lambda y, x: 0 * y + 0.02 * x)
    output(task.F, lambda x, y: 0 * x + 50 * y)


def deaf(task, update):
    """Sentences are all the same to G and D."""
    sentences = task.sentences
    task.sentences = lambda captions: 0 * sentences(captions)


def burst(task, update, t):
    """D's last layer grows a thousandfold at once."""
    if t == 50:
        with torch.no_grad():
            task.D[-1].weight.mul_(1000)


FEW = dict(steps=40, batch_size=1, count=12)  # of CycleGAN's large networks
FAULTS = {
    "wrong-data-range": ("dcgan", dict(change=lambda x: (x + 1) / 2, steps=20)),
    "discriminator-wins": ("dcgan", dict(before=lambda task, update: rate(update, G=0, D=10), steps=160)),
    "fooling-with-garbage": ("dcgan", dict(during=blind, steps=200)),
    "exploding-gradient": ("dcgan", dict(during=burst, steps=80)),
    "vanishing-generator": (
        "dcgan", dict(before=lambda task, update: rate(update, G=0, D=20), objective="minimax", steps=160),
    ),
    "mode-collapse": ("dcgan", dict(before=silent_noise, steps=60)),
    "oscillation": ("dcgan", dict(during=swinging, steps=200)),
    "colour-shift": ("dcgan", dict(before=pale, steps=80)),
    "checkerboard": ("dcgan", dict(before=board, steps=60)),
    "overfit-discriminator": ("dcgan", dict(before=drawing("test"), count=8, channels=8, steps=80)),
    "text-ignored": ("gan_cls", dict(before=deaf, steps=60)),
    "hidden-message": ("cyclegan", dict(before=whispering, **FEW)),
    "memorised": ("dcgan", dict(before=drawing("train"), steps=40)),
    "dead-units": ("dcgan", dict(before=dead, steps=40)),
    "learning-rate-high": ("dcgan", dict(before=lambda task, update: rate(update, G=100, D=100), steps=80)),
    "learning-rate-low": ("dcgan", dict(before=lambda task, update: rate(update, G=1e-7, D=1e-7), steps=80)),
    "noise-ignored": ("gan_cls", dict(before=silent_noise, steps=40)),
    "posterior-collapse": ("vae", dict(beta=2000.0, steps=160)),
    "does-nothing": (
        "cyclegan", dict(before=lambda task, update: output(task.G, lambda y, x: 0 * y + x), **FEW),
    ),
    "inverted": (
        "cyclegan", dict(before=lambda task, update: output(task.G, lambda y, x: 0 * y - x), **FEW),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_done_to_a_training_is_told(fault, monkeypatch):
    name, how = FAULTS[fault]
    often(monkeypatch, 20)
    seen = watch(name, split="test", **{"batch_size": 4} | how)
    alarm = next((alarm for alarm in seen.alarms if alarm.name == fault), None)
    assert alarm is not None, names(seen)
    assert alarm.step <= 200 and alarm.evidence and "--" in alarm.remedy
    assert str(alarm).startswith(f"{fault} at update {alarm.step}: ")


def test_every_sign_has_its_fault_and_flags_that_exist():
    assert set(FAULTS) == set(symptoms.NAMES)
    known = {field.name for name in names_of_tasks() for field in dataclasses.fields(find(name).Config)}
    for sign in symptoms.SIGNS:
        flags = re.findall(r"--([a-zA-Z0-9-]+)", sign.remedy)
        assert flags and {flag.replace("-", "_") for flag in flags} <= known | {"task"}, sign.name


# --- in the loop, and afterwards --------------------------------------------------------------------------


def trained(folder, *observers, **settings):
    """A DCGAN of 40 updates on pictures in [0, 1], and its doctor."""
    from translate.training.loop import train

    task_class = find("dcgan")
    config = dataclasses.replace(
        task_class.tiny(), **dict(steps=40, output=folder, preview_every=0) | settings
    )
    data = Told(World("images", 16, 12), lambda x: (x + 1) / 2)
    task = build(task_class, data, config)
    seen = [doctor.Doctor(task, data, data, config.silence)] if config.doctor else []
    train(task, data, config, data, seen)
    return seen


def test_alarms_go_to_the_log_and_the_training_is_the_same(tmp_path, capsys):
    (seen,) = trained(tmp_path / "watched")
    assert [alarm.name for alarm in seen.alarms][:1] == ["wrong-data-range"]
    assert doctor.alarms(tmp_path / "watched") == seen.alarms
    assert "wrong-data-range at update 20: pictures are not spread over [-1, 1]" in capsys.readouterr().err
    trained(tmp_path / "alone", doctor=False)
    one, two = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("watched", "alone"))
    assert one == two
    (quiet,) = trained(tmp_path / "quiet", silence=("wrong-data-range",))
    assert quiet.alarms == [alarm for alarm in seen.alarms if alarm.name != "wrong-data-range"]
    for line in (tmp_path / "watched" / "logs.jsonl").read_text().splitlines():
        assert json.loads(line)["step"] <= 40


def test_a_doctor_that_stumbles_leaves_and_the_training_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor.Doctor, "visit", lambda *_: 1 / 0)
    trained(tmp_path / "run")
    told = capsys.readouterr().err
    assert told.count("the doctor has left, the training goes on (ZeroDivisionError") == 1
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_a_fault_can_be_told_within_two_hundred_updates():
    """Three looks with samples by then: some signs want one before, and to be seen twice."""
    task_class = find("dcgan")
    data = birds(task_class)
    task = build(task_class, data)
    seen = doctor.Doctor(task, data)
    for t in range(20, 401, 20):
        seen.visit(t, {}, {}, task)
    looked = [v.t for v in seen.history if "shift of a mean colour" in v.samples]
    assert looked == [60, 120, 180, 300, 400]


def test_names_of_alarms_are_checked():
    with pytest.raises(UserError, match="no such alarm, did you mean mode-collapse"):
        doctor.check_names(("mode-colapse",))


def test_a_finished_run_is_examined(tmp_path, capsys):
    """From its losses: a gradient that exploded; and the alarms that it wrote down."""
    from translate.commands.doctor import doctor as command

    rows = [{"step": 50 * i, "D": 1.0, "gradient_G": 3.0 if i < 9 else 5e3} for i in range(1, 11)]
    alarm = doctor.Alarm(200, "mode-collapse", {"spread over the data's": 0.01}, "samples differ less", "--x")
    text = "".join(json.dumps(row) + "\n" for row in [*rows, doctor.line(alarm)]) + '{"step": 5'
    (tmp_path / "logs.jsonl").write_text(text)
    assert [found.name for found in doctor.past(tmp_path)] == ["exploding-gradient"]
    assert doctor.past(tmp_path)[0].step == 450 and doctor.alarms(tmp_path) == [alarm]
    command(str(tmp_path))
    told = capsys.readouterr()
    assert told.out.index("mode-collapse at update 200") < told.out.index("exploding-gradient at update 450")
    assert "pictures were not looked at" in told.err
    command(str(tmp_path), silence=("exploding-gradient", "mode-collapse"))
    assert "nothing to worry about" in capsys.readouterr().out
    with pytest.raises(UserError, match="is no run: it has no logs.jsonl"):
        command(str(tmp_path / "nowhere"))


def test_an_ear_hears_and_changes_nothing():
    """Ranks, D's loss and the pull on G by hand; the values are the game's own."""
    from models.common import objectives

    ear, game = (
        vitals.Ear(objectives.game("non-saturating")),
        objectives.game("non-saturating"),
    )
    real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[1.0], [0.0]])
    assert ear.discriminate(real, fake) == game.discriminate(real, fake)
    assert vitals.mean(ear.ranks) == (1 + 1 + 0 + 0.5) / 4
    smooth = torch.tensor([[0.9], [0.9]])
    assert ear.discriminate(real, fake, smooth) == game.discriminate(real, fake, smooth)
    wrong = torch.tensor([[9.0], [9.0]])
    loss = game.discriminate(real, fake, mismatched=wrong)
    assert ear.discriminate(real, fake, mismatched=wrong) == loss > game.discriminate(real, fake)
    assert ear.losses[-1] == 2 * game.as_fake(fake).mean(), "whether D reads or not"
    assert vitals.mean(ear.ranks) == (1 + 1 + 0 + 0.5) / 4, "wrong captions are no made pictures"
    x, y = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)

    def D(pictures):
        return pictures.mean((1, 2, 3))

    assert ear.fool(D, x, y) == game.fool(D, x, y)
    assert vitals.mean(ear.pulls) == pytest.approx(float((-D(x)).sigmoid().mean()))
    assert ear.made is not None and torch.equal(ear.real, y)


def test_measures_by_hand():
    flat = torch.zeros(4, 3, 8, 8)
    assert vitals.spread(flat) == 0 and vitals.grid_power(flat) == (0, 0)
    board = 0.5 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).expand(4, 3, 8, 8)
    assert vitals.grid_power(board) == pytest.approx((0.25, 0.25)), "its variance, all of it in the grid"
    smooth = torch.linspace(-1, 1, 8).expand(4, 3, 8, 8)
    assert vitals.grid_power(smooth)[1] == pytest.approx(float(smooth[0, 0].var(unbiased=False)))
    assert vitals.grid_over(board + smooth, smooth) > 10 > 1 == vitals.grid_over(smooth, smooth)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert vitals.correlation(x, -x) == pytest.approx(-1, abs=1e-5)
    assert vitals.moment_distance(x, x) == 0 and vitals.moment_distance(x + 5, x) > 10
    assert symptoms.turning([0, 1, 0, 1, 0], 0.5) == 3 and symptoms.turning([0, 0.2, 0, 0.2], 0.5) == 0
    assert symptoms.turning([0, 1, 2, 3], 0.5) == 0


def test_the_page_shows_the_newest_alarms(tmp_path):
    pytest.importorskip("gradio")
    from translate.ui.models import alarmed

    assert alarmed(tmp_path) == ""
    found = [doctor.Alarm(t, "memorised", {"x": 0.1}, "copies", "--color-jitter 0.2") for t in range(5)]
    rows = [json.dumps(doctor.line(alarm)) for alarm in found]
    (tmp_path / "logs.jsonl").write_text(
        "\n".join([*rows, '{"step": 9, "alarm": {"name": 3}}', '{"alarm": 1}'])
    )
    text = alarmed(tmp_path)
    assert (
        text.count("**memorised** at update") == 3 and "update 4: copies (x 0.1). Try: --color-jitter" in text
    )
