"""Tab Erase: strokes become a mask, and what they cover is filled in; as plain functions and in a browser."""

# ruff: noqa: F811  fixtures come from the other files

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import World, build
from tests.test_browser import address, browser, page  # noqa: F401
from tests.test_page import model, photo
from translate.config import UserError
from translate.task import find
from translate.training.checkpoint import write_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("fillers")
    model(root / "both-ways", "cyclegan", "unpaired")
    write_model(root / "photo-fill", build(find("inpaint"), World("masked", 32)).eval(), 7)
    (root / "photo-fill" / "examples").mkdir()
    (root / "photo-fill" / "masks").mkdir()
    photo(root / "photo-fill" / "examples" / "leaf.jpg", (50, 40))
    Image.new("L", (50, 40)).save(root / "photo-fill" / "masks" / "leaf.png")
    return root


def test_strokes_become_a_mask_of_the_picture():
    """Thousandths of the longer side: a line 100 wide from (250, 250) to (750, 250) on 80 x 40 pixels."""
    from translate.ui.erase import painted

    mask = np.asarray((painted("[[100, 250, 250, 750, 250]]", (80, 40)).tensor[0, 0] + 1) / 2)
    assert mask.shape == (40, 80) and mask[20, 20:61].all() and mask[17:23, 40].all()
    assert mask[:15].sum() == mask[26:].sum() == 0 and mask[20, 12] == mask[20, 68] == 0
    erased = painted("[[100, 250, 250, 750, 250], [-300, 750, 250]]", (80, 40)).tensor[0, 0]
    assert erased[20, 25] == 1 and erased[20, 55] == -1
    for drawn in (None, "[]", "[[-50, 10, 10]]"):
        with pytest.raises(UserError, match="Paint over what should go"):
            painted(drawn, (80, 40))
    with pytest.raises(UserError, match="could not be read"):
        painted("{", (80, 40))


def test_what_was_painted_over_goes_and_all_else_stays(shelf, tmp_path):
    from translate.ui import wall
    from translate.ui.erase import erase

    source = photo(tmp_path / "photo.png", (60, 40))
    made = erase(shelf, "photo-fill", str(source), "[[200, 500, 300, 600, 300]]", 3)
    before, after = (np.asarray(Image.open(source).convert("RGB")), made.pictures[0])
    after = ((after.tensor[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(int)
    moved = (before != after).any(2)
    assert moved[15:22, 30:36].any() and not moved[:, :20].any() and "filling 3" in made.note
    again = erase(shelf, "photo-fill", str(source), "[[200, 500, 300, 600, 300]]", 4).pictures[0]
    assert not np.array_equal(again.tensor, made.pictures[0].tensor), "another filling"
    assert [entry.name for entry in shelf.fillers()] == ["photo-fill"]
    assert [entry.name for entry in shelf.translators()] == ["both-ways"]
    [card] = wall.cards(shelf.fillers())
    after, before = wall.made(shelf, card)
    assert after.size == before.size == (50, 40), "nothing is painted on its mask"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(source=None), "Give a picture first"),
        (dict(model=None), "no model that fills in"),
        (dict(drawn="[]"), "Paint over what should go"),
        (dict(seed=-1), "seed must be 0 to"),
    ],
)
def test_mistakes_are_sentences(shelf, tmp_path, given, said):
    from translate.ui.erase import erase

    source = str(photo(tmp_path / "photo.png", (60, 40)))
    values = dict(model="photo-fill", source=source, drawn="[[90, 500, 300]]", seed=0) | given
    with pytest.raises(UserError, match=said):
        erase(shelf, **values)


def test_browser_erase(page, tmp_path):
    """Upload, paint a line over it, press Erase: the result is there; another filling is another picture."""
    page.get_by_role("tab", name="Erase").click()
    page.locator("#erase-input input[type=file]").set_input_files(photo(tmp_path / "a.png", (80, 60)))
    canvas = page.locator("#erase-board canvas")
    canvas.wait_for(state="visible")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.locator("#erase-go").click()
    note = page.locator("#erase-result")
    note.get_by_text("80 × 60 px").wait_for()
    page.locator("#erase-next").click()
    note.get_by_text("filling 1").wait_for()
    assert json.loads(page.locator("#erase-seed input").input_value()) == 1
