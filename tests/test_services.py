"""What a method may ask of the loop: means over processes, rates, undoing, a last touch, codes, a lock."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from tests.children import ROOT
from tests.conftest import World, build
from tests.test_loop import INFO, Alone, Slope, logs
from translate.config import RunConfig, UserError
from translate.task import Task
from translate.training import checkpoint, lock
from translate.training.loop import NonFinite, Update, train
from translate.training.observers import Observer, samples_for
from translate.training.stream import Stream


def test_two_processes_agree_on_a_reduced_scalar_and_on_weights_that_one_of_them_reaches(tmp_path):
    """k is the same in both to the last bit; a gradient that one process has counts half; none stays none."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.agreement", str(tmp_path)]
    variables = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert one == two
    assert one["branch.weight"] == pytest.approx(1 - 3 * 0.1 / 2) and one["never.weight"] == 1
    everything, k, w = Stream(World("images", 8), 4, 0), 0.0, 1.0
    for t in range(3):
        seen = everything.batch(t)["image"].mean().item()
        k, w = k + 0.1 * seen, w - 0.1 * seen
    assert one["k"] == pytest.approx(k, abs=1e-6) and one["net.weight"] == pytest.approx(w, abs=1e-6)
    assert "gradient_net" in logs(tmp_path)[-1]


def test_the_mean_of_one_process_is_the_value_without_its_graph():
    value = torch.tensor(2.0, requires_grad=True)
    mean = Update(Slope(Slope.tiny(), INFO), Slope.tiny(), Alone(), None).mean(value)
    assert mean == 2 and not mean.requires_grad


class TwoRates(Slope):
    """The first optimizer stands still in the second half, the other learns twice as fast."""

    def __init__(self, config, info):
        super().__init__(config, info)
        self.other = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.other.weight)

    def optimizers(self):
        return super().optimizers() | {"other": torch.optim.SGD(self.other.parameters(), lr=0.1)}

    def lr_scale(self, t, name):
        return 2.0 if name == "other" else float(t < 2)

    def step(self, batch, t, update):
        update("line", self.line.weight.sum())
        update("other", self.other.weight.sum())
        return {}


def test_each_optimizer_has_its_own_schedule(learn):
    task = learn(TwoRates, World("images", 8), steps=4)
    assert task.line.weight.item() == pytest.approx(1 - 0.2)
    assert task.other.weight.item() == pytest.approx(1 - 4 * 0.2)


def test_gradient_norms_are_logged_by_optimizer(learn, tmp_path):
    """Before clipping; the mean over the updates since the last line."""

    class Steeper(Slope):
        def step(self, batch, t, update):
            update("line", (t + 1) * self.line.weight.sum())
            return {}

    learn(Steeper, World("images", 8), steps=4, log_every=2, clip=0.5)
    assert [line["gradient_line"] for line in logs(tmp_path / "run")] == [1.5, 3.5]


class Remembers(Slope):
    """Changes a running mean, a k and a table before its loss turns out to be no number."""

    def __init__(self, config, info):
        super().__init__(config, info)
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("k", torch.tensor(0.5))
        self.register_buffer("pool", torch.zeros(3, 2))

    def step(self, batch, t, update):
        seen = batch["image"].mean().reshape(1, 1).expand(2, 1)
        self.norm(seen + torch.tensor([[0.0], [1.0]]))
        self.k += 0.25
        self.pool[t] = t + 1.0
        update("line", self.line.weight.sum() * (float("nan") if t == 2 else 1.0))
        return {}

    def optimizers(self):
        return {"line": torch.optim.SGD([*self.line.parameters(), *self.norm.parameters()], lr=0.1)}


def test_a_refused_update_puts_back_all_small_buffers(learn, tmp_path):
    with pytest.raises(UserError, match="update 2: the loss of line is infinite"):
        learn(Remembers, World("images", 8), steps=3)
    state, _ = checkpoint.read_state(checkpoint.states(tmp_path / "run")[-1][1])
    assert state["task.k"] == 1.0 and state["task.norm.num_batches_tracked"] == 2
    assert state["task.pool"].tolist() == [[1, 1], [2, 2], [0, 0]]


def test_accumulation_keeps_a_gradient_that_one_batch_alone_has():
    task = TwoRates(dataclasses.replace(TwoRates.tiny(), accumulate=2), INFO)
    both = torch.optim.SGD([*task.line.parameters(), *task.other.parameters()], lr=0.1)
    task.optimizers = lambda: {"both": both}
    update = Update(task, task.config, Alone(), None)
    for number, loss in enumerate([task.line.weight.sum(), task.other.weight.sum()]):
        update.begin(number)
        update("both", loss)
    assert task.line.weight.item() == task.other.weight.item() == pytest.approx(1 - 0.1 / 2)


# --- codes: a model's last touch, no memory, the right pictures ---


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesConfig(RunConfig):
    """Codes"""

    fail: bool = False


class Codes(Task):
    """A code for each picture, and the normal distribution that fits them, which alone is exported."""

    Config, data, takes, exported = CodesConfig, "images", ("noise",), ("decoder",)
    noise_shape, by_index = (2,), True

    def __init__(self, config, info):
        super().__init__(config, info)
        self.codes = nn.Embedding(info.count, 2)
        self.decoder = nn.Linear(2, 3 * 8 * 8)
        self.decoder.register_buffer("mean", torch.zeros(2))

    def optimizers(self):
        return {"all": torch.optim.Adam(self.parameters(), lr=0.1)}

    def before_export(self):
        self.decoder.mean.copy_(self.codes.weight.detach().mean(0))

    def step(self, batch, t, update):
        made = self.generate(self.codes(batch["index"]))
        loss = (made - batch["image"]).square().mean()
        update("all", loss)
        return {"loss": loss.detach()}

    def generate(self, noise):
        return self.decoder(noise + self.decoder.mean).view(-1, 3, 8, 8).tanh()

    @classmethod
    def tiny(cls):
        return cls.Config(size=8, batch_size=2)


def test_the_export_finishes_something_first(learn, tmp_path):
    task = learn(Codes, World("images", 8), steps=3)
    exported = checkpoint.load_file(tmp_path / "run" / "weights.safetensors")["decoder.mean"]
    torch.testing.assert_close(exported, task.codes.weight.detach().mean(0))
    assert exported.abs().sum() > 0


def test_a_table_of_codes_takes_no_memory_when_the_model_is_loaded(tmp_path, monkeypatch):
    """Ten thousand million codes: 80 GB, if they were allocated."""
    task = build(Codes, World("images", 8))
    checkpoint.write_model(tmp_path, task, 1)
    info = dataclasses.replace(task.info, count=10_000_000_000)
    monkeypatch.setattr(checkpoint, "read_config", lambda folder: (Codes, task.config, info, {}))
    read = checkpoint.read_model(tmp_path)
    assert not hasattr(read, "codes") and not any(p.is_meta for p in [*read.parameters(), *read.buffers()])
    z = torch.randn(2, 2)
    assert torch.equal(read(noise=z), task.eval()(noise=z))


def test_what_no_file_holds_is_named(tmp_path, monkeypatch):
    class Forgetful(Codes):
        def __init__(self, config, info):
            super().__init__(config, info)
            self.decoder.register_buffer("grid", torch.arange(3), persistent=False)

    task = build(Forgetful, World("images", 8))
    checkpoint.write_model(tmp_path, task, 1)
    monkeypatch.setattr(checkpoint, "read_config", lambda folder: (Forgetful, task.config, task.info, {}))
    with pytest.raises(TypeError, match="Forgetful.decoder.grid is in no file"):
        checkpoint.read_model(tmp_path)


def test_previews_use_the_training_pictures_own_indices_where_codes_are_looked_up():
    data, held_out = World("images", 8, count=7), World("images", 8, count=70)
    codes = samples_for(build(Codes, data), data, held_out, 6)
    assert codes["index"].max() < 7 and torch.equal(codes["index"], samples_for(
        build(Slope, data), data, None, 6)["index"])  # fmt: skip
    assert samples_for(build(Slope, data), data, held_out, 6)["index"].max() >= 7


# --- observers ---


class Witness(Observer):
    every = 3

    def __init__(self):
        self.seen = []

    def __call__(self, seen):
        with seen.inference():
            assert not seen.task.training and not torch.is_grad_enabled()
            weight = seen.task.line.weight.item()
        self.seen.append((seen.t, seen.logs["t"], seen.norms["line"], len(seen.samples["index"]), weight))
        return {"score": float(seen.t)}


def test_observers_are_called_when_due_and_what_they_find_is_logged(learn, tmp_path):
    """Every third update and after the last, with the newest means; and they change nothing."""
    data, witness = World("images", 8), Witness()
    config = dataclasses.replace(
        Slope.tiny(), steps=7, log_every=1, preview_every=0, preview_count=5, output=tmp_path / "run"
    )
    task = build(Slope, data, config)
    train(task, data, config, World("images", 8, count=9), [witness])
    assert [(t, step, count) for t, step, _, count, _ in witness.seen] == [(3, 2, 5), (6, 5, 5), (7, 6, 5)]
    assert [norm for _, _, norm, _, _ in witness.seen] == [1, 1, 1]
    assert [w for *_, w in witness.seen] == pytest.approx([0.7, 0.4, 0.3])
    assert [line.get("score") for line in logs(tmp_path / "run")] == [None, None, 3, None, None, 6, 7]
    alone = learn(Slope, data, steps=7, output=tmp_path / "alone")
    assert torch.equal(alone.line.weight, task.line.weight)


@pytest.mark.parametrize(("every", "due"), [(0, []), (4, [4, 8, 10]), (5, [5, 10]), (99, [10])])
def test_observers_times_follow_from_the_number_of_the_update(every, due):
    watching = Witness()
    watching.every = every
    assert [t for t in range(1, 11) if watching.due(t, 10)] == due
    assert not watching.due(3, 10, late=True), "a kill's minutes are the previews' business"


# --- two trainings in one folder ---


def test_a_second_training_in_the_same_folder_is_refused(trainer, tiny_cyclegan, learn, tmp_path):
    """It names the process and the host of the first, which goes on; a kill leaves nothing in the way."""
    folder = tmp_path / "run"
    flags = [*tiny_cyclegan, "--save-every", 1000, "--output", folder]
    process = trainer.start(*flags, "--steps", 1000)
    trainer.until(lambda: (folder / ".lock").exists() and (folder / ".lock").read_text().endswith("\n"))
    named = re.escape(f"{folder} is being trained by process {process} on {os.uname().nodename}; wait")
    with pytest.raises(UserError, match=named):
        learn(Slope, World("images", 8), steps=1, output=folder)
    os.kill(process, signal.SIGKILL)
    assert trainer.wait()[0] == -signal.SIGKILL and (folder / ".lock").exists()
    code, printed = trainer.run(*flags, "--steps", 2)
    assert code == 0, printed
    assert not (folder / ".lock").exists()


@pytest.mark.parametrize("left", ["process 1 on another-host\n", ""])
def test_a_lock_that_nobody_holds_is_taken_over(left, tmp_path):
    (tmp_path / lock.NAME).write_text(left)
    with lock.locked(tmp_path):
        assert (tmp_path / lock.NAME).read_text() == f"process {os.getpid()} on {os.uname().nodename}\n"
        with pytest.raises(UserError, match=f"is being trained by process {os.getpid()} on "):
            with lock.locked(tmp_path):
                pass
    assert not (tmp_path / lock.NAME).exists()


HOLDING = """
import socket, sys, time
from pathlib import Path
socket.gethostname = lambda: "machine-b"
from translate.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_machine_on_the_same_folder_is_named_and_its_death_frees_the_folder(tmp_path):
    """Two real processes that go by two host names, on one file system that locks for both."""
    other = subprocess.Popen([sys.executable, "-c", HOLDING, tmp_path], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=f"is being trained by process {other.pid} on machine-b;"):
            with lock.locked(tmp_path):
                pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert (tmp_path / lock.NAME).read_text().endswith("on machine-b\n"), "stale"
    with lock.locked(tmp_path):
        assert (tmp_path / lock.NAME).read_text() == f"process {os.getpid()} on {os.uname().nodename}\n"


def test_a_refusal_in_the_middle_of_accumulation_is_still_one():
    task = Slope(dataclasses.replace(Slope.tiny(), accumulate=2), INFO)
    update = Update(task, task.config, Alone(), None)
    update.begin(0)
    update("line", task.line.weight.sum() * float("inf"))
    update.begin(1)
    with pytest.raises(NonFinite):
        update("line", task.line.weight.sum())


# --- going on otherwise ---


class Seen(Slope):
    """Remembers which pictures it was shown."""

    def step(self, batch, t, update):
        self.shown = [*getattr(self, "shown", []), batch["index"].tolist()]
        return super().step(batch, t, update)


def test_batch_size_and_learning_rate_may_change_on_purpose(learn, tmp_path, capsys):
    """The weight falls by the new rate, pictures go on where they were; output, log and card tell it."""
    data, folder = World("images", 8), tmp_path / "run"
    whole = learn(Seen, data, steps=6, output=tmp_path / "whole")
    begun = learn(Seen, data, steps=2, log_every=1)
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\n## Scores\n\nfid 3\n")
    capsys.readouterr()
    changed = dict(batch_size=2, learning_rate=0.05, log_every=1)
    task = learn(Seen, data, steps=4, allow_change=True, **changed)
    assert task.line.weight.item() == pytest.approx(1 - 2 * 0.1 - 2 * 0.05)
    assert begun.shown + [[i] for both in task.shown for i in both] == whole.shown
    said = [
        "--batch-size 2, before 1, from update 2 on",
        "--learning-rate 0.05, before 0.1, from update 2 on",
    ]
    printed = capsys.readouterr().out
    assert all(f"note: {each}\n" in printed for each in said)
    card = "\n".join(f"- {each}" for each in said)
    assert f"## Changed while training\n\n{card}\n" in (folder / "README.md").read_text()
    assert "## Scores\n\nfid 3" in (folder / "README.md").read_text()
    assert [line["images"] for line in logs(folder)] == [1, 2, 4, 6]
    learn(Seen, data, steps=5, **changed)  # they are the run's own values now
    with pytest.raises(UserError, match="--batch-size 2, this command says 1"):
        learn(Seen, data, steps=6)
    learn(Seen, data, steps=6, allow_change=True, batch_size=3, learning_rate=0.05)
    text = (folder / "README.md").read_text()
    assert (
        text.count("## Changed while training") == 1 and "--batch-size 3, before 2, from update 5 on" in text
    )
    assert said[0] in text
