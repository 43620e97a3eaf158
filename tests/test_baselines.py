"""The ranking of the unconditional baselines: complete, resumable, and its page is what its results say."""

import dataclasses
import json

import pytest
import torch

from benchmarks import baselines, claims
from translate.config import home
from translate.metrics import reader as readers
from translate.task import find, names


def test_every_method_that_draws_from_noise_has_a_row_and_rows_have_real_settings():
    found = baselines.rows()
    for name in names():
        method = find(name)
        if home(name).parent.name in ("latent", "gan") and tuple(method.takes) == ("noise",):
            assert method.data != "images" or name in {task for task, _ in found.values()}, name
    for row, (task, given) in found.items():
        known = {field.name for field in dataclasses.fields(find(task).Config)}
        assert set(given) <= known, row


@pytest.fixture
def small(tmp_path, monkeypatch):
    """scikit-learn's digits, judged by a reader that knows nothing, in a page of its own."""
    pytest.importorskip("sklearn")
    torch.manual_seed(0)
    judge = tmp_path / "judge.safetensors"
    reader = readers.Reader({"class": ("a", "b")}, size=16, width=4)
    with torch.no_grad():
        for weight in (module.weight for module in reader.modules() if isinstance(module, torch.nn.Conv2d)):
            weight *= 3  # so that what is seen reaches the features of this untrained network
    readers.save(reader, judge, {})
    monkeypatch.setattr(baselines, "SETS", {"tiny": ("digits", 8, str(judge))})
    monkeypatch.setattr(baselines, "RESULTS", tmp_path / "baselines.json")
    monkeypatch.setattr(baselines, "PAGE", tmp_path / "baselines.md")
    (tmp_path / "baselines.md").write_text(
        f"before\n{baselines.MARKS[0]}\nold\n{baselines.MARKS[1]}\nothers\n{baselines.MARKS[1]}\nafter\n"
    )
    return baselines.Settings(
        folder=None, sets=("tiny",), rows=("AE, dense",), minutes=1e-4, samples=64, output=tmp_path / "runs"
    )


def test_a_ranking_is_made_kept_and_shown(small, tmp_path):
    baselines.main(small)
    results = json.loads((tmp_path / "baselines.json").read_text())["tiny"]
    row = results["AE, dense"]
    assert row["steps"] == 20 and row["frechet"] > results["real training pictures"]["frechet"]
    assert "64 against" in row["protocol"] and row["test_mse"] > 0
    page = (tmp_path / "baselines.md").read_text()
    assert (
        page.startswith("before\n")
        and page.endswith("others\n<!-- end of results -->\nafter\n")
        and "old" not in page
    )
    assert f"| AE, dense | {row['frechet']:.2f} | 0.0001 | 20 |" in page
    assert (tmp_path / "baselines-tiny.png").exists()
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    baselines.main(small)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == runs, "nothing again"
    assert json.loads((tmp_path / "baselines.json").read_text())["tiny"] == results


def test_claims_are_tried_kept_and_shown(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    page = tmp_path / "baselines.md"
    page.write_text("before\n<!-- results of benchmarks.claims -->\nold\n<!-- end of results -->\nafter\n")
    monkeypatch.setattr(claims, "RESULTS", tmp_path / "claims.json")
    monkeypatch.setattr(claims, "PAGE", page)
    settings = claims.Settings(claims=("glo",), steps=2, output=tmp_path / "runs")
    claims.main(settings)
    found = json.loads((tmp_path / "claims.json").read_text())["glo"]
    assert set(found["numbers"]) == {"AE", "GLO"} and found["numbers"]["GLO"]["train_mse"] > 0
    answer = "yes" if found["holds"] else "**no**"
    text = page.read_text()
    assert f"| {answer} |" in text and "training error" in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("after\n")
    capsys.readouterr()
    claims.main(settings)
    assert "glo" not in capsys.readouterr().out, "nothing is done again"


def test_values_that_fall():
    assert claims.falling([3, 2, 1]) and not claims.falling([3, 2, 2]) and claims.falling([1])
