"""Tab Enhance: its handlers as plain functions, and in a real browser."""

# ruff: noqa: F811  fixtures come from the other files

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_browser import address, browser, page  # noqa: F401
from tests.test_page import model, photo
from translate.config import UserError
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model


def enlarger(folder, scale, look=None):
    torch.manual_seed(0)
    Task = find("srgan")
    settings = dict(scale=scale, upsampler="direct", skip="bicubic", norm="none", pretrain_steps=9)
    info = DataInfo(kind="lowres", name="somewhere", count=3, channels={"low": 3, "high": 3})
    write_model(folder, Task(dataclasses.replace(Task.tiny(), **settings), info), 7)
    facts = json.loads((folder / "config.json").read_text()) | ({"look": look} if look else {})
    (folder / "config.json").write_text(json.dumps(facts))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("enlargers")
    model(root / "both-ways", "cyclegan", "unpaired")
    enlarger(root / "photo-x4-fast", 4, "fast")
    enlarger(root / "photo-x4-sharp", 4, "sharp")
    enlarger(root / "photo-x4", 4, "faithful")
    (root / "photo-x4" / "examples").mkdir()
    photo(root / "photo-x4" / "examples" / "leaf.png", (25, 15))
    enlarger(root / "mine-x2", 2)
    return root


def test_models_are_offered_by_scale_and_look(shelf):
    from translate.ui import enhance

    assert enhance.scales(shelf) == [("× 2", 2), ("× 4", 4)]
    faithful_first = [("Faithful", "photo-x4"), ("Sharp", "photo-x4-sharp"), ("Fast", "photo-x4-fast")]
    assert enhance.looks(shelf, 4) == faithful_first and enhance.looks(shelf, 2) == [
        ("mine-x2", "mine-x2"),
        *faithful_first,
    ]
    assert [entry.name for entry in shelf.translators()] == ["both-ways"], "Translate keeps to translators"


def test_size_and_time_are_told_ahead(shelf, tmp_path):
    from translate.ui import enhance

    def forecast(*values, **more):
        return enhance.forecast(*values, **more).note

    picture = str(photo(tmp_path / "a.jpg", (60, 40)))
    ahead = forecast(shelf, "photo-x4", picture)
    assert ahead.startswith("60 × 40 → 240 × 160 px, about ") and ahead.endswith("s")
    shelf.lanes.rates["photo-x4"] = 1e-3
    assert forecast(shelf, "photo-x4", picture).endswith("about 2.4 s")
    assert forecast(shelf, "photo-x4", picture, ensemble=True).endswith("about 19.2 s")
    assert enhance.forecast(shelf, "photo-x4", None) is None is enhance.forecast(shelf, None, picture)


def test_enhance_gives_a_larger_file_and_both_for_the_slider(shelf, tmp_path):
    from translate.ui import enhance

    made = enhance.enhance(shelf, "mine-x2", str(photo(tmp_path / "a b.png", (50, 30))))
    assert made.file.name == "a b-x2.png" and Image.open(made.file).size == (100, 60)
    assert made.before.size == (50, 30) and made.note.startswith("100 × 60 px in")
    averaged = enhance.enhance(shelf, "mine-x2", str(tmp_path / "a b.png"), ensemble=True)
    difference = np.abs(
        np.asarray(Image.open(made.file), float) - np.asarray(Image.open(averaged.file), float)
    )
    assert 0 < difference.max() < 20


def test_a_model_that_does_more_halves_its_result(shelf, tmp_path):
    """Alpha, too; each pixel is the mean of four of the whole result's."""
    from translate.ui import enhance

    path = tmp_path / "a.png"
    photo(path, (50, 30))
    clear = Image.open(path).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((50, 30)))
    clear.save(path)
    whole, half = (enhance.enhance(shelf, "photo-x4", str(path), factor=factor) for factor in (None, 2))
    assert half.file.name == "a-x2.png" and half.note.startswith("100 × 60 px in")
    large, small = (np.asarray(Image.open(made.file), float) for made in (whole, half))
    assert small.shape == (60, 100, 4)

    def on_white(x):
        return np.concatenate([255 + (x[..., :3] - 255) * x[..., 3:] / 255, x[..., 3:]], 2)

    means = on_white(large).reshape(60, 2, 100, 2, 4).mean((1, 3))
    far = np.abs(means - on_white(small))  # untrained models overshoot, and clear pixels clip that
    assert far.mean() < 0.5 and np.quantile(far, 0.95) <= 2
    assert enhance.forecast(shelf, "photo-x4", str(path), factor=2).note.startswith("50 × 30 → 100 × 60 px")
    big = torch.rand(1, 3, 1030, 6)
    assert torch.allclose(enhance.smaller(big, 2), torch.nn.functional.avg_pool2d(big, 2))


def test_a_large_result_is_shown_smaller(shelf, tmp_path, monkeypatch):
    from translate.ui import enhance
    from translate.ui.visit import Visits

    monkeypatch.setattr(enhance, "SHOWN", 64)
    made = enhance.enhance(shelf, "photo-x4", str(photo(tmp_path / "a.png", (40, 20))))
    assert Image.open(made.file).size == (160, 80)
    kept = Visits().keep("me", made, "enhance")
    assert Image.open(kept.shown(0)).size == (64, 32) and Image.open(kept.before).size == (40, 20)
    assert "shown at 64 × 32" in made.note


def test_mistakes_are_sentences(shelf, tmp_path, monkeypatch):
    from translate.ui import enhance

    with pytest.raises(UserError, match="Give a picture first"):
        enhance.enhance(shelf, "photo-x4", None)
    with pytest.raises(UserError, match="--task srgan"):
        enhance.enhance(shelf, None, str(photo(tmp_path / "a.png")))
    monkeypatch.setattr("translate.inference.pipeline.LARGEST", 1000)
    with pytest.raises(UserError, match="a.png: 90 × 60 px enlarged 4 times .* give a smaller picture"):
        enhance.forecast(shelf, "photo-x4", str(tmp_path / "a.png"))
    (tmp_path / "text.png").write_text("This is no picture.")
    with pytest.raises(UserError, match="text.png holds text"):
        enhance.enhance(shelf, "photo-x4", str(tmp_path / "text.png"))


def test_the_tab_in_a_browser(page, tmp_path):
    page.get_by_role("tab", name="Enlarge").click()
    page.locator("#enhance-model").get_by_text("Sharp").wait_for()
    page.locator("#enhance-examples img").first.click()
    page.get_by_text("100 × 60 px in").wait_for()
    page.set_input_files("#enhance-input input[type=file]", photo(tmp_path / "bird.jpg", (60, 40)))
    page.get_by_text("60 × 40 → 240 × 160 px, about").wait_for()
    page.locator("#enhance-factor").get_by_text("× 2").click()
    page.get_by_text("60 × 40 → 120 × 80 px, about").wait_for()
    page.click("#enhance-go")
    page.get_by_text("120 × 80 px in").wait_for()
    page.locator("#enhance-result .before").wait_for()
    with page.expect_download() as download:
        page.click("#enhance-result .save")
    download.value.save_as(tmp_path / "out.png")
    assert download.value.suggested_filename == "bird-x2.png"
    assert Image.open(tmp_path / "out.png").size == (120, 80)
