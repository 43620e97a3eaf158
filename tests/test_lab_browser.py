"""Tabs Explore, Playground and Compare in a real browser, at 1280 and at 390 px."""

# ruff: noqa: F811  fixtures come from the other files

import pytest

from tests.test_browser import address, browser, page  # noqa: F401
from tests.test_explore import models  # noqa: F401


@pytest.fixture(params=[1280, 390])
def lab(page, request):
    page.set_viewport_size({"width": request.param, "height": 900})
    return page


def opened(lab, name):
    lab.get_by_role("tab", name=name, exact=True).click()


def fits(lab):
    assert lab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 1


def test_playground(lab):
    opened(lab, "Playground")
    board = lab.locator("#playground canvas").first
    lab.wait_for_function("document.querySelector('#playground canvas')?.dataset.update == '0'")
    lab.click("#playground-step")
    lab.wait_for_function("document.querySelector('#playground canvas').dataset.update == '1'")
    lab.click("#playground-play")
    lab.wait_for_function("document.querySelector('#playground canvas').dataset.update > 20")
    lab.get_by_label("best D").check()  # the page answers while it trains
    lab.click("#playground-pause")
    lab.wait_for_function(  # the last pictures may still be on their way: it stands still in the end
        """() => {
            const update = document.querySelector("#playground canvas").dataset.update;
            if (window.seen != update) { window.seen = update; window.since = performance.now(); }
            return performance.now() - window.since > 700;
        }"""
    )
    lab.get_by_label("Saturation").check()
    lab.wait_for_function("document.querySelector('#playground canvas').dataset.update == '0'")
    lab.get_by_text("G minimises log(1 - D)").wait_for()
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, 560, 560).data).size"
    assert board.evaluate(painted) > 20
    fits(lab)


def test_explore(lab):
    opened(lab, "Explore")
    lab.click("#explore-go")
    lab.locator("#explore-result .board img").nth(8).wait_for()
    image = lab.locator("#explore-sliders img")
    lab.wait_for_function("document.querySelector('#explore-sliders img')?.src.startsWith('data:')")
    first = image.get_attribute("src")
    slider = lab.locator("#explore-sliders input").first
    slider.focus()
    slider.press("End")
    lab.wait_for_function("s => document.querySelector('#explore-sliders img').src != s", arg=first)
    lab.wait_for_function("document.querySelector('#explore-subject input')?.value")
    lab.get_by_text("Does not exist: full page").click()
    lab.get_by_text("This picture does not exist.").wait_for()
    lab.get_by_role("button", name="Close").click()
    lab.locator("#explore-truncation input[type=number]").fill("0.5")
    lab.click("#explore-go")
    lab.get_by_text("seed 0, truncation 0.5").wait_for()
    lab.get_by_role("button", name="Interpolate: from one to another").click()
    lab.click("#explore-way-go")
    lab.locator("#explore-moving img").wait_for()
    lab.get_by_text("Arithmetic", exact=True).click()
    lab.click("#explore-sum-go")
    lab.get_by_text("First the answer, then the three means").wait_for()
    fits(lab)


def test_compare(lab):
    opened(lab, "Compare")
    lab.get_by_label("a seed").check()
    lab.locator("#compare-seed input").wait_for()
    lab.click("#compare-go")
    lab.locator("#compare-result .board img").nth(1).wait_for()
    lab.get_by_text("2 models in").wait_for()
    lab.get_by_text("Blind vote").click()
    lab.get_by_role("button", name="Two pictures").click()
    lab.get_by_label("Choose picture 1").click()
    lab.get_by_text("You chose").wait_for()
    assert "1 of 1" in lab.locator("#compare-vote table").inner_text()
    with lab.expect_download() as download:
        lab.get_by_text("Export votes (CSV)").click()
    assert download.value.suggested_filename == "votes.csv"
    fits(lab)


def test_an_opening_asks_the_server_one_thing(browser, address):
    """Every visitor's session is its own; all else came with the page, however many tabs there are."""
    page, jobs = browser.new_page(), []
    page.on(
        "request", lambda request: jobs.append(request.post_data) if "queue/join" in request.url else None
    )
    page.goto(address)
    page.get_by_role("tab", name="Translate", exact=True).wait_for()
    while not jobs:
        page.wait_for_timeout(100)
    page.wait_for_timeout(1500)  # others would follow
    page.close()
    assert len(jobs) == 1
