"""Tab Playground: what each preset comes to, and how it plays: `python -m benchmarks.playground`.

The presets are trained as the page trains them; the table tells, by turns of G, how many modes have a quarter
of their share of the points, how far the points are from the data (mean distance of the best assignment), how
many D names right and how strongly it pushes them. In the browser (chromium, the shipped models' page):
pictures painted a second while it plays, how long the page's own clock is late, and the time from a click on
Pause until no picture is painted any more.
"""

import dataclasses
import shutil
import statistics
import sys

import tyro

from benchmarks.page import served
from translate.ui.games import PRESETS, Table

PLAYED = """seconds => new Promise(done => {
    let frames = 0, late = 0, last = performance.now();
    new MutationObserver(() => frames++).observe(
        document.querySelector("#playground canvas"), {attributes: true, attributeFilter: ["data-frames"]});
    const clock = setInterval(() => {
        const now = performance.now();
        late = Math.max(late, now - last - 20);
        last = now;
    }, 20);
    setTimeout(() => { clearInterval(clock); done([frames / seconds, late]); }, 1000 * seconds);
})"""
STILL = """() => new Promise(done => {
    const clicked = performance.now();
    let last = clicked;
    const seen = new MutationObserver(() => { last = performance.now(); });
    const canvas = document.querySelector("#playground canvas");
    seen.observe(canvas, {attributes: true, attributeFilter: ["data-frames"]});
    document.querySelector("#playground-pause").click();
    const clock = setInterval(() => {
        if (performance.now() - last < 1000) return;
        clearInterval(clock);
        seen.disconnect();
        done(last - clicked);
    }, 20);
})"""


@dataclasses.dataclass
class Settings:
    """What is measured."""

    presets: tuple[str, ...] = tuple(PRESETS)
    turns: tuple[int, ...] = (300, 600, 900, 1500)
    """of G, at which is looked"""
    seeds: tuple[int, ...] = (0, 1)
    widths: tuple[int, ...] = (1280, 390)
    """of the browser's window; none: no browser"""
    seconds: float = 8.0
    """that each preset is watched in the browser"""


def course(name: str, turns: tuple[int, ...], seed: int) -> str:
    """A row of the table."""
    table, cells = Table(PRESETS[name][0], seed), []
    k = int(table.rules.k)
    for turn in turns:
        table.play(float("inf"), turn * k - table.lesson.t)
        seen = table.frame()
        modes = f"{seen['modes']} of {seen['of']}, " if "modes" in seen else ""
        cells.append(f"{modes}{seen['distance']:.2f}, {seen['right']:.0%}, {seen['pull']:.2g}")
    return f"| {name}, seed {seed} | {' | '.join(cells)} |"


def play(browser, address: str, width: int, settings: Settings) -> None:
    """Print what is seen of each preset in a window of that width."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(90_000)
    page.goto(address)
    page.get_by_role("tab", name="Playground", exact=True).click()
    for name in settings.presets:
        page.get_by_label(name).check()
        page.wait_for_function("document.querySelector('#playground canvas')?.dataset.update == '0'")
        page.click("#playground-play")
        page.wait_for_function("document.querySelector('#playground canvas').dataset.update > 5")
        rate, late = page.evaluate(PLAYED, settings.seconds)
        still = [page.evaluate(STILL)]
        for _ in range(2):
            page.click("#playground-play")
            page.wait_for_timeout(1500)
            still.append(page.evaluate(STILL))
        paused = f"median {statistics.median(still):.0f}, longest {max(still):.0f} ms"
        print(
            f"{width} px, {name}: {rate:.1f} pictures a second, the page {late:.0f} ms late at most; "
            f"Pause to standstill {paused}",
            flush=True,
        )
        page.reload()
        page.get_by_role("tab", name="Playground", exact=True).click()
    page.close()


def main(settings: Settings) -> None:
    """Print each measurement as it is made."""
    if settings.seeds and settings.turns:
        print(f"| modes, distance, D right, push | {' | '.join(f'{t:,} turns' for t in settings.turns)} |")
        print("|---" * (1 + len(settings.turns)) + "|")
    for name in settings.presets:
        for seed in settings.seeds:
            print(course(name, settings.turns, seed), flush=True)
    if not settings.widths:
        return
    from playwright.sync_api import sync_playwright

    if not (program := shutil.which("chromium")):
        sys.exit("this needs chromium on the PATH")
    with served() as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for width in settings.widths:
            play(browser, address, width, settings)
        browser.close()


if __name__ == "__main__":
    main(tyro.cli(Settings))
