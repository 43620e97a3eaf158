"""`--eval-every`: scores in the log, the best weights kept, a curve, and when to stop."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import World, build
from tests.test_evaluate import cache, judge  # noqa: F401
from translate import figures
from translate.config import UserError
from translate.metrics import during
from translate.task import find
from translate.training import checkpoint
from translate.training.loop import train


def evaluated(folder, judge, steps=4, **settings):  # noqa: F811
    task_class, data = find("dcgan"), World("images", 16, 12)
    usual = dict(steps=steps, output=folder, preview_every=0, eval_every=1, eval_count=6, eval_features=judge)
    config = dataclasses.replace(task_class.tiny(), **usual | settings)
    task = build(task_class, data, config)
    observer = during.Evaluation(task, data, data, config)
    train(task, data, config, data, [observer])
    return observer


def scores(folder):
    lines = [json.loads(line) for line in (folder / "logs.jsonl").read_text().splitlines()]
    return {line["step"]: line["mind[small]"] for line in lines if "mind[small]" in line}


def test_the_best_weights_are_kept_and_a_resumed_run_goes_on(judge, tmp_path):  # noqa: F811
    whole = tmp_path / "whole"
    evaluated(whole, judge)
    found = scores(whole)
    assert list(found) == [1, 2, 3, 4] and all(value > 0 for value in found.values())
    best = min(found, key=found.get)
    assert checkpoint.read_config(whole / "best")[3]["steps"] == best
    assert checkpoint.read_model(whole / "best") and (whole / "evaluation.png").stat().st_size > 1000
    parts = tmp_path / "parts"
    for steps in (2, 4):
        evaluated(parts, judge, steps=steps)
    assert scores(parts) == found
    assert (parts / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()
    assert checkpoint.read_config(parts / "best")[3]["steps"] == best
    evaluated(tmp_path / "blind", judge, eval_every=9)
    assert (tmp_path / "blind" / "weights.safetensors").read_bytes() == (
        whole / "weights.safetensors"
    ).read_bytes()


def test_it_says_once_when_nothing_gets_better(judge, tmp_path, monkeypatch):  # noqa: F811
    task = build(find("dcgan"), World("images", 16, 12))
    config = dataclasses.replace(task.config, eval_every=10, eval_features=judge, eval_metric="mind")
    observer, told = during.Evaluation(task, World("images", 16), World("images", 16), config), []
    values = iter([9.0, 5.0, 5.1, 4.95, 5.3, 5.2, 5.1, 5.0, 3.0])
    monkeypatch.setattr(observer, "score", lambda task: ("mind[small]", next(values), 0.1))
    monkeypatch.setattr(observer, "say", told.append)
    log = tmp_path / "logs.jsonl"
    for t in range(10, 100, 10):
        line = observer(SimpleNamespace(t=t, task=task, folder=tmp_path))
        with log.open("a") as file:
            file.write(json.dumps({"step": t} | line) + "\n")
    assert len(told) == 1 and told[0].startswith("update 70: mind[small] has not improved for 5 evaluations")
    assert "4.95 at update 40" in told[0]
    assert checkpoint.read_config(tmp_path / "best")[3]["steps"] == 90


def test_an_unknown_metric_is_refused_before_training(judge):  # noqa: F811
    task = build(find("dcgan"), World("images", 16, 12))
    for settings, sentence in (
        (dict(eval_metric="fdi"), "--eval-metric fdi: there is no such metric"),
        (dict(eval_features="nothing-like"), "no features 'nothing-like'"),
    ):
        config = dataclasses.replace(task.config, **dict(eval_features=judge) | settings)
        with pytest.raises(UserError, match=sentence):
            during.Evaluation(task, World("images", 16), World("images", 16), config)


def test_the_standard_error_is_that_of_the_mean():
    """Of the Frechet distance of numbers N(m, 1) to N(0, 1): m² grows with error 2 m / sqrt(n)."""
    made = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)) + 5
    real = torch.randn(400, 1, generator=torch.Generator().manual_seed(1))
    assert during.standard_error("fid", made, real, 0) == pytest.approx(2 * 5 / 20, rel=0.6)


def test_a_curve_is_drawn():
    picture = figures.curve([(10, 5.0), (20, 3.0), (30, 4.0)], "fid", 1)
    assert picture.size == (480, 270)
    colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert (0x1F, 0x5F, 0xA8) in colours and (0xC2, 0x41, 0x0C) in colours
    assert figures.curve([(10, 5.0)], "fid", 0).size == (480, 270)


def test_networks_that_have_not_begun_are_not_scored(judge, tmp_path):  # noqa: F811
    """Else the best of a model of captions could be what it drew while it learned to read."""
    task = build(find("glann"), World("images", 16, 12))
    config = dataclasses.replace(task.config, eval_every=1, eval_features=judge)
    observer = during.Evaluation(task, World("images", 16), World("images", 16), config)
    assert task.begins == 1 and observer(SimpleNamespace(t=1, task=task, folder=tmp_path)) == {}
    assert not (tmp_path / "best").exists()
