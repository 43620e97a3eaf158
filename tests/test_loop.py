"""The training loop, by numbers: updates, schedules, averages, accumulation, logs, previews, stops."""

import dataclasses
import json
import math
import re

import pytest
import torch
from PIL import Image
from torch import nn

from models.translation.cyclegan import CycleGAN
from models.translation.pix2pix import Pix2Pix
from tests.conftest import World, build
from translate.config import RunConfig, UserError
from translate.task import DataInfo, Task
from translate.training import checkpoint
from translate.training.loop import NonFinite, Update, train
from translate.training.observers import preview_batch
from translate.training.stream import Stream

INFO = DataInfo.of(World("images", 8).info)


class Alone:
    num_processes, device = 1, torch.device("cpu")


class Slope(Task):
    """y = w x by gradient descent; w, its average and its loss can be followed by hand."""

    Config, data, takes, exported = RunConfig, "images", ("noise",), ("line",)

    def __init__(self, config, info):
        super().__init__(config, info)
        self.line = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.line.weight)

    def optimizers(self):
        return {"line": torch.optim.SGD(self.line.parameters(), lr=self.config.learning_rate)}

    def step(self, batch, t, update):
        loss = self.line(batch["image"].new_ones(1, 1)).sum()  # dL/dw = 1
        update("line", loss)
        return {"loss": loss.detach(), "t": torch.tensor(float(t))}

    def preview(self, batch):
        return {"output": batch["image"]}

    @classmethod
    def tiny(cls):
        return RunConfig(size=8, batch_size=1, learning_rate=0.1)


def logs(folder):
    return [json.loads(line) for line in (folder / "logs.jsonl").read_text().splitlines()]


# --- schedules, averages, clipping ---


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [(1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]),
    ],
)
def test_learning_rate_schedules(schedule, expected, learn, tmp_path):
    """As functions of t, and as applied: w falls by 0.1 times the factor in each update."""
    task = learn(Slope, World("images", 8), steps=8, lr_schedule=schedule, log_every=1)
    assert [task.lr_scale(t, "G") for t in range(8)] == pytest.approx(expected)
    losses = [line["loss"] for line in logs(tmp_path / "run")]
    assert losses == pytest.approx([1 - 0.1 * sum(expected[:t]) for t in range(8)], abs=1e-5)


def test_moving_average_is_the_formula(learn, tmp_path):
    """w̄ <- β w̄ + (1 - β) w with β = min(0.5, (1 + t) / (10 + t)), from the first weights on; exported."""
    task = learn(Slope, World("images", 8), steps=12, ema=0.5)
    live = mean = 1.0
    for t in range(12):
        live -= 0.1
        beta = min(0.5, (1 + t) / (10 + t))
        mean = beta * mean + (1 - beta) * live
    assert task.line.weight.item() == pytest.approx(live, abs=1e-6)
    assert task.averaged["line"].weight.item() == pytest.approx(mean, abs=1e-6)
    exported = checkpoint.load_file(tmp_path / "run" / "weights.safetensors")["line.weight"]
    assert exported.item() == pytest.approx(mean, abs=1e-6) and abs(mean - live) > 0.05


@pytest.mark.parametrize(("clip", "moved"), [(0.0, 0.1), (0.25, 0.025), (5.0, 0.1)])
def test_clipping(clip, moved, learn):
    task = learn(Slope, World("images", 8), steps=1, clip=clip)
    assert 1 - task.line.weight.item() == pytest.approx(moved, rel=1e-4)


def test_an_update_sends_gradients_only_to_its_own_optimizer():
    task = build(Pix2Pix, World("paired", 16))
    update = Update(task, task.config, Alone(), None)
    batch = preview_batch(World("paired", 16), 2)
    fake = task.G(batch["a"])
    before = [p.clone() for p in task.D.parameters()]
    update("G", task.D(torch.cat([batch["a"], fake], 1)).mean())
    assert all(p.grad is None for p in task.D.parameters())
    assert all(torch.equal(p, b) for p, b in zip(task.D.parameters(), before, strict=True))
    assert all(p.grad is not None for p in task.G.parameters())


# --- accumulation ---


@pytest.mark.parametrize(("task_class", "kind"), [(Pix2Pix, "paired"), (CycleGAN, "unpaired")])
def test_two_batches_of_four_are_one_of_eight(task_class, kind, learn, tmp_path):
    """And the pool answers the same pictures, however they come in batches."""
    runs = []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        folder = tmp_path / f"{accumulate}"
        settings = dict(steps=2, batch_size=batch_size, accumulate=accumulate, output=folder, log_every=1)
        runs.append(learn(task_class, World(kind, 16, count=20), **settings))
    for (name, one), two in zip(runs[0].named_parameters(), runs[1].parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-6, rtol=0, msg=name)
    for one, two in zip(logs(tmp_path / "1"), logs(tmp_path / "2"), strict=True):
        assert one["images"] == two["images"] == 8 * one["step"]
        names = one.keys() - {"step", "images", "time"}
        assert [one[n] for n in names] == pytest.approx([two[n] for n in names], abs=2e-5)
    if kind == "unpaired":
        assert runs[0].pool_X.pushed == runs[1].pool_X.pushed == 16
        torch.testing.assert_close(runs[0].pool_X.pictures, runs[1].pool_X.pictures, atol=1e-5, rtol=0)


def test_a_step_may_descend_one_optimizer_several_times():
    """Accumulation keeps the calls of a step apart: two calls, two batches, each call the mean of its two."""
    task = Slope(dataclasses.replace(Slope.tiny(), accumulate=2), INFO)
    update = Update(task, task.config, Alone(), None)
    for number, (first, second) in enumerate([(1.0, 10.0), (3.0, 30.0)]):
        update.begin(number)
        for slope in (first, second):
            update("line", slope * task.line.weight.sum())
    assert task.line.weight.item() == pytest.approx(1 - 0.1 * 2 - 0.1 * 20)


# --- precision ---


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16", "auto"])
def test_precisions_learn_alike(precision, learn):
    """Weights stay float32; two updates in any precision stay near those in float32."""
    exact = learn(Pix2Pix, World("paired", 16), steps=2)
    rough = learn(
        Pix2Pix, World("paired", 16), steps=2, mixed_precision=precision, output=exact.config.output / "r"
    )
    for one, two in zip(exact.parameters(), rough.parameters(), strict=True):
        assert two.dtype == torch.float32
        torch.testing.assert_close(one, two, atol=1e-3, rtol=0)


def test_a_gradient_too_large_for_fp16_skips_a_step_and_halves_the_scale():
    task = Slope(Slope.tiny(), INFO)
    update = Update(task, task.config, Alone(), torch.float16)
    scale = update.scalers["line"].get_scale()
    update("line", 1e38 * task.line.weight.sum())
    assert task.line.weight.item() == 1 and update.scalers["line"].get_scale() == scale / 2
    update("line", task.line.weight.sum())
    assert task.line.weight.item() == pytest.approx(0.9)


def test_the_scale_of_fp16_is_resumed(learn, tmp_path):
    for steps in (2, 3):
        learn(Slope, World("images", 8), steps=steps, mixed_precision="fp16")
    facts = json.loads((checkpoint.states(tmp_path / "run")[-1][1] / "state.json").read_text())
    scaler = facts["scalers"]["line"]  # the first step was skipped: 65536 is too large for fp16
    assert (scaler["scale"], scaler["_growth_tracker"]) == (32768, 2)


# --- what is not finite ---


class Explosive(Slope):
    """Fails at update 3: in the loss, in the gradient alone, or in the weights without notice."""

    how = "loss"

    def step(self, batch, t, update):
        w = self.line.weight.sum()
        if t == 3 and self.how == "loss":
            w = w * torch.tensor(float("inf"))
        if t == 3 and self.how == "gradient":
            w = (w - w.detach()).abs().sqrt()  # 0, with an infinite slope
        update("line", w)
        return {"loss": w.detach()}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("loss", "the loss of line is infinite or not a number"),
        ("gradient", "a gradient of line is infinite or"),
    ],
)
def test_numbers_that_are_not_finite_stop_the_run_after_saving(how, expected, learn, tmp_path, monkeypatch):
    monkeypatch.setattr(Explosive, "how", how)
    with pytest.raises(UserError) as stop:
        learn(Explosive, World("images", 8), steps=9)
    said = str(stop.value)
    assert said.startswith(f"update 3: {expected}") and f"state saved in {tmp_path / 'run'}" in said
    seen = [Stream(World("images", 8), 1, 0).batch(3)["file"][0]]
    assert f"files of the batch: {', '.join(seen)};" in said
    ((t, path),) = checkpoint.states(tmp_path / "run")
    state, _ = checkpoint.read_state(path)
    assert t == 3 and state["task.line.weight"].item() == pytest.approx(0.7)
    monkeypatch.setattr(Explosive, "how", "no more")
    task = learn(Explosive, World("images", 8), steps=9)
    assert task.line.weight.item() == pytest.approx(0.1, abs=1e-6)


def test_a_broken_picture_is_named_and_harms_nothing(learn, tmp_path):
    """Batch norm has seen it before the loss could tell: its statistics are put back before saving."""
    with pytest.raises(UserError, match="the loss of D is|the loss of G is") as stop:
        learn(Pix2Pix, World("paired", 16, broken=5), steps=50, norm="batch", batch_size=2)
    assert "picture-5.png" in str(stop.value) and "state saved" in str(stop.value)
    state, _ = checkpoint.read_state(checkpoint.states(tmp_path / "run")[-1][1])
    assert all(torch.isfinite(value).all() for value in state.values())
    assert any("running_mean" in name for name in state)


def test_a_loss_that_fails_in_the_first_of_two_batches_is_seen():
    task = Slope(dataclasses.replace(Slope.tiny(), accumulate=2), INFO)
    update = Update(task, task.config, Alone(), None)
    update.begin(0)
    update("line", task.line.weight.sum() * float("nan"))
    update.begin(1)
    with pytest.raises(NonFinite, match="the loss of line"):
        update("line", task.line.weight.sum())
    assert task.line.weight.item() == 1


# --- logs, trackers, previews ---


def test_logs_hold_means_and_count_images(learn, tmp_path):
    learn(Slope, World("images", 8), steps=7, log_every=3, batch_size=2, accumulate=2)
    lines = logs(tmp_path / "run")
    assert [(line["step"], line["images"], line["t"]) for line in lines] == [
        (3, 12, 1),
        (6, 24, 4),
        (7, 28, 6),
    ]
    assert lines[0].keys() == {"step", "images", "time", "loss", "t", "gradient_line"}


def test_tensorboard(learn, tmp_path):
    learn(Slope, World("images", 8), steps=4, log_every=2, report_to=("tensorboard",))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "translate")).Reload()
    assert [(e.step, round(e.value, 3)) for e in events.Scalars("loss")] == [(2, 0.95), (4, 0.75)]
    assert [e.value for e in events.Scalars("images")] == [2, 4]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tensorbord", "--report-to tensorbord: unknown, did you mean tensorboard? The trackers are "),
        ("swanlab", "--report-to swanlab: the package is not installed; `pip install swanlab`"),
    ],
)
def test_trackers_that_cannot_be(name, expected, learn, tmp_path):
    with pytest.raises(UserError) as refusal:
        learn(Slope, World("images", 8), steps=1, report_to=(name,))
    assert expected in str(refusal.value) and not (tmp_path / "run").exists()


def test_previews_show_input_output_and_truth(learn, tmp_path):
    data, held_out = World("paired", 16), World("paired", 16, count=3)
    task = learn(Pix2Pix, data, held_out, steps=4, preview_every=2, preview_count=5, ema=0.9)
    folder = tmp_path / "run" / "previews"
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000002.png", "step-00000004.png"]
    picture = Image.open(folder / "step-00000004.png").convert("RGB")
    assert picture.size == (3 * 20 + 4, 3 * 20 + 4 + 18)  # three columns, and the three rows there are
    batch = preview_batch(held_out, 5)
    with torch.no_grad(), task.eval().using_average():
        made = task.generate(image=batch["a"])
    for column, expected in enumerate([batch["a"], made, batch["b"]]):
        corner = picture.getpixel((4 + 20 * column, 18 + 4))
        for value, x in zip(corner, expected[0, :, 0, 0], strict=True):
            assert value == pytest.approx((x.item() + 1) * 127.5, abs=1)


def test_previews_do_not_change_the_weights(learn, tmp_path):
    with_previews = learn(CycleGAN, World("unpaired", 16), steps=3, preview_every=1)
    without = learn(CycleGAN, World("unpaired", 16), steps=3, output=tmp_path / "other")
    for one, two in zip(with_previews.state_dict().values(), without.state_dict().values(), strict=True):
        assert torch.equal(one, two)


# --- continuing ---


def test_a_trained_out_run_says_so_and_more_steps_continue_it(learn, tmp_path, capsys):
    learn(Slope, World("images", 8), steps=3)
    assert f"done: {tmp_path / 'run'}. Use it: python -m translate sample" in capsys.readouterr().out
    task = learn(Slope, World("images", 8), steps=3)
    assert "already has 3 of 3 updates; raise --steps to train on" in capsys.readouterr().out
    assert task.line.weight.item() == pytest.approx(0.7)
    task = learn(Slope, World("images", 8), steps=5)
    assert task.line.weight.item() == pytest.approx(0.5) and len(logs(tmp_path / "run")) == 2
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'run'} continues at update 3\ndone: ")
    learn(Slope, World("images", 8, count=9), steps=6)
    assert "note: the data had 7 samples, has 9: the order changes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (dict(size=12), "holds a run with --size 16, this command says 12;"),
        (dict(learning_rate=1e-3), "holds a run with --learning-rate 0.0002, this command says 0.001;"),
        (dict(norm="batch"), "holds a run with --norm instance, this command says batch;"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(change, expected, learn, tmp_path):
    learn(Pix2Pix, World("paired", 16), steps=1)
    before = (tmp_path / "run" / "weights.safetensors").read_bytes()
    with pytest.raises(UserError) as refusal:
        learn(Pix2Pix, World("paired", 16), steps=2, **change)
    assert expected in str(refusal.value) and "another --output" in str(refusal.value)
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == before
    allowed = "learning_rate" in change
    assert ("add --allow-change to go on with the new value" in str(refusal.value)) == allowed
    if not allowed:  # --allow-change is for batch size and learning rate alone
        with pytest.raises(UserError, match="this command says"):
            learn(Pix2Pix, World("paired", 16), steps=2, allow_change=True, **change)


def test_settings_that_do_not_matter_to_the_result_may_change(learn):
    learn(Slope, World("images", 8), steps=1)
    learn(Slope, World("images", 8), steps=2, save_every=7, log_every=3, workers=1, keep_states=1)


def test_time_saves_and_previews_too(learn, tmp_path):
    """Where an update takes long, people need not wait for `--save-every` of them."""
    settings = dict(steps=3, save_every=100, preview_every=100, keep_states=9)
    learn(Slope, World("images", 8), save_minutes=0, **settings)
    run = tmp_path / "run"
    assert [t for t, _ in checkpoint.states(run)] == [1, 2, 3]
    assert len(list((run / "previews").iterdir())) == 3
    learn(Slope, World("images", 8), output=tmp_path / "rarely", **settings)
    assert [t for t, _ in checkpoint.states(tmp_path / "rarely")] == [3]


def test_only_the_newest_states_are_kept(learn, tmp_path):
    learn(Slope, World("images", 8), steps=7, save_every=2, keep_states=2)
    assert [t for t, _ in checkpoint.states(tmp_path / "run")] == [6, 7]


def test_train_returns_the_folder(tmp_path):
    config = dataclasses.replace(Slope.tiny(), output=tmp_path / "a" / "b", steps=1)
    data = World("images", 8)
    assert train(build(Slope, data, config), data, config) == tmp_path / "a" / "b"


def test_init_from_a_run_or_a_model_begins_with_its_weights(learn, tmp_path, capsys):
    """Networks that fit are copied before the moving average starts; others, and pools, start anew."""
    world = World("unpaired", 16)
    first = learn(CycleGAN, world, steps=2, output=tmp_path / "first")
    settings = dict(steps=1, learning_rate=1e-12, ema=0.5, patch="1", pool=7)
    for source in (tmp_path / "first", tmp_path / "model"):
        if source.name == "model":
            checkpoint.write_model(source, first, 2)
        second = learn(CycleGAN, world, init_from=source, output=tmp_path / f"from-{source.name}", **settings)
        assert f"started from {source}; not all of D_X, D_Y fits" in capsys.readouterr().out
        for network in (second.G, second.averaged["F"]):
            origin = first.G if network is second.G else first.F
            for ours, theirs in zip(network.parameters(), origin.parameters(), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    learn(CycleGAN, world, init_from=source, output=tmp_path / "from-model", **(settings | {"steps": 2}))
    assert "started from" not in capsys.readouterr().out  # a run that continues has its own weights


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("nothing", "nothing/weights.safetensors cannot be read"), ("wide", "none of its .* tensors fits")],
)
def test_init_from_what_cannot_serve(folder, expected, learn, tmp_path):
    if folder == "wide":
        learn(Slope, World("images", 8), steps=1, output=tmp_path / folder)
    with pytest.raises(UserError, match=expected):
        learn(CycleGAN, World("unpaired", 16), steps=1, init_from=tmp_path / folder)


def test_a_failing_sample_stops_the_run_with_its_own_error(learn):
    class Unreadable(World):
        def sample(self, index, generator):
            raise UserError(f"picture-{index}.png cannot be read")

    with pytest.raises(UserError, match=re.escape(".png cannot be read")):
        learn(Slope, Unreadable("images", 8), steps=3)
