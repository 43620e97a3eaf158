"""The page in a real browser."""

# ruff: noqa: F811  fixtures come from the other file

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.test_page import models, photo, write_log  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
MOST_PIXELS = 1_500_000  # of a picture that is given
CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def missing(what):
    """Skip on a machine without a browser, but not where the project is checked."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is not installed")


@pytest.fixture(scope="module")
def address(models):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--models", str(models)]
    command += ["--max-pixels", str(MOST_PIXELS)]
    log = models.parent / "app.log"
    with open(log, "w") as file:
        kept = os.environ | {"XDG_CACHE_HOME": str(models.parent / "cache")}
        server = subprocess.Popen(command, cwd=ROOT, env=kept, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    (models.parent / "app.pid").write_text(str(server.pid))
    try:
        end = time.monotonic() + 180  # on a machine that others use
        while True:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
        assert "Traceback" not in log.read_text()
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    program = shutil.which("chromium")
    if not program:
        missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(
        float(os.environ.get("BROWSER_TIMEOUT", 60_000))
    )  # a busy machine without a GPU renders the canvas slowly
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_role("tab", name="Translate", exact=True).click()
    page.wait_for_selector("#image-panel >> visible=true")
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == [], "works offline"


def choose(page, name):
    page.locator(f"#model [data-name={name}]").click()


def result(page, size, other_than=None, timeout=None):
    """The address of the result's picture once it is there, `size` wide and high; timeout: milliseconds."""
    page.wait_for_function(
        """([width, height, other]) => {
            const img = document.querySelector("#translate-result .after");
            return img && img.src != other && img.naturalWidth == width && img.naturalHeight == height;
        }""",
        arg=[*size, other_than],
        timeout=timeout,
    )
    return page.locator("#translate-result .after").evaluate("img => img.src")


def test_upload_translate_switch_and_download(page, tmp_path):
    assert page.title() == "Translate"
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 90 x 60, shown 60 x 90
    page.set_input_files("#input input[type=file]", photo(tmp_path / "bird.jpg", exif=exif))
    there = result(page, (60, 90))
    page.get_by_text("60 × 90 px in").wait_for()
    for format, name in (
        ("PNG", "bird-both-ways.png"),
        ("JPEG", "bird-both-ways.jpg"),
        ("WEBP", "bird-both-ways.webp"),
    ):
        page.select_option("#translate-result select", format)
        with page.expect_download() as download:
            page.click("#translate-result .save")
        download.value.save_as(tmp_path / name)
        assert download.value.suggested_filename == name
        made = Image.open(tmp_path / name)
        assert made.size == (60, 90) and made.format == format

    page.get_by_label("emoji → line").check()
    back = result(page, (60, 90), other_than=there)
    before = page.locator("#translate-result .before")
    at = "img => getComputedStyle(img).clipPath"
    page.locator("#translate-result .at").focus()
    half = before.evaluate(at)
    page.keyboard.press("ArrowRight")
    assert before.is_visible() and before.evaluate(at) != half, "the slider moves by keys"
    choose(page, "sketch")
    result(page, (60, 90), other_than=back)


def test_text_named_png_gets_a_clear_message(page, tmp_path):
    (tmp_path / "text.png").write_text("This is no picture.")
    page.set_input_files("#input input[type=file]", tmp_path / "text.png")
    page.get_by_text("text.png holds text, not a picture").wait_for()
    page.get_by_text("Click to Upload").wait_for()
    page.set_input_files("#input input[type=file]", photo(tmp_path / "good.png", (40, 30)))
    result(page, (40, 30))


def test_examples_noise_and_refresh(page, models):
    choose(page, "sketch")
    page.locator("#examples button").nth(1).click()
    result(page, (64, 64))
    page.get_by_role("button", name="How good is it?").click()
    page.locator("#preview img").wait_for()

    page.get_by_role("tab", name="From noise").click()
    page.click("#samples-go")
    page.locator("#samples-result .board img").nth(15).wait_for()
    page.locator("#samples-result").get_by_text("seed 0").wait_for()
    page.click("#samples-next")
    page.locator("#samples-result").get_by_text("seed 1").wait_for()

    shutil.copytree(models / "sketch", models / "just-trained")
    page.get_by_role("tab", name="Translate", exact=True).click()
    choose(page, "just-trained")
    page.locator("#examples button").nth(1).click()
    result(page, (64, 64))


def test_a_run_in_progress_moves_in_the_models_tab(page, models):
    """A folder that has only logs yet is listed, first; a new line shows without a click."""
    run = models / "in-training"
    run.mkdir()
    started = time.time() - 60
    write_log(run, [(step, started + step) for step in range(10, 50, 10)])
    page.get_by_role("tab", name="Models").click()
    page.click("#models-refresh")
    page.locator("#models-gallery .thumbnail-item").nth(4).wait_for()
    page.locator("#models-gallery .thumbnail-item").first.click()
    page.get_by_text("In training: update 40, 2 images/s.").wait_for()
    page.locator("#models-plot :is(canvas, svg.marks)").wait_for()
    write_log(run, [(step, started + step) for step in range(10, 60, 10)])
    page.get_by_text("In training: update 50, 2 images/s.").wait_for()
    page.locator("#models-gallery .thumbnail-item").filter(has_text="sketch").first.click()
    page.locator("#models-card").get_by_text("pix2pix trained on 3 samples").wait_for()
    page.locator("#models-preview img").wait_for()
    shutil.rmtree(run)


def test_draw_and_see(page):
    """A model of lines offers a canvas; a stroke is translated as it is drawn, at the canvas's size."""
    choose(page, "sketch")
    page.locator("#examples img").nth(2).wait_for()
    page.get_by_label("Draw", exact=True).check()
    box = page.locator("#canvas canvas").bounding_box()
    across, down = box["x"] + box["width"] / 3, box["y"] + box["height"] / 3
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(across + 80, down + 60, steps=4)
    page.mouse.up()
    first = result(page, (512, 512))
    ink = "c => c.getContext('2d').getImageData(0, 0, 1000, 1000).data.filter(v => v < 128).length"
    assert page.locator("#canvas canvas").evaluate(ink) > 1000
    page.set_viewport_size({"width": 390, "height": 844})  # a telephone shows board and result together
    page.locator("#canvas canvas").evaluate("board => board.scrollIntoView({block: 'end'})")
    assert page.locator("#translate-result .stage").evaluate("s => s.getBoundingClientRect().top") >= 0
    page.locator("#canvas").get_by_text("Undo").click()
    page.get_by_text("Draw something first.").wait_for()
    assert page.locator("#canvas canvas").evaluate(ink) == 0 and first
    page.locator("#translate-result .empty").wait_for()


def test_several_pictures_and_a_bad_one(page, tmp_path):
    page.get_by_role("tab", name="Several pictures").click()
    (tmp_path / "text.png").write_text("This is no picture.")
    files = [photo(tmp_path / "a.jpg"), tmp_path / "text.png", photo(tmp_path / "b.png", (40, 30))]
    page.set_input_files("#several-files input[type=file]", files)
    page.locator("#several-files").get_by_text("text").first.wait_for()
    page.click("#several-go")
    page.get_by_text("2 of 3 pictures in").wait_for()
    page.get_by_text("text.png holds text, not a picture").wait_for()
    with page.expect_download() as download:
        page.click("#several-download")
    download.value.save_as(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        sizes = {name: Image.open(archive.open(name)).size for name in archive.namelist()}
    assert sizes == {"a-both-ways.png": (90, 60), "b-both-ways.png": (40, 30)}


def test_a_folder_is_given_as_its_pictures(page, tmp_path):
    """Chosen, or dropped; subfolders count, other files do not."""
    page.get_by_role("tab", name="Several pictures").click()
    holiday = tmp_path / "holiday"
    (holiday / "more").mkdir(parents=True)
    photo(holiday / "a.png", (40, 30))
    photo(holiday / "more" / "b.png", (30, 40))
    (holiday / "notes.txt").write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.locator("[data-folder=several-files]").click()
    chooser.value.set_files(holiday)
    page.get_by_text("2 files of the folder.").wait_for()
    page.click("#several-go")
    page.get_by_text("2 of 2 pictures in").wait_for()
    page.get_by_role("tab", name="Train").click()
    page.locator("#train-a input[type=file]").wait_for(state="attached")
    # What a browser has of a dropped folder, walked by the page's own code.
    page.evaluate(
        """() => {
            const file = name => ({isFile: true, file: good => good(new File(["x"], name))});
            const folder = inside => ({isDirectory: true, createReader: () => {
                let left = [inside, []];
                return {readEntries: good => good(left.shift())};
            }});
            const entry = folder([file("a.png"), folder([file("b.JPG")]), file("c.txt"), file(".d.png")]);
            const drop = new DragEvent("drop", {bubbles: true, cancelable: true});
            const items = [{webkitGetAsEntry: () => entry}];
            Object.defineProperty(drop, "dataTransfer", {value: {items, files: []}});
            document.querySelector("#train-a").dispatchEvent(drop);
        }"""
    )
    page.locator("[data-folder=train-a] + span").get_by_text("2 files of the folder.").wait_for()
    page.locator("#train-a tr").nth(1).wait_for()


def test_it_fits_a_telephone(page, tmp_path):
    """Nothing to scroll sideways, every tab in view, and the result is where one looks."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        """() => {
            const bar = document.querySelector("#tabs .tab-container:not(.visually-hidden)");
            const tabs = [...bar.querySelectorAll(":scope > button")];
            return document.documentElement.scrollWidth <= 390 && tabs.length > 10 && tabs.every(tab => {
                const box = tab.getBoundingClientRect();
                return tab.checkVisibility() && box.width > 0 && box.left >= 0 && box.right <= 390;
            });
        }"""
    )
    page.set_input_files("#input input[type=file]", photo(tmp_path / "one.png", (60, 40)))
    result(page, (60, 40))
    page.wait_for_function(
        """() => {
            const box = document.querySelector("#translate-result .stage").getBoundingClientRect();
            return box.top >= 0 && box.bottom <= innerHeight && box.width > 300;
        }"""
    )


def test_nobody_is_shut_out(page, tmp_path):
    """No serious finding of axe-core on any tab: names, roles, contrast, keys."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("axe-playwright-python")
    page.set_input_files("#input input[type=file]", photo(tmp_path / "one.png", (60, 40)))
    result(page, (60, 40))
    page.emulate_media(reduced_motion="reduce")  # what is half faded in has no contrast yet
    axe, tabs = Axe(), page.get_by_role("tab").all_inner_texts()
    assert len(tabs) > 10
    for name in tabs:
        page.get_by_role("tab", name=name, exact=True).click()
        page.wait_for_timeout(200)
        told = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        found = [v for v in told if v["impact"] in ("serious", "critical")]
        nodes = [(v["id"], [node["html"][:150] for node in v["nodes"][:3]]) for v in found]
        assert nodes == [], name
    moves = """() => [...document.querySelectorAll("*")].filter(element => {
        const style = getComputedStyle(element);
        return style.animationName != "none" || parseFloat(style.transitionDuration) > 0;
    }).length"""
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moves) > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moves) == 0, "nothing moves for who asks for that"


def test_files_of_the_machine_are_not_served(address, models):
    for path in (ROOT / "app.py", models / "sketch" / "config.json"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/gradio_api/file={path}", timeout=10)
        assert refused.value.code in (403, 404)


def test_rectangles_of_labels(page):
    """A model with a palette offers a board: its first plan is translated at once, a new rectangle anew."""
    from translate.ui.rectangles import SEEN

    choose(page, "labels")
    first = result(page, (128, 128))
    assert page.locator("#board .labels button").all_inner_texts() == ["ground", "wall", "window"]
    page.locator("#board").get_by_text("window").click()
    board = page.locator("#board canvas")
    box = board.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()
    second = result(page, (128, 128), other_than=first)
    colour = "c => [...c.getContext('2d').getImageData(700, 400, 1, 1).data]"
    assert board.evaluate(colour) == [*bytes.fromhex(SEEN[2][1:]), 255], "a window, in a colour for people"
    page.locator("#board").get_by_text("Undo").click()
    result(page, (128, 128), other_than=second)
    assert board.evaluate(colour) == [*bytes.fromhex(SEEN[1][1:]), 255]


def test_a_card_of_the_wall_opens_its_model_with_its_picture(page):
    for _ in range(100):  # they are made in the background since the page started
        page.get_by_role("tab", name="Translate", exact=True).click()
        page.get_by_role("tab", name="Start").click()
        page.wait_for_timeout(300)
        if page.locator("#wall-translate button").count():
            break
    page.locator("#wall-translate button").first.click()
    result(page, (64, 64))
    assert page.locator("#model :checked").input_value() == "sketch"
    assert page.locator("#input img").is_visible()


def test_a_page_of_a_server_that_is_gone_says_so(page):
    answers = "**/gradio_api/app_id"
    page.route(answers, lambda route: route.abort())
    page.get_by_text("The server does not answer; trying again.").wait_for()
    page.unroute(answers)
    page.get_by_text("The server does not answer").wait_for(state="detached")
    page.route(answers, lambda route: route.fulfill(json={"app_id": 1}))
    page.get_by_text("The server was started anew").wait_for()
    page.get_by_role("button", name="Reload").click()
    page.get_by_text("The server was started anew").wait_for(state="detached")


def test_results_of_a_visit_are_returned_to_compared_packed_and_go_on(page, tmp_path):
    page.set_input_files("#input input[type=file]", photo(tmp_path / "one.png", (60, 40)))
    first = result(page, (60, 40))
    page.get_by_label("emoji → line").check()
    second = result(page, (60, 40), other_than=first)
    page.reload()  # results stay
    page.locator("#strip li").nth(1).wait_for()
    count = page.locator("#strip li").count()
    page.locator("#strip li button").nth(1).click()
    result(page, (60, 40), other_than=second)
    for number in (0, 1):
        page.locator("#strip li input").nth(number).check()
    page.get_by_role("button", name="Compare two").click()
    page.locator("#strip dialog .before").wait_for()
    page.get_by_role("button", name="✕ Close").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download zip (2)").click()
    download.value.save_as(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert sorted(archive.namelist()) == ["one-both-ways-2.png", "one-both-ways.png"]
    page.locator("#translate-result").get_by_role("button", name="Another style").click()
    page.locator("#translate-result .empty").wait_for()
    page.click("#go")
    result(page, (60, 40))
    page.wait_for_function(f"document.querySelectorAll('#strip li').length == {count + 1}")
    page.get_by_role("button", name="Forget all").click()
    page.locator("#strip section").wait_for(state="hidden")
