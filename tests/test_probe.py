"""`auto` times the layers at hand, keeps what it found, and a run keeps what it began with."""

import dataclasses
import json
import re

import pytest
import torch
from torch import nn

import datasets
from models.common.features import Convolution
from tests.conftest import World, build
from tests.test_every_task import birds
from tests.test_pipeline import model
from translate import calls, probe
from translate.calls import Layer
from translate.probe import Choice, Way
from translate.task import find, names
from translate.training import checkpoint, dry_run, way
from translate.training.observers import preview_batch
from translate.ui.shelf import Shelf

CPU = torch.device("cpu")
FLOAT, FIRST, BF16 = Way(), Way(channels_last=False), Way("bf16")


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_CACHE", str(tmp_path / "cache"))


def given(network: nn.Module, *shape: int) -> list[Layer]:
    x = torch.zeros(shape).contiguous(memory_format=torch.channels_last)
    return calls.recorded(network, lambda: network(x))


def test_layers_are_recorded_once_with_how_often_they_are_called():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    network = nn.Sequential(conv, conv, nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 8, 1))
    layers = {str(layer.module): layer for layer in given(network, 2, 4, 16, 16)}
    assert [layer.count for layer in layers.values()] == [3, 1, 1] and "Conv2d(4, 4" in next(iter(layers))
    assert all(layer.shape == (2, 4, 16, 16) and layer.last for layer in layers.values())


def test_the_work_of_a_convolution_is_what_it_multiplies():
    """2 x places x outputs x inputs x kernel, and bytes that are moved; transposed: by the places given."""
    plain, back = nn.Conv2d(8, 16, 3, padding=1), nn.ConvTranspose2d(8, 16, 4, 2, 1)
    [one], [two] = given(plain, 1, 8, 32, 32), given(back, 1, 8, 32, 32)
    for layer, flops, made in ((one, 2 * 32**2 * 16 * 8 * 9, 32**2), (two, 2 * 32**2 * 16 * 8 * 16, 64**2)):
        numbers = 8 * 32**2 + 16 * made + sum(p.numel() for p in layer.module.parameters())
        assert layer.work == pytest.approx(flops / calls.FLOPS + 4 * numbers / calls.BYTES)


@pytest.mark.parametrize(
    ("shape", "most"), [((1, 64, 256, 256), 1e-3), ((16, 64, 64, 64), 1e-3), ((1, 4, 8, 8), 1)]
)
def test_a_piece_is_as_small_as_asked_and_says_its_share(shape, most):
    [layer] = given(nn.Conv2d(shape[1], shape[1], 3, padding=1), *shape)
    cut, share = probe.piece(layer, most)
    assert share == pytest.approx(torch.Size(cut).numel() / torch.Size(shape).numel())
    assert cut == shape if most == 1 else 0.3 * most < layer.work * share < 2 * most
    assert (shape[2] - cut[2]) % 4 == 0, "steps of kernels fall as before"


@pytest.mark.parametrize("name", names())
def test_every_step_can_be_followed_without_a_trace(name):
    """Its heaviest layers are found, in the layers of the task; no weight, buffer or random state moves."""
    task_class = find(name)
    task = build(task_class, data := birds(task_class))
    before, random = {k: v.clone() for k, v in task.state_dict().items()}, torch.get_rng_state()
    batch = way.enlarged(preview_batch(data, 2), task.config.batch_size)
    layers = calls.of_step(task, batch, task.config.steps - 1)
    owned = set(task.modules())
    assert layers and all(layer.module in owned for layer in layers)
    assert all(torch.equal(v, before[k]) and type(v) is torch.Tensor for k, v in task.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


class Slow(nn.Module):
    """Takes longer in channels_last."""

    def forward(self, x):
        for _ in range(40 if x.is_contiguous(memory_format=torch.channels_last) else 1):
            y = x.sin()
        return y


def test_the_faster_way_is_chosen_and_kept_for_the_next_process():
    calls = []

    def record() -> list[Layer]:
        calls.append(1)
        return given(Slow(), 1, 8, 64, 64)

    for known in (False, True):
        found = probe.choose("slow", record, [FLOAT, FIRST], CPU, train=False)
        assert (
            found.way == FIRST and found.known == known and str(found).startswith("float32, channels first")
        )
    assert len(calls) == 1
    probe.choose("another network", record, [FLOAT, FIRST], CPU, train=False)
    assert len(calls) == 2
    [entries] = json.loads(probe.file().read_text()).values()
    assert len(entries) == 2


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 3}', "{", None])
def test_a_damaged_file_is_measured_anew(damage):
    record = lambda: given(Slow(), 1, 8, 32, 32)  # noqa: E731
    probe.choose("slow", record, [FLOAT, FIRST], CPU, train=False)
    text = damage
    if damage is None:  # entries of another version
        text = probe.file().read_text().replace("digits", "precision")
    probe.file().write_text(text)
    assert not probe.choose("slow", record, [FLOAT, FIRST], CPU, train=False).known


def test_a_disk_that_cannot_be_written_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRANSLATE_CACHE", str(tmp_path / "file" / "below"))
    found = probe.choose("slow", lambda: given(Slow(), 1, 8, 32, 32), [FLOAT, FIRST], CPU, train=False)
    assert found.way == FIRST


def test_few_percent_are_no_reason_for_fewer_digits_or_another_layout():
    assert probe.fastest({FLOAT: 1.0, BF16: 0.96, FIRST: 0.98}) == FLOAT
    assert probe.fastest({FLOAT: 1.0, BF16: 0.5, FIRST: 0.9}) == BF16
    assert probe.fastest({FLOAT: 1.0, FIRST: 0.9}) == FIRST


def test_emulated_bfloat16_is_left_out_at_once():
    """As on this processor, or not: the small convolution and the whole agree."""
    layers = given(nn.Conv2d(64, 64, 3, padding=1), 1, 64, 32, 32)
    total = probe.timed(layers, [FLOAT, BF16], CPU, False, probe.plain)
    if BF16 not in probe.promising([FLOAT, BF16], CPU, train=False):
        assert total.get(BF16, float("inf")) > 1.5 * total[FLOAT]


def test_training_a_layer_leaves_its_gradients_and_means_alone():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    layers = given(network, 2, 4, 16, 16)
    before = network[1].running_mean.clone()
    probe.timed(layers, [FLOAT], CPU, True, probe.plain)
    assert torch.equal(network[1].running_mean, before)
    assert all(p.grad is None for p in network.parameters())


# --- runs ---


def test_a_run_keeps_the_way_it_began(learn, tmp_path, monkeypatch, capsys):
    """Though this machine would choose another now; and it comes to the weights of a run without a break."""
    chosen = [Choice(FIRST, {"float32, channels first": 1.0})]
    monkeypatch.setattr(way, "choose", lambda *_, **__: chosen[-1])
    method, world = find("pix2pix"), World("paired", 16)
    learn(method, world, steps=1, mixed_precision="auto")
    assert "runs in float32, channels first (measured now" in capsys.readouterr().out
    state = json.loads((checkpoint.states(tmp_path / "run")[-1][1] / "state.json").read_text())
    assert state["way"] == dataclasses.asdict(FIRST)
    chosen.append(Choice(BF16, {"bf16": 1.0}))
    resumed = learn(method, world, steps=2, mixed_precision="auto")
    assert "runs in float32, channels first (as the run began)" in capsys.readouterr().out
    chosen.pop()
    whole = learn(method, world, steps=2, mixed_precision="auto", output=tmp_path / "whole")
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in resumed.state_dict().items())


def test_a_step_that_needs_data_is_trained_in_float32():
    class Odd(find("ae")):
        def step(self, batch, t, update):
            batch["image"].numpy()[0] = 0
            return super().step(batch, t, update)

    task = build(Odd, world := World("images", 16))
    config = dataclasses.replace(task.config, mixed_precision="auto")
    found = way.way_of(task, config, lambda: preview_batch(world, 2), CPU)
    assert found.way == FLOAT and "needs data to be followed: RuntimeError" in str(found)


def test_the_first_process_chooses_for_all(monkeypatch):
    """Two processes, of which the second is slower in bfloat16."""
    sent = []

    class Accelerator:
        num_processes = 2

        def __init__(self, first: bool):
            self.is_main_process = first

    def broadcast(found: list) -> list:
        sent[:] = sent or found
        return sent

    monkeypatch.setattr("accelerate.utils.broadcast_object_list", broadcast)
    ways = [way.agreed(Accelerator(first), lambda: Choice(BF16)).way for first in (True, False)]
    assert ways == [BF16, BF16]


def test_dry_run_says_how_it_would_run():
    task = build(find("pix2pix"), world := World("paired", 16))
    config = dataclasses.replace(task.config, mixed_precision="auto")
    assert re.search(
        r"^runs in .*\(measured now: .* ms\), on cpu$", dry_run.describe(task, world, config), re.M
    )
    told = dataclasses.replace(task.config, mixed_precision="bf16")
    assert "\nruns in bf16, channels_last (as told), on cpu" in dry_run.describe(task, world, told)


def test_dry_run_begins_where_the_training_would(tmp_path):
    first, other = (build(find("pix2pix"), world := World("paired", 16)) for _ in range(2))
    folder = checkpoint.write_model(tmp_path / "model", first, 2)
    told = dry_run.describe(other, world, dataclasses.replace(other.config, init_from=folder))
    assert f"started from {folder}; not all of D fits" in told
    for ours, theirs in zip(other.G.parameters(), first.G.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)  # models are kept in half precision


def test_a_step_through_networks_outside_the_task_is_followed():
    """What looks through EfficientNet opens it at first use, even where shapes alone go through."""
    drawn, method = datasets.load("captions", "birds:8", size=32), find("df_gan")
    told = dict(text_sight="imagenet", discriminator="projected", lambda_text=1.0)
    task = build(method, drawn, dataclasses.replace(method.tiny(), **told))
    task.pairing.updates += 1
    layers = calls.of_step(task, preview_batch(drawn, 2), 4)
    assert len(layers) > 20 and task.D.network.open()._conv_stem.weight.any()
    foreign = [layer.module for layer in layers if layer.module not in set(task.modules())]
    assert sum(isinstance(module, Convolution) for module in foreign) > 20, "most of such a step"
    assert all(type(p.data) is torch.Tensor for module in foreign for p in module.parameters())


def test_the_page_says_how_a_model_that_was_used_runs(tmp_path):
    shelf = Shelf([model(tmp_path / "models" / "rgb").parent])
    [entry] = shelf.everything()
    assert shelf.running(entry) == ""
    shelf.pipeline("rgb")
    assert re.fullmatch(r" Runs here in float32, .*\(measured now: .* ms\)\.", shelf.running(entry))
