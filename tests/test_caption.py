"""Tab Caption: its handlers as plain functions, and in a real browser."""

# ruff: noqa: F811  fixtures come from the other files

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from tests.test_browser import address, browser, page  # noqa: F401
from tests.test_page import model
from translate.config import UserError
from translate.inference import images
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model

LECTURE = "This bird is completely red with black wings and pointy beak"


def drawer(folder, name="df_gan", **settings):
    """An untrained model of captions whose pictures differ by noise and words."""
    torch.manual_seed(0)
    Task = find(name)
    data = datasets.load("captions", "birds:8", size=32)
    task = Task(dataclasses.replace(Task.tiny(), **settings), DataInfo.of(data.info))
    with torch.no_grad():
        for weight in task.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    write_model(folder, task, 7)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawers")
    model(root / "both-ways", "cyclegan", "unpaired")
    drawer(root / "birds", data="birds:8")
    drawer(root / "elsewhere", data="/no/such/folder")
    return root


def test_only_models_of_captions_are_offered(shelf):
    assert [entry.name for entry in shelf.drawers()] == ["birds", "elsewhere"]
    assert [entry.name for entry in shelf.translators()] == ["both-ways"], "Translate keeps to translators"
    said = {entry.name: (entry.folder / "README.md").read_text() for entry in shelf.drawers()}
    assert "pipeline_tag: text-to-image" in said["birds"], "where the Hub looks for it"


def seen(picture):
    """As a file of it has it, [H, W, 3]."""
    return np.asarray(images.to_image(picture.tensor), int)


def test_pictures_chips_and_a_sheet(shelf):
    from translate.ui.caption import chips, draw

    def told(caption):
        return chips(shelf.entry("birds"), caption, shelf.pipeline("birds").reading(caption))

    made = draw(shelf, "birds", LECTURE + " qwx", 5, 3)
    assert [picture.size for picture in made.pictures] == [(32, 32)] * 5
    assert Image.open(made.file).size[0] > 90 and made.file.name == "birds-seed-3.png"
    assert made.note.startswith("5 pictures in") and "seed 3. Note: " in made.note and "qwx" in made.note
    for attribute in ("crown: red", "belly: red", "wing: black", "beak shape: pointed", "<s>qwx</s>"):
        assert attribute in told(LECTURE + " qwx")
    assert "rgb(208, 40, 40)" in told(LECTURE), "a dot of the colour"
    again = draw(shelf, "birds", LECTURE + " qwx", 2, 3)
    for one, other in zip(again.pictures, made.pictures, strict=False):  # kernels round by the batch's size
        assert np.abs(seen(one) - seen(other)).max() <= 1
    tame = draw(shelf, "birds", LECTURE, 4, 3, 0.3), draw(shelf, "birds", LECTURE, 4, 3)
    spread = [np.stack([seen(p) for p in d.pictures]).std(0).mean() for d in tame]
    assert spread[0] < spread[1], "truncation makes pictures alike"
    assert "<script>" not in told("a <script> bird")


def test_words_are_the_chips_of_other_models(shelf):
    from translate.reading import Reading
    from translate.ui.caption import chips

    entry = dataclasses.replace(shelf.entry("birds"), facts={"info": {"name": "flowers"}})
    reading = Reading([2], ["this", "flower", "has", "yellow", "petals", ","], ["&amp"], False)
    shown = chips(entry, "", reading)
    assert "<span>flower</span><span>yellow</span><span>petals</span>" in shown and "this" not in shown
    assert "<s>&amp;amp</s>" in shown and chips(entry, "", Reading([2], [], [], False)) == ""


def test_what_a_model_leaves_to_chance_is_said(shelf):
    from translate.ui.caption import chips

    entry = shelf.entry("birds")
    deaf = dataclasses.replace(entry, facts=entry.facts | {"at_chance": ["beak shape"]})
    reading = shelf.pipeline("birds").reading(LECTURE)
    assert "beak shape: pointed" in chips(entry, LECTURE, reading)
    shown = chips(deaf, LECTURE, reading)
    assert "pointed" not in shown and "beak shape: left to chance by this model" in shown


def test_a_title_tells_the_beginning_of_a_long_caption(shelf):
    from translate.ui.caption import draw

    assert draw(shelf, "birds", "a red bird", 1, 0).title.endswith(": “a red bird”")
    title = draw(shelf, "birds", "a red bird " * 900, 1, 0).title
    assert "“a red bird a red bird" in title and title.endswith("…”") and len(title) < 160


def test_two_captions_are_mixed_and_a_picture_is_varied(shelf):
    from translate.ui.caption import blend, colours, draw, recoloured, variations

    ends = [draw(shelf, "birds", text, 2, 5).pictures[1] for text in ("a red bird", "a blue bird")]
    for share, end in ((0.0, ends[0]), (1.0, ends[1])):
        made = blend(shelf, "birds", ("a red bird", "a blue bird"), share, 2, 5)
        assert np.abs(seen(made.pictures[1]) - seen(end)).max() <= 1
    half = seen(blend(shelf, "birds", ("a red bird", "a blue bird"), 0.5, 2, 5).pictures[1])
    assert all(np.abs(half - seen(end)).max() > 1 for end in ends)
    first, *others = variations(shelf, "birds", "a red bird", 5, 2, 7).pictures
    assert np.abs(seen(first) - seen(ends[0])).max() <= 1 and len(others) == 3
    assert all(np.abs(seen(other) - seen(first)).max() > 1 for other in others)
    pipeline = shelf.pipeline("birds")
    near, far = (pipeline.varied("a red bird", 1, 2, seed=5, amount=amount)[1] for amount in (0.01, 1.0))
    assert np.abs(seen(near) - seen(first)).mean() < np.abs(seen(far) - seen(first)).mean()
    assert recoloured("a Red bird with black wings", "blue") == "a blue bird with blue wings"
    assert recoloured("a small bird", "blue") == "a small bird, blue"
    assert "red" in colours(shelf.entry("birds")) and "turquoise" not in colours(shelf.entry("birds"))
    with pytest.raises(UserError, match="picture must be 1 to 16"):
        variations(shelf, "birds", "a red bird", 5, 17, 7)


def test_the_way_from_one_to_another(shelf):
    from translate.ui.caption import between, draw

    made = between(shelf, "birds", ("a red bird", "a blue bird"), (1, 2), 6)
    ends = draw(shelf, "birds", "a red bird", 1, 1), draw(shelf, "birds", "a blue bird", 1, 2)
    frames = [np.asarray(picture, float) for picture in made.pictures]
    for frame, end in zip((frames[0], frames[-1]), ends, strict=True):
        assert np.abs(frame - seen(end.pictures[0])).max() <= 1
    steps = [np.abs(b - a).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert len(frames) == 6 and 0 < max(steps) < np.abs(frames[-1] - frames[0]).mean()
    film = Image.open(made.moving)
    assert film.format == "WEBP" and film.n_frames == 10, "there and back"
    same = between(shelf, "birds", ("a red bird", ""), (1, 1), 3)
    assert len({picture.tobytes() for picture in same.pictures}) == 1


def test_the_nearest_training_pictures(shelf):
    from translate.ui.caption import copies
    from translate.ui.nearest import nearest

    told = []
    shown, note = copies(shelf, "birds", "a red bird", 0, 0, 1, "me", lambda *at: told.append(at))
    assert len(shown) == 5 and shown[0][1] == "picture 2" and shown[1][1].startswith("bird ")
    assert "times as far as training pictures are from their own nearest" in note
    look = nearest(shelf.lanes, shelf.pipeline("birds"))
    copied = look.of(look.picture(3) + 0.01)
    assert copied.files[0] == "bird 3" and "nearly a copy" in copied.note
    assert copied.distances == sorted(copied.distances)
    with pytest.raises(UserError, match="training pictures of elsewhere are not here .*no/such/folder"):
        copies(shelf, "elsewhere", "a red bird", 0, 0, 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("birds", " ", 4, 0), "Type what the picture should show"),
        (("birds", None, 4, 0), "Type what the picture should show"),
        ((None, "a bird", 4, 0), "--task df_gan"),
        (("birds", "a bird", 17, 0), "pictures must be 1 to 16"),
        (("birds", "a bird", 1, None), "seed must be 0 to"),
        (("birds", "a bird", 1, 2**40), "seed must be 0 to"),
        (("../birds", "a bird", 1, 0), "there is no model"),
    ],
)
def test_mistakes_are_sentences(shelf, values, said):
    from translate.ui.caption import draw

    with pytest.raises(UserError, match=said):
        draw(shelf, *values)


def test_the_tab_in_a_browser(page, tmp_path):
    page.get_by_role("tab", name="From words").click()
    page.locator("#caption-description").get_by_text("df_gan").first.wait_for()
    page.fill("#caption-text textarea", LECTURE)
    page.locator("#caption-panel").get_by_role("button", name="Options").click()
    page.get_by_label("Keep the seed").check()
    page.locator("#caption-text textarea").press("Enter")
    page.get_by_text("4 pictures in").wait_for()
    page.get_by_text("wing: black").wait_for()
    assert page.locator("#caption-result .board img").count() == 4
    assert page.locator("#caption-seed input").input_value() == "0"
    with page.expect_download() as download:
        page.click("#caption-result .save")
    download.value.save_as(tmp_path / "sheet.png")
    assert download.value.suggested_filename == "birds-seed-0.png"
    page.get_by_label("Keep the seed").uncheck()
    page.click("#caption-go")
    page.wait_for_function("document.querySelector('#caption-seed input').value != '0'")
    page.locator("#caption-result .board button").nth(1).click()
    page.wait_for_function("document.querySelector('#caption-which input').value == '2'")
    page.click("#caption-vary")
    page.get_by_text("the picture itself, then 3 like it").wait_for()
    page.get_by_role("button", name="From one to another").click()
    page.click("#caption-way")
    page.get_by_text("12 pictures in").wait_for()
    page.locator("#caption-moving img").wait_for()
    page.get_by_role("button", name="Is it a copy?").click()
    page.click("#caption-look")
    page.get_by_text("times as far as training pictures").wait_for()
