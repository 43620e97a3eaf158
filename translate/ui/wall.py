"""Tab Start: what the models here have made, before and after; a click goes on from there.

The pictures are made in the background when the page starts, with the models' own examples and captions, and
kept on disk for the next start.
"""

import hashlib
import html
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import gradio as gr
from PIL import Image

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.ui.nearest import cache_folder
from translate.ui.pictures import Unreadable, opened
from translate.ui.shelf import Shelf, title
from translate.ui.values import SHOWN
from translate.ui.words import W

SIDE = 384  # pixels, the longer side of a picture on the wall
EACH = 2  # pictures of a model
SHEET = 9  # pictures from noise in one, the only one of its model
SESSION = "the page's own wall"

CLICK = """
element.addEventListener("click", event => {
  const card = event.target.closest("[data-model]");
  if (card) trigger("click", {model: card.dataset.model, example: Number(card.dataset.example)});
});
let away = false;  // "returned": the tab is seen again; a tab's own "select" comes with every opening, too
new IntersectionObserver(() => {
  const hidden = !element.checkVisibility();
  if (away && !hidden) trigger("returned", {});
  away = hidden;
}).observe(element);
"""
LOOK = """
h2 { margin: 18px 0 8px; font-size: 1.15rem; }
.wall { display: grid; grid-template-columns: repeat(auto-fill, minmax(164px, 1fr)); gap: 14px; }
@media (max-width: 480px) { .wall { grid-template-columns: 1fr 1fr; gap: 10px; } }
button { display: flex; flex-direction: column; justify-content: flex-start; margin: 0 !important;
  padding: 0; text-align: left; cursor: pointer; overflow: hidden; border-radius: 12px;
  width: 100%; border: 1px solid var(--border-color-primary); background: var(--background-fill-primary);
  color: var(--body-text-color); transition: transform .15s, box-shadow .15s; }
button:hover, button:focus-visible { transform: translateY(-2px); box-shadow: 0 6px 18px #0003; }
@media (prefers-reduced-motion: reduce) { button { transition: none; } button:hover { transform: none; } }
.pair { position: relative; display: block; width: 100%; aspect-ratio: 1; flex: none;
  background: var(--background-fill-secondary); }
.pair img { width: 100%; height: 100%; object-fit: cover; display: block; }
.pair img + img { position: absolute; left: 8px; bottom: 8px; width: 34%; height: auto; aspect-ratio: 1;
  border-radius: 8px; border: 2px solid #fff; box-shadow: 0 1px 6px #0006; }
b, small { display: block; flex: none; padding: 0 12px; }
b { padding-top: 8px; font-size: .95rem; }
small { margin: 2px 0 10px; font-size: .8rem; font-weight: 400; color: var(--body-text-color-subdued);
  display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; }
"""


@dataclass(frozen=True)
class Card:
    """One picture of one model."""

    entry: Entry
    number: int  # of the example, the caption or the sheet
    words: str = ""  # the caption

    @property
    def given(self) -> Path | None:
        return self.entry.examples[self.number] if self.entry.examples else None

    def file(self, folder: Path, which: str) -> Path:
        """Named after all that the picture follows from."""
        changed = (self.entry.folder / "weights.safetensors").stat().st_mtime_ns
        about = f"{self.entry.folder} {changed} {self.number} {self.words} {which} {SIDE}"
        return folder / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.webp"


def cards(entries: list[Entry]) -> list[Card]:
    """The first ones of every model."""
    found = []
    for entry in entries:
        takes = {*Shelf.takes(entry)}
        words = entry.facts.get("info", {}).get("captions", [])[:EACH] if not entry.examples else []
        if takes in ({"noise"}, {"noise", "label"}):
            found.append(Card(entry, 0))  # a sheet shows several
        found += [Card(entry, number, str(text)) for number, text in enumerate(words)]
        found += [Card(entry, number) for number in range(len(entry.examples[:EACH]))]
    return found


def made(shelf: Shelf, card: Card) -> tuple[Image.Image, Image.Image | None]:
    """After and before, small. Raises UserError."""
    pipeline = shelf.pipeline(card.entry.name)
    if card.words:
        with shelf.lanes.job(SESSION, card.entry.name, 1, long=True):
            return images.to_image(pipeline.imagine(card.words, 1, seed=1)[0].tensor), None
    if card.given is None:
        with shelf.lanes.job(SESSION, card.entry.name, SHEET, long=True):
            drawn = pipeline.sample(SHEET, seed=card.number)
        sheet = images.to_image(images.grid([picture.tensor for picture in drawn]))
        return sheet.resize([side * max(1, SIDE // sheet.width) for side in sheet.size], Image.NEAREST), None
    picture = opened(str(card.given), shelf.max_pixels)
    before = images.to_image(picture.tensor)
    before.thumbnail((SIDE, SIDE))
    small = images.decode(before.convert("RGB"), name=card.given.name)
    painted = {}
    if "mask" in pipeline.takes:  # masks/NAME.png says what goes from examples/NAME.jpg
        mask = images.to_image(images.decode(card.entry.folder / "masks" / f"{card.given.stem}.png").tensor)
        painted["mask"] = images.decode(mask.convert("L").resize(before.size, Image.NEAREST))
    with shelf.lanes.job(SESSION, card.entry.name, before.width * before.height, long=True):
        after = images.to_image(pipeline.translate(small, **painted).tensor)
    after.thumbnail((2 * SIDE, 2 * SIDE))
    return after, before


def paint(shelf: Shelf, folder: Path) -> None:
    """Make what is not there yet, in the folder that all visitors may see."""
    shown, stored = folder / SHOWN, cache_folder() / "wall"
    for place in (shown, stored):
        place.mkdir(parents=True, exist_ok=True)
    for card in cards(shelf.entries()):
        try:
            if not card.file(stored, "after").exists():
                after, before = made(shelf, card)
                for which, image in (("before", before), ("after", after)):
                    if image is not None:
                        image.convert("RGB").save(card.file(stored, which), "WEBP", quality=82)
            for which in ("before", "after"):
                if (source := card.file(stored, which)).exists():
                    card.file(shown, which).write_bytes(source.read_bytes())
        except (UserError, Unreadable, OSError):
            continue  # the tab of the model says what is wrong with it


def painted_in_background(shelf: Shelf, folder: Path) -> None:
    threading.Thread(target=paint, args=(shelf, folder), daemon=True).start()


def html_of(found: list[Card], folder: Path) -> str:
    """The cards whose pictures are there."""
    parts = []
    for card in found:
        if not card.file(folder, "after").exists():
            continue
        files = [card.file(folder, which) for which in ("after", "before")]
        pictures = "".join(
            f'<img src="gradio_api/file={quote(str(file))}" alt="" loading="lazy">'
            for file in files
            if file.exists()
        )
        name, words = html.escape(card.entry.name, quote=True), card.words or card.entry.description
        words = html.escape(words[:90] + "…" * (len(words) > 90))
        parts.append(
            f'<button type="button" data-model="{name}" data-example="{card.number}">'
            f'<span class="pair">{pictures}</span>'
            f"<b>{html.escape(title(card.entry))}</b><small>{words}</small></button>"
        )
    return "".join(parts)


def section(elem_id: str) -> gr.HTML:
    return gr.HTML(elem_id=elem_id, css_template=LOOK, js_on_load=CLICK)


def filled(heading: str, entries: list[Entry]) -> str:
    """A section's content; empty where nothing is ready."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / SHOWN
    inside = html_of(cards(entries), folder)
    return f'<h2>{heading}</h2><div class="wall">{inside}</div>' if inside else ""


def asked(event: gr.EventData, shelf: Shelf) -> Card:
    """The card that was clicked. Raises UserError."""
    data = event._data if isinstance(event._data, dict) else {}
    for card in cards(shelf.entries()):
        if (card.entry.name, card.number) == (data.get("model"), data.get("example")):
            return card
    raise UserError(W.wall.picture_is_gone)
