"""Tab Caption: a sentence in, pictures out; what was understood; ways from one to another; is it a copy?"""

import contextlib
import html
import io
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
from PIL import Image

from datasets.attributes import attributes_of
from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.reading import LONGEST, Reading
from translate.ui import wall
from translate.ui.lanes import Report
from translate.ui.nearest import nearest, prepared
from translate.ui.parts import Hint, line, on, reporter, stopper
from translate.ui.pictures import lay, write
from translate.ui.shelf import Shelf
from translate.ui.translate import about, told

MOST = 16  # pictures of a caption
FRAMES = 12  # pictures on the way from one to another
PER_PICTURE = 0.3  # seconds, before it was measured
PACE = 160  # milliseconds a frame of the animation is shown
SEEDS = 2**31
DULL = frozenset("a an the this that is are has have with and of in on its it to which".split())


@dataclass(frozen=True)
class Drawn:
    """What came of a caption."""

    pictures: tuple[Image.Image, ...]
    file: Path  # all in one PNG, or the animation
    note: str
    chips: str = ""  # HTML
    moving: Path | None = field(default=None)


def draw(
    shelf: Shelf,
    model: str | None,
    caption: str | None,
    count: float,
    seed: float,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Drawn:
    """`count` pictures of a caption. Raises UserError with a sentence for the user."""
    count, seed = whole(count, "pictures", 1, MOST), whole(seed, "seed", 0, SEEDS)
    pipeline, caption = shelf.pipeline(chosen(model)), asked(caption)
    with shelf.lanes.job(session, str(model), count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.imagine(caption, count, seed=seed, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    reading = pipeline.reading(caption)
    note = f"{count} {'picture' if count == 1 else 'pictures'} in {told(seconds)}, seed {seed}"
    note += f". Note: {reading.note}." if reading.note else ""
    sheet = Picture(tensor=images.grid([picture.tensor for picture in pictures]))
    file = write(sheet, f"{model}-seed-{seed}.png")
    shown = tuple(images.to_image(picture.tensor) for picture in pictures)
    return Drawn(shown, file, note, chips(shelf.entry(model), caption, reading))


def between(
    shelf: Shelf,
    model: str | None,
    captions: tuple[str | None, str | None],
    seeds: tuple[float, float],
    frames: float = FRAMES,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Drawn:
    """A strip and an animation from one caption and seed to another. Raises UserError."""
    frames = whole(frames, "frames", 2, 2 * MOST)
    seeds = tuple(whole(seed, "seed", 0, SEEDS) for seed in seeds)
    pipeline, first = shelf.pipeline(chosen(model)), asked(captions[0])
    both = first, (captions[1] or "").strip()[: 2 * LONGEST] or first
    with shelf.lanes.job(session, str(model), frames, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.between(both, seeds, frames, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    note = f"{frames} pictures in {told(seconds)}, seed {seeds[0]} to seed {seeds[1]}"
    shown = tuple(images.to_image(picture.tensor) for picture in pictures)
    there_and_back = [*shown, *shown[-2:0:-1]]
    film = io.BytesIO()
    options = dict(save_all=True, append_images=there_and_back[1:], duration=PACE, loop=0, quality=90)
    there_and_back[0].save(film, "WEBP", **options)
    moving = lay(f"{model}-{seeds[0]}-{seeds[1]}.webp", film.getvalue())
    return Drawn(shown, moving, note, moving=moving)


def copies(shelf: Shelf, model: str | None, caption, seed, truncation, number: int, session="", report=None):
    """The training pictures nearest to picture `number` of a caption, and a sentence. Raises UserError."""
    pipeline = shelf.pipeline(chosen(model))
    seed = whole(seed, "seed", 0, SEEDS)
    with shelf.lanes.job(session, str(model), number + 1, report, guess=PER_PICTURE):
        made = pipeline.imagine(asked(caption), number + 1, seed=seed, truncation=truncation or 0.0)[number]
    found = nearest(shelf.lanes, pipeline, session, report).of(made.tensor[0])
    shown = [(images.to_image(made.tensor), f"picture {number + 1}")]
    for picture, distance, file in zip(found.pictures, found.distances, found.files, strict=True):
        shown.append((images.to_image(picture), f"{file}: {distance:.2f}"))
    return shown, found.note


def chosen(model: str | None) -> str:
    if not model:
        raise UserError("There is no model that draws captions here; train one with --task df_gan.")
    return model


def asked(caption: str | None) -> str:
    if not (caption or "").strip():
        raise Hint("Type what the picture should show, or pick an example.")
    return caption.strip()[: 2 * LONGEST]


def whole(value: float | None, what: str, least: int, most: int) -> int:
    if value is None or not least <= value <= most or value != int(value):
        raise UserError(f"The number for {what} must be {least} to {most:,}.")
    return int(value)


def chips(entry: Entry, caption: str, reading: Reading) -> str:
    """What was understood, as HTML: attributes of drawn birds, else words; and the words not known."""
    shown = []
    for what, value, colour in attributes_of(str(entry.facts.get("info", {}).get("name")), caption):
        dot = f'<i style="background: rgb{colour}"></i>' if colour else ""
        shown.append(f"<span>{dot}{html.escape(what)}: {html.escape(value)}</span>")
    if not shown:
        words = dict.fromkeys(word for word in reading.known if word.lower() not in DULL and word.isalnum())
        shown = [f"<span>{html.escape(word)}</span>" for word in words]
    shown += [
        f'<span class="lost" title="not known to the model"><s>{html.escape(word[:40])}</s></span>'
        for word in list(dict.fromkeys(reading.unknown))[:12]
    ]
    return f'<div class="chips">{"".join(shown)}</div>' if shown else ""


# --- the page ---------------------------------------------------------------------------------------------


def tab(shelf: Shelf, page: gr.Blocks, start: gr.HTML, show_tab: gr.Tabs) -> None:
    """Build the tab inside `page`; a click on a card of `start` leads here."""
    nothing = gr.Markdown(elem_id="caption-nothing", visible=False)
    with gr.Row(elem_id="caption-panel", equal_height=False) as panel:
        with gr.Column(min_width=320):
            model = gr.Dropdown(label="Model", elem_id="caption-model", interactive=True)
            description = gr.Markdown(elem_id="caption-description")
            caption = gr.Textbox(
                label="What should the picture show?", elem_id="caption-text", lines=1,
                max_lines=5, max_length=LONGEST,
            )  # fmt: skip
            with gr.Row():
                go = gr.Button("Draw", variant="primary", elem_id="caption-go", scale=3)
                cancel = gr.Button("Cancel", elem_id="caption-cancel", scale=1, min_width=80)
            examples = gr.Dataset(
                label="Examples", components=[caption], samples=[[""]], type="values", samples_per_page=8
            )
            count = gr.Slider(1, MOST, value=4, step=1, label="Pictures", elem_id="caption-count")
            with gr.Row():
                seed = gr.Number(label="Seed", value=0, precision=0, minimum=0, elem_id="caption-seed")
                lock = gr.Checkbox(label="Keep the seed", elem_id="caption-lock")
            truncation = gr.Slider(
                0, 2, value=0, step=0.1, label="Truncation (0 off; small: typical, alike)",
                elem_id="caption-truncation",
            )  # fmt: skip
        with gr.Column(min_width=320):
            understood = gr.HTML(elem_id="caption-chips")
            gallery = gr.Gallery(
                label="Pictures", elem_id="caption-gallery", elem_classes="pictures", object_fit="contain",
                height="auto", format="png", interactive=False,
            )  # fmt: skip
            said = line("caption-said")
            note = gr.Markdown(elem_id="caption-note")
            download = gr.DownloadButton("Download PNG", elem_id="caption-download", interactive=False)
            with gr.Accordion("From one to another", open=False):
                other = gr.Textbox(label="Second caption (empty: the same)", elem_id="caption-other")
                seed_2 = gr.Number(
                    label="Second seed", value=1, precision=0, minimum=0, elem_id="caption-seed-2"
                )
                way = gr.Button("Show the way", elem_id="caption-way")
                way_said = line("caption-way-said")
                moving = gr.Image(
                    label="There and back", elem_id="caption-moving", type="filepath", height=260
                )
                strip = gr.Gallery(
                    label="Strip", elem_id="caption-strip", elem_classes="pictures", height="auto",
                    interactive=False,
                )  # fmt: skip
                way_note = gr.Markdown(elem_id="caption-way-note")
            with gr.Accordion("Is it a copy?", open=False):
                which = gr.Number(label="Picture", value=1, precision=0, minimum=1, elem_id="caption-which")
                look = gr.Button("Find the nearest training pictures", elem_id="caption-look")
                look_said = line("caption-look-said")
                near = gr.Gallery(
                    label="The picture, then the nearest", elem_id="caption-near", elem_classes="pictures",
                    height="auto", interactive=False,
                )  # fmt: skip
                near_note = gr.Markdown(elem_id="caption-near-note")

    def refresh(name):
        names = [entry.name for entry in shelf.drawers()]
        name = name if name in names else names[0] if names else None
        message = (
            "No model here draws captions yet. Train one: `python train.py --task df_gan` on drawn birds, "
            "with `--data DIR` on your own pictures."
        )
        return {
            nothing: gr.update(visible=not names, value=message),
            panel: gr.update(visible=bool(names)),
            model: gr.update(choices=names, value=name),
            **show(name),
        }

    def show(name):
        entry = next((entry for entry in shelf.drawers() if entry.name == name), None)
        told = entry.facts.get("info", {}).get("captions", []) if entry else []
        line = f"{entry.description}\n\n<small>{html.escape(about(entry))}</small>" if entry else ""
        return {
            description: line,
            examples: gr.update(samples=[[text] for text in told] or [[""]], visible=bool(told)),
        }

    def run(name, text, number, start, keep, cut, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        start = start if keep else random.randrange(SEEDS)
        session, report = request.session_hash or "", reporter(progress, "Drawing")
        made = draw(shelf, name, text, number, start, cut, session, report)
        with contextlib.suppress(UserError):  # said when it is asked for
            prepared(shelf.lanes, shelf.pipeline(name))
        ready = gr.update(value=made.file, interactive=True)
        return list(made.pictures), made.note, made.chips, ready, start

    def walk(name, text, text_2, start, end, cut, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        session, report = request.session_hash or "", reporter(progress, "Drawing")
        made = between(shelf, name, (text, text_2), (start, end), FRAMES, cut, session, report)
        return str(made.moving), list(made.pictures), made.note

    def compare(name, text, start, cut, number, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        number = whole(number, "picture", 1, MOST)
        session, report = request.session_hash or "", reporter(progress, "Looking through training pictures")
        return copies(shelf, name, text, start, cut, number - 1, session, report)

    on(page.load, refresh, model, [nothing, panel, model, description, examples])
    on(model.change, show, model, [description, examples])
    inputs = [model, caption, count, seed, lock, truncation]
    outputs = [gallery, note, understood, download, seed]
    on([go.click, caption.submit], run, inputs, outputs, said, work=True, show_progress_on=gallery)
    taken = on(examples.click, lambda row: row[0] if row else gr.skip(), examples, caption)
    on(taken.then, run, inputs, outputs, said, work=True, show_progress_on=gallery)
    ways = [model, caption, other, seed, seed_2, truncation]
    on(way.click, walk, ways, [moving, strip, way_note], way_said, work=True, show_progress_on=strip)
    compared = [model, caption, seed, truncation, which]
    on(look.click, compare, compared, [near, near_note], look_said, work=True, show_progress_on=near)
    on(gallery.select, picked, None, which)

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        return gr.Tabs(selected="caption"), card.entry.name, card.words

    entered = on(start.click, enter, None, [show_tab, model, caption], said)
    on(entered.then, run, inputs, outputs, said, work=True, show_progress_on=gallery)
    on(cancel.click, stopper(shelf), None, None)


def picked(event: gr.SelectData) -> int:
    """The number of the picture that was clicked."""
    return min(event.index + 1, MOST)
