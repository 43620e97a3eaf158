"""Sets of labels: read from tables, learned with an adversary, named by the command line."""

import dataclasses
import json
import sys

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import datasets
from datasets.base import DataError
from datasets.sets import labels_in, rows_of, split
from models.translation.multi_label import MultiLabel, micro_f1
from translate import __main__
from translate.cli import exit_code
from translate.task import DataInfo

INFO = DataInfo(kind="sets", name="x", count=8, channels={"image": 1}, classes=("a", "b", "c"))


def collection(root, count: int = 12):
    """Pictures that are red, green or both, dark or bright, and labels.csv that says so."""
    lines = ["file,labels,shape"]
    for i in range(count):
        red, green, bright = i % 3 != 1, i % 3 != 0, i % 2
        level = 255 if bright else 120
        Image.new("RGB", (16, 16), (level * red, level * green, 0)).save(root / f"{i}.png")
        names = [name for name, has in (("red", red), ("green", green), ("bright", bright)) if has]
        lines.append(f"{i}.png,{'|'.join(names)},{'round' if i % 2 else 'square'}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


def test_cells():
    assert (
        split("a| b;c") == ["a", "b", "c"] and split("a, b") == ["a", "b"] and split(["x", 3]) == ["x", "3"]
    )
    assert split("big red|small, round") == ["big red", "small, round"] and split(None) == []
    row = {"File": "1.png", "Tags": "x|y", "group": "3", "sub-group": "7", None: ["more"]}
    assert labels_in(row, ()) == {"x", "y"}
    assert labels_in(row, ("group", "sub_group")) == {"group 3", "sub_group 7"}


def test_tables_of_every_kind():
    wanted = [{"file": "1.png", "labels": "a|b"}]
    assert rows_of("t.csv", "file,labels\n1.png,a|b\n") == wanted
    assert rows_of("t.tsv", "file\tlabels\n1.png\ta|b\n") == wanted
    assert rows_of("t.jsonl", json.dumps(wanted[0])) == wanted
    assert rows_of("t.json", json.dumps({"1.png": "a|b"})) == rows_of("t.json", json.dumps(wanted)) == wanted
    with pytest.raises(DataError, match="t.json is no JSON file or a damaged one"):
        rows_of("t.json", "{")


def test_sets_of_a_folder(tmp_path):
    data = datasets.load("sets", str(collection(tmp_path)), size=16)
    assert data.info["classes"] == ["bright", "green", "red"] and len(data) == 12
    assert [data.sample(i, torch.Generator())["set"].tolist() for i in (0, 1)] == [[0, 0, 1], [1, 1, 0]]
    batch = data.batch(torch.tensor([1, 0]), lambda place: torch.Generator())
    assert batch["set"].tolist() == [[1, 1, 0], [0, 0, 1]]
    shapes = datasets.load("sets", str(tmp_path), size=16, columns=("shape",))
    assert shapes.info["classes"] == ["shape round", "shape square"]
    with pytest.raises(
        DataError, match="no columns file and colour .*labels.csv has the columns file, labels"
    ):
        datasets.load("sets", str(tmp_path), size=16, columns=("colour",))
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(DataError, match="sets data needs pictures and a table"):
        datasets.load("sets", str(tmp_path), size=16)


def test_pictures_that_no_row_names_are_left_out(tmp_path):
    collection(tmp_path)
    Image.new("RGB", (16, 16)).save(tmp_path / "new.png")
    data = datasets.load("sets", str(tmp_path), size=16)
    assert len(data) == 12 and all("new" not in data.sample(i, torch.Generator())["file"] for i in range(12))


def test_birds_have_all_their_attributes():
    data = datasets.load("sets", "birds:20", size=16)
    sample = data.sample(3, torch.Generator())
    names = {name for name, has in zip(data.info["classes"], sample["set"].tolist(), strict=True) if has}
    assert names == {f"{what} {value}" for what, value in data.attributes(3).items()} and len(names) == 9


def test_f1_by_hand():
    told = torch.tensor([[1, 1, 0], [0, 0, 0]]).bool()
    truth = torch.tensor([[1, 0, 0], [0, 1, 0]]).bool()
    assert micro_f1(told, truth).item() == pytest.approx(2 * 1 / (2 + 1 + 1))
    assert micro_f1(truth, truth) == 1 and micro_f1(told & False, truth & False) == 1


class Recorded:
    def __init__(self):
        self.losses = {}

    def __call__(self, name, loss):
        self.losses[name], self.newest = loss.detach(), loss

    def gradient(self, parameter):
        """Of the newest loss."""
        return torch.autograd.grad(self.newest, parameter, retain_graph=True)[0]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_step_is_what_is_printed(weight):
    """The losses pair by pair; the second and third set are alike, so neither is a mismatch of the other."""
    torch.manual_seed(0)
    task = MultiLabel(dataclasses.replace(MultiLabel.tiny(), adversarial=weight), INFO)
    task.G.layers[-1].bias.data[:] = torch.tensor([0.5, -0.5, 0.5])
    x = torch.rand(3, 1, 16, 16)
    s = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    with torch.no_grad():
        logits = task.G(x)
        told = logits.sigmoid()
        named = F.binary_cross_entropy_with_logits(logits, s).item()
        told = (told > 0.5).float()  # the sets as decided
        wrong = [s[2], s[0], told[2]]
        D = fool = 0.0
        for i in range(3):
            pair = [task.D(x[i : i + 1], v[None]) for v in (s[i], told[i], wrong[i])]
            D += (F.softplus(-pair[0]) + (F.softplus(pair[1]) + F.softplus(pair[2])) / 2).item() / 3
            fool += F.softplus(-pair[1]).item() / 3
    update = Recorded()
    logs = task.step({"image": x, "set": s}, 0, update)
    assert logs["cross-entropy"].item() == pytest.approx(named, rel=1e-4)
    assert update.losses["G"].item() == pytest.approx(named + weight * fool, rel=1e-4)
    assert ("D" in update.losses) == bool(weight) and list(task.optimizers()) == list(
        "GD"[: 1 + bool(weight)]
    )
    if weight:
        assert update.losses["D"].item() == pytest.approx(D, rel=1e-4)


def test_the_game_begins_later_and_its_gradient_goes_straight_through():
    torch.manual_seed(0)
    task = MultiLabel(dataclasses.replace(MultiLabel.tiny(), steps=10, alone=0.3, adversarial=1.0), INFO)
    batch, update = {"image": torch.rand(3, 1, 16, 16), "set": torch.eye(3)}, Recorded()
    assert set(task.step(batch, 2, update)) == {"F1", "cross-entropy"}
    logs = task.step(batch, 3, update)
    told = task.G(batch["image"]).sigmoid()
    sets = (told > 0.5).float().requires_grad_()
    F.softplus(-task.D(batch["image"], sets)).mean().backward()
    wanted = torch.autograd.grad(told, task.G.layers[-1].bias, sets.grad, retain_graph=True)[0]
    named = F.binary_cross_entropy(told, batch["set"])
    wanted += torch.autograd.grad(named, task.G.layers[-1].bias)[0]
    torch.testing.assert_close(update.gradient(task.G.layers[-1].bias), wanted)
    assert logs["fool"] > 0


def test_learns_and_names_from_the_command_line(learn, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    data = datasets.load("sets", str(collection(folder)), size=16)
    task = learn(MultiLabel, data, channels=8, hidden=16, batch_size=12, steps=60, learning_rate=5e-3)
    batch = data.batch(torch.arange(12), lambda place: torch.Generator())
    with torch.no_grad():
        told = task.eval().classify(batch["image"]) > 0.5
    assert micro_f1(told, batch["set"] > 0.5) > 0.95

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["translate", *map(str, words)])
        return exit_code(__main__.main), *capsys.readouterr()

    assert capsys.readouterr().out.endswith(f"translate classify IN --model {task.config.output}\n")
    model = ["--model", task.config.output]
    code, out, _ = run("classify", folder / "0.png", folder / "1.png", *model, "--top", 2)
    first, second = out.splitlines()
    assert code == 0 and first.split("\t")[1].startswith("red ")
    assert {name.split()[0] for name in second.split("\t")[1:]} == {"green", "bright"}
    code, _, said = run("image", folder / "0.png", *model, "--output", tmp_path / "x.png")
    assert code == 2 and "use `python -m translate classify`" in said
    (folder / "no.png").write_text("no picture")
    code, out, said = run("classify", folder / "no.png", folder / "0.png", *model)
    assert code == 1 and "no.png" in said and "0.png" in out
