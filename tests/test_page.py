"""The page's handlers as plain functions."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from translate.config import UserError
from translate.inference import images, sixteen
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model

ROOT = Path(__file__).resolve().parent.parent
PALETTE = {"ground": "#0000de", "wall": "#0030ff", "window": "#037fff"}


def model(folder, task, kind, **settings):
    torch.manual_seed(0)
    Task = find(task)
    channels = {"image": 3} if kind == "images" else {"a": 3, "b": 3}
    names = {} if kind == "images" else {"a": "line", "b": "emoji"}
    info = DataInfo(kind=kind, name="somewhere", count=3, channels=channels, names=names)
    return write_model(folder, Task(dataclasses.replace(Task.tiny(), **settings), info), 7)


def photo(path, size=(90, 60), **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model(root / "both-ways", "cyclegan", "unpaired")
    sketch = model(root / "sketch", "pix2pix", "paired", generator="unet128", size=128)
    (sketch / "examples").mkdir()
    for i in range(3):
        photo(sketch / "examples" / f"{i}.png", (64, 64))
    photo(sketch / "preview.png", (200, 100))
    model(root / "noise", "dcgan", "images")
    facts = model(root / "labels", "pix2pix", "paired", generator="unet128", size=128) / "config.json"
    plan = [["wall", 100, 100, 900, 1000], ["window", 200, 300, 400, 500], ["no such label", 0, 0, 9, 9]]
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"palette": PALETTE, "plan": plan}))
    return root


# --- handlers ---------------------------------------------------------------------------------------------


def test_translate_gives_a_file_of_the_same_size(shelf, tmp_path):
    from translate.ui.translate import FULL, translate

    made = translate(shelf, "both-ways", str(photo(tmp_path / "a b.jpg")))
    assert made.file.name == "a b-both-ways.png" and Image.open(made.file).size == (90, 60)
    assert made.note.startswith("90 × 60 px in ") and made.before.size == made.pictures[0].size == (90, 60)
    assert tmp_path / "gradio" in made.file.parents, "nothing is written outside the page's folder"
    back = translate(shelf, "both-ways", str(tmp_path / "a b.jpg"), "BtoA")
    assert back.file.read_bytes() != made.file.read_bytes()
    big = str(photo(tmp_path / "big.png", (300, 200)))
    assert "translated at 128 px" in translate(shelf, "sketch", big).note
    assert "translated at" not in translate(shelf, "sketch", big, size=FULL).note


def test_translate_keeps_sixteen_bits_and_alpha(shelf, tmp_path):
    from translate.ui.translate import translate

    deep = tmp_path / "deep.tiff"
    deep.write_bytes(sixteen.tiff(np.full((20, 30, 4), 40000, np.uint16), None))
    made = translate(shelf, "both-ways", str(deep))
    shown = made.source
    assert shown.endswith("deep.png") and images.decode(shown).bits == 16
    assert torch.equal(images.decode(shown).tensor, images.decode(deep).tensor)
    out = images.decode(made.file)
    assert (
        out.bits == 16 and out.alpha.mean().item() == pytest.approx(40000 / 65535) and "16 bits" in made.note
    )
    again = translate(shelf, "both-ways", shown, keep_alpha=False)
    assert images.decode(again.file).alpha is None and again.source == shown


def test_strength_brush_and_every_style(shelf, tmp_path):
    from translate.inference.painting import painted_at
    from translate.ui.translate import painter, styles, translate

    assert painter(shelf.entry("both-ways")) and not painter(shelf.entry("sketch"))
    source = str(photo(tmp_path / "a.png", (200, 120)))
    given = images.decode(source).tensor
    whole = translate(shelf, "both-ways", source).pictures[0].tensor
    none = translate(shelf, "both-ways", source, strength=0.0)
    half = translate(shelf, "both-ways", source, strength=0.5)
    assert (none.pictures[0].tensor - given).abs().max() < 3 / 255 and "strength 0%" in none.note
    assert (whole - given).abs().mean() > 1.5 * (half.pictures[0].tensor - given).abs().mean() > 0.01
    side = painted_at(shelf.entry("both-ways").size, 2.5)
    broad = translate(shelf, "both-ways", source, brush=2.5)
    assert broad.pictures[0].size == (200, 120) and f"painted at {side} px" in broad.note and side < 200
    board = styles(shelf, source)
    assert board.alt == ("both-ways",) and board.before.size == (200, 120)
    with pytest.raises(UserError, match="Give a picture first"):
        styles(shelf, None)


def test_the_size_is_known_before_a_picture_is_read(tmp_path):
    from translate.ui.pictures import pixels

    for name in ("a.png", "a.jpg", "a.webp", "a.tiff"):
        assert pixels(str(photo(tmp_path / name, (30, 20)))) == 600
    (tmp_path / "text.png").write_text("This is no picture.")
    assert pixels(str(tmp_path / "text.png")) == 0


def test_a_list_of_models_anew_does_not_undo_a_choice_made_meanwhile(shelf):
    import gradio as gr

    from translate.ui.parts import Chooser

    with gr.Blocks():
        chooser = Chooser(shelf, shelf.translators, "chooser")
    again = chooser.refreshed("sketch")
    assert "value" not in again and '"name": "sketch"' in again["cards"]
    assert chooser.refreshed("gone")["value"] == chooser.refreshed(None)["value"] == "both-ways"


def test_handlers_answer_mistakes_with_a_sentence(shelf, tmp_path):
    from translate.ui.samples import sample
    from translate.ui.translate import translate

    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match="^text.png holds text, not a picture"):
        translate(shelf, "both-ways", str(tmp_path / "text.png"))
    with pytest.raises(UserError, match="Give a picture first"):
        translate(shelf, "both-ways", None)
    for name in ("../both-ways", str(shelf.folders[0] / "both-ways"), "absent", None):
        with pytest.raises(UserError, match="there is no model"):
            translate(shelf, name, str(photo(tmp_path / "a.jpg")))
    for count in (0, 1000, None):
        with pytest.raises(UserError, match="1 to 64"):
            sample(shelf, "noise", count, 0)


def test_sample_gives_pictures_and_a_sheet(shelf):
    from translate.ui.samples import sample

    one, two = sample(shelf, "noise", 5, 3), sample(shelf, "noise", 5, 3)
    assert len(one.pictures) == 5 and one.file.read_bytes() == two.file.read_bytes()
    assert one.file.name == "noise-seed-3.png" and "seed 3" in one.note


def test_shelf_keeps_few_models_and_notices_new_weights(shelf, models, tmp_path, monkeypatch):
    from translate.ui.shelf import Shelf

    monkeypatch.setattr("translate.ui.shelf.LOADED", 3)

    assert [e.name for e in shelf.entries()] == ["both-ways", "labels", "noise", "sketch"]
    root = tmp_path / "models"
    for i in range(4):
        shutil.copytree(models / "both-ways", root / f"m{i}")
    several = Shelf([root])
    first = several.pipeline("m0")
    assert several.pipeline("m0") is first
    os.utime(root / "m0" / "weights.safetensors", (1, 1))  # as when a run saves again
    again = several.pipeline("m0")
    assert again is not first and len(several.loaded) == 1
    for name in ("m1", "m2", "m3"):
        several.pipeline(name)
    assert len(several.loaded) == 3 and several.pipeline("m0") is not again
    (root / "m0" / "config.json").write_text('{"task": "unheard-of"}')
    assert [e.name for e in several.entries()] == ["m1", "m2", "m3"]


def test_several_pictures_stop_when_asked_and_keep_what_is_done(shelf, tmp_path, monkeypatch):
    from translate.ui.several import translate_all

    def stop_at_third(share, words):
        if words.startswith("picture 3 of 3"):  # then what is done and how long it takes
            shelf.lanes.stop("me")

    files = [
        str(photo(tmp_path / f"{folder}" / "same.png")) for folder in "abc" if not (tmp_path / folder).mkdir()
    ]
    monkeypatch.setattr("translate.ui.lanes.EVERY", 0)
    batch = translate_all(shelf, "both-ways", files, session="me", report=stop_at_third)
    assert [name for _, name in batch.pictures] == ["same-both-ways.png", "same-both-ways-2.png"]
    assert batch.note.startswith("2 of 3 pictures in") and "Cancelled;" in batch.note
    for sources, sentence in ((None, "Give pictures first"), (files * 50, "150 files are too many")):
        with pytest.raises(UserError, match=sentence):
            translate_all(shelf, "both-ways", sources)


@pytest.mark.parametrize("auth", ["user", "user:", ":password"])
def test_serve_refuses_half_a_login(auth, tmp_path):
    pytest.importorskip("gradio")
    from translate.ui.page import serve

    with pytest.raises(UserError, match="user:password"):
        serve("127.0.0.1", None, auth, False, None)
    with pytest.raises(UserError, match="no folder"):
        serve("127.0.0.1", None, None, False, tmp_path / "absent")


def write_log(folder, points):
    """`logs.jsonl` with lines at (step, time); two pictures an update."""
    lines = [dict(step=step, images=2 * step, time=at, G=1 / step, D=0.5) for step, at in points]
    (folder / "logs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_status_of_a_run(tmp_path):
    pytest.importorskip("gradio")
    from translate.ui.models import Log

    write_log(tmp_path, [(step, 1000.0 + step) for step in range(0, 200, 2) if step])
    log = Log.read(tmp_path)
    now = log.changed + 5
    assert log.status(398, now) == "**In training**: update 198 of 398, 2 images/s, about 3 min left."
    assert log.status(198, now).startswith("Finished: update 198 of 198, 396 images")
    assert log.status(398, now + 900).startswith("Stopped at update 198 of 398; the same command")
    curves = log.curves()
    assert set(curves["loss"]) == {"G", "D"} and len(curves) == 2 * 99 and curves["step"].max() == 198
    assert Log.read(tmp_path / "absent").status(5, now).startswith("Shipped")


def test_long_logs_are_averaged_and_a_half_written_line_is_left_out(tmp_path):
    pytest.importorskip("gradio")
    from translate.ui.models import POINTS, Log

    write_log(tmp_path, [(step, 1000.0 + step) for step in range(1, 2001)])
    with (tmp_path / "logs.jsonl").open("a") as file:
        file.write('{"step": 2001, "ima')
    curves = Log.read(tmp_path).curves()
    of_G = curves[curves["loss"] == "G"]
    assert len(of_G) <= POINTS and of_G["value"].iloc[0] == pytest.approx(sum(1 / n for n in range(1, 8)) / 7)


# --- rectangles of labels ---------------------------------------------------------------------------------


def test_a_plan_is_drawn_in_the_exact_colours_of_its_labels(shelf):
    from translate.ui import rectangles

    entry = shelf.entry("labels")
    plan = json.loads(rectangles.begin(entry))
    assert plan["start"] == [[1, 100, 100, 900, 1000], [2, 200, 300, 400, 500]] == plan["shapes"]
    image = np.asarray(rectangles.drawn(entry, json.dumps(plan), 100))
    assert {tuple(c) for c in image.reshape(-1, 3)} == {(0, 0, 0xDE), (0, 0x30, 255), (3, 0x7F, 255)}
    assert (image == (0, 0x30, 255)).all(2).sum() == 80 * 90 - 20 * 20, "the later one lies on top"
    assert (image[30:50, 20:40] == (3, 0x7F, 255)).all()
    backwards = json.dumps({"shapes": [[2, 400, 500, 200, 300]]})
    assert (np.asarray(rectangles.drawn(entry, backwards, 100))[30:50, 20:40] == (3, 0x7F, 255)).all()
    assert Image.open(rectangles.saved(entry, json.dumps(plan))).size == (128, 128)


@pytest.mark.parametrize(
    "plan",
    [
        *("", "[]", "{}", '{"shapes": [[7, 0, 0, 9, 9]]}', '{"shapes": [[0, 1]]}', None, '{"shapes": 1}'),
        *('{"shapes": [[Infinity, 0, 0, 9, 9]]}', '{"shapes": [[1e30, 0, 0, 9, 9]]}', "[" * 5000),
        *('{"shapes": [["a", 0, 0, 9, 9]]}', '{"shapes": {"a": 1}}'),
    ],
)
def test_a_plan_from_elsewhere_is_refused_in_a_sentence(shelf, plan):
    from translate.ui import rectangles

    with pytest.raises(UserError, match="press Start again"):
        rectangles.drawn(shelf.entry("labels"), plan)


def test_strokes_are_drawn_black_on_white_and_erased(shelf):
    from translate.ui import drawing

    line = [[20, 100, 500, 900, 500]]
    image = np.asarray(drawing.picture(json.dumps(line), 100).convert("L"))
    assert image[50, 50] == 0 and image[30, 50] == 255 and image[50, 5] == 255
    assert 0.015 < (image < 128).mean() < 0.03, "2 % of the height, 80 % of the width, round ends"
    erased = np.asarray(drawing.picture(json.dumps([*line, [-100, 500, 400, 500, 600]]), 100).convert("L"))
    assert erased[50, 50] == 255 and erased[50, 20] == 0
    assert drawing.is_blank("[]") and drawing.is_blank(None) and drawing.is_blank("[[-9, 1, 1]]")
    assert Image.open(drawing.saved(json.dumps([[9, 5, 5]]))).size == (drawing.SIDE, drawing.SIDE)
    for bad in ("[[1e999, 1, 1]]", "[[1, 2]]", "[[1]]", '[["a", 1, 1]]', "{", "1", "[" * 5000, '{"a": 1}'):
        with pytest.raises(UserError, match="press Empty and draw again"):
            drawing.saved(bad)


def test_models_without_a_palette_have_no_board(shelf):
    from translate.ui import drawing, rectangles

    assert rectangles.palette(shelf.entry("sketch")) == [] and drawing.drawable(shelf.entry("sketch"))
    assert drawing.drawable(shelf.entry("labels"))


BROKEN = {
    "damaged": ("{", "its config.json is missing, damaged or of another kind"),
    "a-list": ("[1]", "of another kind"),
    "odd": ('{"task": "cyclegan", "config": 3}', "of another kind"),
    "odd-size": ('{"task": "cyclegan", "config": {"size": "x"}}', "of another kind"),
    "newer": ('{"task": "unheard-of", "config": {}, "info": {}}', "'unheard-of' is not known here"),
    "half": ('{"task": "cyclegan", "config": {}, "info": {}}', "no weights.safetensors: half copied"),
}


def test_folders_that_cannot_be_used_are_told_in_a_sentence_and_the_others_work(
    models, tmp_path, monkeypatch
):
    from translate.inference.catalog import trouble
    from translate.ui.page import build
    from translate.ui.shelf import Shelf
    from translate.ui.translate import translate

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    root = tmp_path / "models"
    shutil.copytree(models / "both-ways", root / "whole")
    shutil.copytree(models / "both-ways", root / "cut")
    weights = root / "cut" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    for name, (text, _) in BROKEN.items():
        (root / name).mkdir()
        (root / name / "config.json").write_text(text)
        if name == "newer":
            (root / name / "weights.safetensors").write_bytes(b"")
    shelf = Shelf([root])
    assert build(shelf) and {entry.name for entry in shelf.translators()} == {"whole", "cut"}
    assert {entry.name for entry in shelf.everything()} == {"whole", "cut", *BROKEN}
    for name, (_, told) in BROKEN.items():
        assert told in trouble(root / name)
        with pytest.raises(UserError, match="there is no model"):
            translate(shelf, name, str(photo(tmp_path / "a.jpg")))
    with pytest.raises(UserError, match="weights.safetensors cannot be read"):
        translate(shelf, "cut", str(tmp_path / "a.jpg"))
    assert translate(shelf, "whole", str(tmp_path / "a.jpg")).file.exists() and trouble(root / "whole") == ""


def test_the_wall_shows_what_models_made_and_leads_to_them(shelf, models):
    from types import SimpleNamespace

    from translate.ui import wall
    from translate.ui.pictures import folder

    assert wall.filled("Pictures", shelf.translators()) == "", "nothing is ready yet"
    wall.paint(shelf, folder())
    shown = wall.filled("Pictures", shelf.translators())
    assert shown.count("<button") == 2 and shown.count("<img") == 4 and 'data-model="sketch"' in shown
    files = list((folder() / wall.SHOWN).glob("*.webp"))
    assert len(files) == 5 and all(max(Image.open(file).size) <= 2 * wall.SIDE for file in files)
    event = SimpleNamespace(_data={"model": "sketch", "example": 1})
    assert wall.asked(event, shelf).given == models / "sketch" / "examples" / "1.png"
    for data in ({"model": "../sketch", "example": 1}, {"model": "sketch", "example": 99}, {}, None):
        with pytest.raises(UserError, match="not there any more"):
            wall.asked(SimpleNamespace(_data=data), shelf)
