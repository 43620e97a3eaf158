"""What every method must do; a new file in `models/` is covered by being there."""

import dataclasses
import json
import shutil
import traceback
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import datasets
from tests.children import weights
from tests.conftest import build
from translate import inputs
from translate.config import from_json, to_json
from translate.task import find, names
from translate.training import checkpoint
from translate.training.loop import Update
from translate.training.observers import preview_batch

ROOT = Path(__file__).resolve().parent.parent
OURS = tuple(f"{ROOT / name}/" for name in ("translate", "models", "datasets", "tests"))
every_task = pytest.mark.parametrize("name", names())


def birds(task_class, count: int = 12) -> datasets.Dataset:
    """Of the method's kind; birds stand still, so films are of digits."""
    tiny, name = task_class.tiny(), "moving-digits" if task_class.data == "frames" else "birds"
    length = getattr(tiny, "length", 5)
    return datasets.load(task_class.data, f"{name}:{count}", size=tiny.size, length=length)


def images_of(task, count: int = 3) -> dict:
    return preview_batch(birds(type(task)), count)


class Watch(Update):
    """Records what each update moves."""

    def __init__(self, task, *others):
        super().__init__(task, *others)
        self.task, self.moved, self.losses = task, {name: set() for name in self.optimizers}, []

    def __call__(self, name, loss):
        before = {key: value.detach().clone() for key, value in self.task.named_parameters()}
        super().__call__(name, loss)
        self.moved[name] |= {
            k for k, v in self.task.named_parameters() if not torch.equal(v.detach(), before[k])
        }
        self.losses.append(loss.detach())


class Reads(TorchDispatchMode):
    """Where a number of a tensor is read, for which a step would wait on a GPU."""

    allowed = ("one_hot", "draws")  # it looks at values on a CPU alone; generators of the host

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            frames = traceback.extract_stack()[:-1]  # a virtual environment in the checkout is not ours
            ours = [frame for frame in frames if frame.filename.startswith(OURS)]
            if not any(word in ours[-1].line for word in self.allowed):
                self.lines.append(f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].line}")
        return function(*args, **(kwargs or {}))


class Alone:
    num_processes, device = 1, torch.device("cpu")


@every_task
def test_two_steps_are_finite_and_each_optimizer_moves_its_own(name):
    task = build(find(name), birds(find(name)))
    watch, steps = Watch(task, task.config, Alone(), None), task.config.steps  # those of tiny()
    for t in range(steps):
        torch.manual_seed(t)
        logs = task.train().step(images_of(task, task.config.batch_size), t, watch)
        assert logs and all(value.ndim == 0 and not value.requires_grad for value in logs.values())
        assert all(torch.isfinite(value) for value in [*logs.values(), *watch.losses])
    assert all(torch.isfinite(value).all() for value in task.state_dict().values())
    batch, update = images_of(task, task.config.batch_size), Update(task, task.config, Alone(), None)
    with Reads() as reads:
        task.step(batch, steps - 1, update)
    assert [line for line in reads.lines if not line.startswith("text.py")] == []
    names_of = {id(parameter): key for key, parameter in task.named_parameters()}
    owned = {k: {names_of[id(p)] for p in group} for k, group in update.parameters.items()}
    assert watch.moved == owned
    everyone = [key for keys in owned.values() for key in keys]
    trained = [key for key, parameter in task.named_parameters() if parameter.requires_grad]
    assert sorted(everyone) == sorted(trained), "a parameter has no optimizer, or two"


@every_task
def test_resume_is_bit_equal(name, learn, tmp_path):
    data, folder = birds(find(name)), tmp_path / "run"
    settings = dict(steps=4, save_every=2, keep_states=9, ema=0.9, log_every=1, preview_every=4)
    learn(find(name), data, **settings)
    whole, lines = weights(folder), (folder / "logs.jsonl").read_text().splitlines()
    shutil.rmtree(folder / "state-000004")
    learn(find(name), data, **settings)
    assert weights(folder) == whole
    again = (folder / "logs.jsonl").read_text().splitlines()
    for line, other in zip(lines, again, strict=True):
        line, other = json.loads(line), json.loads(other)
        assert {**line, "time": 0} == {**other, "time": 0}
    assert Image.open(folder / "previews" / "step-00000004.png").size > (16, 16)


@every_task
def test_settings_survive_json(name, tmp_path):
    task_class = find(name)
    changed = dataclasses.replace(
        task_class.tiny(), output=tmp_path, load_size=99, report_to=("tensorboard", "wandb"), flip=False
    )
    for config in (task_class.Config(), task_class.tiny(), changed):
        assert from_json(task_class.Config, json.loads(json.dumps(to_json(config)))) == config


@every_task
def test_output_has_the_shape_and_range_of_pictures(name):
    task = build(find(name), birds(find(name))).eval()
    batch = images_of(task)
    with torch.no_grad():
        columns = task.preview(batch)
        for direction in task.directions:
            made = task(direction=direction, **inputs.from_batch(task, batch, direction))
            if "shown" in task.takes:  # it names pictures
                assert made.shape == (3, len(task.info.classes)) and made.min() >= 0 and made.max() <= 1
                continue
            truth = batch[task.sides(direction)[1]]
            assert made.shape == (truth[:, -1] if task.data == "frames" else truth).shape
            columns[direction] = made
        if hasattr(task, "encode"):
            z = task.encode(batch[task.sides()[0]])
            assert z.shape == (3, *task.noise_shape)
            columns["reconstruction"] = task(**inputs.from_batch(task, batch) | {"noise": z})
    for title, pictures in columns.items():
        assert len(pictures) == 3 and pictures.shape[1] in (1, 3, 4), title
        assert torch.isfinite(pictures).all() and pictures.abs().max() <= 1, title


@every_task
def test_the_pipeline_serves_it(name, tmp_path):
    """Written, read back and used: the same pictures as from the trained task, from the same seed."""
    from translate.inference import images
    from translate.inference.pipeline import Pipeline

    task = build(find(name), birds(find(name))).eval()
    checkpoint.write_model(tmp_path / "model", task, steps=7, images=21)
    read = checkpoint.read_model(tmp_path / "model")
    assert not read.training and read.config == task.config and read.info == task.info
    for exported in task.exported:
        ours, theirs = getattr(task, exported).state_dict(), getattr(read, exported).state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    orange, white = (Image.new("RGB", (21, 18), colour) for colour in ("orange", "white"))
    if "shown" in task.takes:
        told = Pipeline.from_pretrained(tmp_path / "model").classify(images.decode(orange), top=2)
        assert len(told) == 2 and set(told) <= set(task.info.classes)
        return
    ways = dict(image=orange, frames=[orange, white], text="a red bird", noise=None, label=0, mask=white)
    ask = {name: ways[name] for name in task.takes if ways[name] is not None} | {"n": 1}
    pipeline = Pipeline.from_pretrained(tmp_path / "model")
    first, again = pipeline(**ask, seed=3), pipeline(**ask, seed=3)
    assert len(first) == 1 and all(isinstance(picture, Image.Image) for picture in first)
    assert [picture.tobytes() for picture in first] == [picture.tobytes() for picture in again]
    if "image" in task.takes:
        assert first[0].width % 21 == 0 and first[0].height % 18 == 0


@every_task
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(name, precision, learn):
    task = learn(find(name), birds(find(name)), steps=2, mixed_precision=precision)
    assert all(torch.isfinite(value).all() for value in task.state_dict().values())
    assert all(parameter.dtype == torch.float32 for parameter in task.parameters())


@every_task
def test_one_picture_is_enough(name, learn, tmp_path):
    """One sample in batches of one or two is no special case."""
    for batch_size in (1, 2):
        settings = dict(steps=2, batch_size=batch_size, output=tmp_path / str(batch_size))
        task = learn(find(name), birds(find(name), 1), **settings)
        assert all(torch.isfinite(value).all() for value in task.state_dict().values())
