"""What a visitor waits for, in a real browser: `python -m benchmarks.page`.

Starts `app.py` with the shipped models and measures, from the act to what is seen: frames of the Playground a
second and how long the page is held up meanwhile, sliders of tab Explore, a stroke of a drawing, a rectangle
of the board, and a photograph of 12 megapixels painted in a style. Needs chromium.
"""

import contextlib
import dataclasses
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import tyro
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHOWN = "document.querySelector('#translate-result .after')"


@dataclasses.dataclass
class Visit:
    """What is measured."""

    seconds: float = 8.0
    """that the Playground is watched"""
    times: int = 12
    """of each round trip"""
    photo: Path = ROOT / "pretrained/photo-monet/examples/china.jpg"
    """enlarged to 4000 x 3000"""
    only: tuple[str, ...] = ("playground", "explore", "draw", "board", "style")


@contextlib.contextmanager
def served() -> Iterator[tuple[str, psutil.Process]]:
    """The page as its users have it: its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--models", "pretrained", "--no-train"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=5).close()
                break
            time.sleep(0.1)
        process = psutil.Process(server.pid)
        at_rest(process)
        yield address, process
    finally:
        server.terminate()
        server.wait(20)


def at_rest(process: psutil.Process) -> None:
    """Waits, a minute at most, until the pictures of tab Start are painted."""
    calm, end = 0, time.monotonic() + 60
    process.cpu_percent()
    while calm < 3 and time.monotonic() < end:
        calm = calm + 1 if process.cpu_percent(1.0) < 10 else 0


def playground(page, visit: Visit, server: psutil.Process) -> str:
    page.get_by_role("tab", name="Playground", exact=True).click()
    page.wait_for_function("document.querySelector('#playground canvas')?.dataset.update == '0'")
    page.click("#playground-play")
    page.wait_for_function("document.querySelector('#playground canvas').dataset.update > 5")
    frames, late = page.evaluate(
        """seconds => new Promise(done => {
            let frames = 0, late = 0, last = performance.now();
            const seen = new MutationObserver(() => frames++);
            const options = {attributes: true, attributeFilter: ["data-update"]};
            seen.observe(document.querySelector("#playground canvas"), options);
            const clock = setInterval(() => {
                const now = performance.now();
                late = Math.max(late, now - last - 20);
                last = now;
            }, 20);
            setTimeout(() => { clearInterval(clock); done([frames, late]); }, 1000 * seconds);
        })""",
        visit.seconds,
    )
    page.click("#playground-pause")
    return f"{frames / visit.seconds:.1f} frames a second; the page is held up {late:.0f} ms at most"


def explore(page, visit: Visit, server: psutil.Process) -> str:
    page.get_by_role("tab", name="Explore", exact=True).click()
    image = page.locator("#explore-sliders img")
    page.wait_for_function("document.querySelector('#explore-sliders img')?.src.startsWith('data:')")
    taken = []
    for number in range(visit.times + 1):
        before = image.get_attribute("src")
        place, value = number % 6, 2 - number % 5
        page.locator("#explore-sliders input").nth(place).evaluate(
            "(input, v) => { input.value = v; input.dispatchEvent(new Event('input', {bubbles: true})); }",
            value,
        )
        page.wait_for_function(
            "s => document.querySelector('#explore-sliders img').src != s", arg=before, polling=5
        )
        taken.append(float(image.get_attribute("data-took")))
    return times(taken[1:])


WATCH = """() => {
    window.shownAt = 0;
    const old = document.querySelector("#translate-result .after")?.src;
    window.movedAt = 0;
    const moved = event => { if (event.buttons) window.movedAt = performance.now(); };
    addEventListener("pointermove", moved);
    addEventListener("pointerup", () => removeEventListener("pointermove", moved), {once: true});
    const look = () => {
        const now = document.querySelector("#translate-result .after");
        if (now && now.src != old && now.complete && now.naturalWidth && window.movedAt) {
            window.shownAt = performance.now();
        } else { setTimeout(look, 2); }
    };
    look();
}"""


def strokes(page, canvas, visit: Visit) -> str:
    """From the last move to the picture; it is a short one and the only one, so nothing was sent before."""
    box, taken = canvas.bounding_box(), []
    for number in range(visit.times + 1):
        x, y = box["x"] + box["width"] * (0.1 + 0.05 * number), box["y"] + box["height"] * 0.3
        page.wait_for_timeout(400)
        page.evaluate(WATCH)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 60)
        page.mouse.up()
        page.wait_for_function("window.shownAt > 0", polling=5)
        taken.append(page.evaluate("window.shownAt - window.movedAt"))
    return times(taken[1:])


def draw(page, visit: Visit, server: psutil.Process) -> str:
    choose(page, "sketch-to-emoji")
    page.get_by_label("Draw", exact=True).check()
    canvas = page.locator("#canvas canvas")
    canvas.wait_for()
    return strokes(page, canvas, visit)


def board(page, visit: Visit, server: psutil.Process) -> str:
    choose(page, "labels-to-facade")
    page.wait_for_function(f"{SHOWN}?.naturalWidth > 0")
    return strokes(page, page.locator("#board canvas"), visit)


def style(page, visit: Visit, server: psutil.Process) -> str:
    choose(page, "photo-monet")
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            file = Path(folder, f"{number}.jpg")
            photo = Image.open(visit.photo).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
            photo.point(lambda level, n=number: max(0, level - n)).save(file, quality=92)
            before = page.evaluate(f"{SHOWN}?.src || ''")
            start, spent = time.perf_counter(), cores(server)
            page.set_input_files("#input input[type=file]", file)
            page.wait_for_function(
                f"s => {SHOWN} && {SHOWN}.src != s && {SHOWN}.naturalWidth > 1000", arg=before, polling=20
            )
            taken.append(f"{time.perf_counter() - start:.1f} s ({cores(server) - spent:.1f} core seconds)")
            note = page.locator("#translate-result").get_by_text(" px in ").inner_text()
            page.locator("#input").get_by_label("Remove Image").or_(
                page.locator("#input").get_by_label("Clear")
            ).first.click()
            page.wait_for_timeout(500)
    return f"{', '.join(taken)} from dropping the file to the picture (the model says: {note})"


def cores(server: psutil.Process) -> float:
    """Seconds of all cores that the server has had; they do not depend on what else runs here."""
    times = server.cpu_times()
    return times.user + times.system


def choose(page, name: str) -> None:
    page.get_by_role("tab", name="Translate", exact=True).click()
    page.locator(f"#model [data-name={name}]").click()
    page.wait_for_timeout(1000)


def times(taken: list[float]) -> str:
    return f"median {statistics.median(taken):.0f}, longest {max(taken):.0f} ms of {len(taken)}"


def main(visit: Visit) -> None:
    """Print each measurement as it is made."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if not program:
        sys.exit("this needs chromium on the PATH")
    with served() as (address, server), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(90_000)
        page.goto(address)
        page.get_by_role("tab", name="Translate", exact=True).click()
        page.wait_for_selector("#image-panel >> visible=true")
        for name in visit.only:
            print(f"{name}: {globals()[name](page, visit, server)}", flush=True)
        browser.close()


if __name__ == "__main__":
    main(tyro.cli(Visit))
