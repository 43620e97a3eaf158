"""The doctor of models of captions, and of methods whose networks learn one after the other."""

import dataclasses

import pytest
import torch

import datasets
from tests.conftest import build
from tests.test_doctor import deaf, names, often, rate, watch
from translate import doctor
from translate.task import find


@pytest.mark.parametrize("name", ["stackgan", "df_gan", "dit"])
def test_captions_that_nobody_reads_are_told(name, monkeypatch):
    """Of every method of captions, as of GAN-CLS above."""
    often(monkeypatch, 20)
    seen = watch(name, before=deaf, split="test", batch_size=4, count=24, steps=40)
    alarm = next(alarm for alarm in seen.alarms if alarm.name == "text-ignored")
    assert alarm.step == 40 and max(map(abs, alarm.evidence.values())) < 1e-3


def test_games_of_captions_are_heard():
    """A D that wins against G, and does not read yet."""

    def wins(task, update):
        rate(update, G=0, D=10)

    seen = watch("gan_cls", before=wins, batch_size=4, count=24, steps=120)
    v = seen.history[-1]
    assert "discriminator-wins" in names(seen), v
    assert v.game == "non-saturating" and v.rank > 0.99 and v.loss_D < 0.05 and v.moments > 0


PHASES = {
    "gan_cls": (dict(text_steps=2, steps=4), 2),
    "stackgan": (dict(stage1_steps=2, steps=5), 3),
    "dit": (dict(autoencoder_steps=2, steps=5, decoder_steps=1), 3),
    "glann": (dict(steps=4), 2),
    "rae": (dict(steps=4), 2),
    "gmmn": (dict(space="codes", ae_share=0.5, steps=4), 2),
    "domain": (dict(fixed=True, alone=0.5, steps=4), 2),
}


@pytest.mark.parametrize("name", PHASES)
def test_pictures_are_not_judged_before_all_networks_learn(name, monkeypatch):
    """`begins` is the first update at which each network that is exported has moved."""
    settings, begins = PHASES[name]
    monkeypatch.setattr(doctor.Doctor, "every", 1)
    often(monkeypatch, 1)
    kept = []

    def keep(task, update, t):
        kept.append([[p.clone() for p in getattr(task, part).parameters()] for part in task.exported])

    seen = watch(name, during=keep, batch_size=2, count=12, **settings)
    moved = [
        next((t for t, (a, b) in enumerate(zip(kept, kept[1:], strict=False)) if differ(a[i], b[i])), 0)
        for i in range(len(kept[0]))
    ]
    assert max(moved) == begins
    looked = [any(not name.startswith("data's") for name in v.samples) for v in seen.history]
    assert looked == [v.t > begins for v in seen.history]


def differ(before, after) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_pictures_of_a_finished_run_are_looked_at(tmp_path, capsys):
    """A generator that draws one picture, whatever the noise; and one that has not begun."""
    from translate.commands.doctor import doctor as command
    from translate.training import checkpoint

    for name, steps, sentence in (
        ("dcgan", 500, "mode-collapse at update 500: samples differ far less than the data does"),
        ("glann", 1, "not all of its networks learned, which would begin at update 5"),
    ):
        config = dataclasses.replace(find(name).tiny(), data="birds:24", steps=10)
        task = build(find(name), datasets.load("images", "birds:24", size=config.size), config)
        if name == "dcgan":
            with torch.no_grad():
                for p in task.G.layers[0].parameters():
                    p.zero_()
        folder = checkpoint.write_model(tmp_path / name, task, steps)
        (folder / "logs.jsonl").write_text('{"step": 50, "D": 1.0}\n')
        command(str(folder))
        told = capsys.readouterr()
        assert sentence in told.out + told.err
    assert "nothing to worry about in its losses and gradient norms (" in told.out
