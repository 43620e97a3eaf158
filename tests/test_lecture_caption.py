"""The captions of the lecture, typed into the page and drawn by the shipped birds."""

# ruff: noqa: F811  fixtures come from the other files

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.test_browser import address, browser, page  # noqa: F401
from tests.test_caption import LECTURE
from tests.test_page import model
from translate.inference.catalog import HERE

BIRDS = HERE / "pretrained" / "birds"
pytestmark = pytest.mark.skipif(not BIRDS.exists(), reason="no model of birds is shipped")
CREAM = "A small sized bird that has a cream belly and a short pointed bill"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("shipped")
    shutil.copytree(BIRDS, root / "birds")
    model(root / "both-ways", "cyclegan", "unpaired")  # tab Translate, which opens first, shows one
    return root


def test_the_red_bird_is_redder(page):
    def drawn(caption: str) -> list[np.ndarray]:
        page.fill("#caption-text textarea", caption)
        page.click("#caption-go")
        chip = "crown: red" if caption == LECTURE else "belly: white"
        page.get_by_text(chip).wait_for()
        page.locator("#caption-result").get_by_text(caption).wait_for()
        shown = page.locator("#caption-result .board img")
        addresses = [shown.nth(i).evaluate("picture => picture.src") for i in range(shown.count())]
        files = [page.request.get(address).body() for address in addresses]
        return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), int) for file in files]

    def redness(pictures: list[np.ndarray]) -> float:
        r, g, b = np.moveaxis(np.stack(pictures), 3, 0)
        return ((r > 1.5 * g) & (r > 1.5 * b) & (r > 90)).mean()

    page.get_by_role("tab", name="From words").click()
    page.locator("#caption-description").get_by_text("bird").first.wait_for()
    page.locator("#caption-panel").get_by_role("button", name="Options").click()
    page.get_by_label("Keep the seed").check()
    red, cream = drawn(LECTURE), drawn(CREAM)
    assert len(red) == len(cream) == 4 and red[0].shape == (128, 128, 3)
    assert redness(red) > max(0.05, 2 * redness(cream))

    example = page.locator("#caption-examples button").nth(2)  # one that a handler put there
    words = example.inner_text().rstrip(".")
    example.click()
    page.locator("#caption-result").get_by_text(words).first.wait_for()
