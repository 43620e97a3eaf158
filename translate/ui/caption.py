"""Tab Caption: a sentence in, pictures out; what was understood; ways from one to another; is it a copy?"""

import contextlib
import html
import io
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from datasets.attributes import attributes_of
from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.reading import LONGEST, Reading
from translate.ui import wall
from translate.ui.lanes import Report
from translate.ui.nearest import nearest, prepared
from translate.ui.parts import Chooser, Hint, Runner, line, on, reporter
from translate.ui.pictures import lay
from translate.ui.result import Result, Studio, number
from translate.ui.shelf import Shelf, title
from translate.ui.translate import about, card_text, elapsed
from translate.ui.visit import Made

MOST = 16  # pictures of a caption
FRAMES = 12  # pictures on the way from one to another
PER_PICTURE = 0.3  # seconds, before it was measured
PACE = 160  # milliseconds a frame of the animation is shown
SEEDS = 2**31
VARIED = 4  # pictures, the first of them the one that is varied
COLOURS = (
    "red orange yellow green blue purple pink brown black white grey gray tan gold violet turquoise".split()
)
DULL = frozenset("a an the this that is are has have with and of in on its it to which".split())


@dataclass(frozen=True)
class Film:
    """The way from one picture to another."""

    pictures: tuple[Image.Image, ...]
    moving: Path  # there and back
    note: str


def quoted(caption: str, most: int = 100) -> str:
    """In quotation marks, as much of it as a title has room for."""
    return f"“{caption}”" if len(caption) <= most else f"“{caption[:most].rstrip()}…”"


def draw(
    shelf: Shelf,
    model: str | None,
    caption: str | None,
    count: float,
    seed: float,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """`count` pictures of a caption. Raises UserError with a sentence for the user."""
    count, seed = whole(count, "pictures", 1, MOST), whole(seed, "seed", 0, SEEDS)
    pipeline, caption = shelf.pipeline(chosen(model)), asked(caption)
    with shelf.lanes.job(session, str(model), count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.imagine(caption, count, seed=seed, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    reading = pipeline.reading(caption)
    note = f"{plural(count)} in {elapsed(seconds)}, seed {seed}"
    note += f". Note: {reading.note}." if reading.note else ""
    words = (caption,) * count
    stem = f"{model}-seed-{seed}"
    return Made(tuple(pictures), note, stem, f"{title(shelf.entry(model))}: {quoted(caption)}", alt=words)


def blend(
    shelf: Shelf,
    model: str | None,
    captions: tuple[str | None, str | None],
    share: float,
    count: float,
    seed: float,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """Pictures of what lies `share` of the way from one caption to another. Raises UserError."""
    count, seed = whole(count, "pictures", 1, MOST), whole(seed, "seed", 0, SEEDS)
    pipeline, both = shelf.pipeline(chosen(model)), (asked(captions[0]), asked(captions[1]))
    share = min(1.0, max(0.0, share))
    with shelf.lanes.job(session, str(model), count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.mixed(both, share, count, seed=seed, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    words = f"{title(shelf.entry(model))}: {1 - share:.0%} {quoted(both[0])}, {share:.0%} {quoted(both[1])}"
    note = f"{plural(count)} in {elapsed(seconds)}, seed {seed}"
    return Made(tuple(pictures), note, f"{model}-mixed-{seed}", words)


def variations(
    shelf: Shelf,
    model: str | None,
    caption: str | None,
    seed: float,
    number: float,
    again: int,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """Picture `number` (from 1) of a caption, and others like it. Raises UserError."""
    seed, number = whole(seed, "seed", 0, SEEDS), whole(number, "picture", 1, MOST)
    pipeline, caption = shelf.pipeline(chosen(model)), asked(caption)
    with shelf.lanes.job(session, str(model), VARIED, report, guess=PER_PICTURE):
        start = time.perf_counter()
        options = dict(seed=seed, truncation=truncation or 0.0, again=again)
        pictures = pipeline.varied(caption, number - 1, VARIED, **options)
        seconds = time.perf_counter() - start
    words = f"{title(shelf.entry(model))}: variations of picture {number} of {quoted(caption)}"
    note = f"the picture itself, then {VARIED - 1} like it, in {elapsed(seconds)}, seed {seed}"
    return Made(tuple(pictures), note, f"{model}-variations-{seed}", words)


def recoloured(caption: str, colour: str) -> str:
    """The caption with its colours replaced; with the colour at its end where it names none."""
    found = re.sub(rf"(?i)\b({'|'.join(COLOURS)})\b", colour, caption)
    return found if found != caption or colour in caption.lower() else f"{caption}, {colour}"


def colours(entry: Entry) -> list[str]:
    """Those that a model can have learned: of its vocabulary, where it has one of its own."""
    known = set(entry.facts.get("info", {}).get("vocabulary") or COLOURS)
    return [colour for colour in COLOURS if colour in known]


def plural(count: int) -> str:
    return f"{count} {'picture' if count == 1 else 'pictures'}"


def between(
    shelf: Shelf,
    model: str | None,
    captions: tuple[str | None, str | None],
    seeds: tuple[float, float],
    frames: float = FRAMES,
    truncation: float = 0.0,
    session: str = "",
    report: Report | None = None,
) -> Film:
    """A strip and an animation from one caption and seed to another. Raises UserError."""
    frames = whole(frames, "frames", 2, 2 * MOST)
    seeds = tuple(whole(seed, "seed", 0, SEEDS) for seed in seeds)
    pipeline, first = shelf.pipeline(chosen(model)), asked(captions[0])
    both = first, (captions[1] or "").strip()[: 2 * LONGEST] or first
    with shelf.lanes.job(session, str(model), frames, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.between(both, seeds, frames, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    note = f"{frames} pictures in {elapsed(seconds)}, seed {seeds[0]} to seed {seeds[1]}"
    shown = tuple(images.to_image(picture.tensor) for picture in pictures)
    there_and_back = [*shown, *shown[-2:0:-1]]
    film = io.BytesIO()
    options = dict(save_all=True, append_images=there_and_back[1:], duration=PACE, loop=0, quality=90)
    there_and_back[0].save(film, "WEBP", **options)
    moving = lay(f"{model}-{seeds[0]}-{seeds[1]}.webp", film.getvalue())
    return Film(shown, moving, note)


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
    """What was understood, as HTML: attributes where the data have them, else words; and what is not known.

    config.json's `at_chance` names attributes that a model's pictures were measured not to follow.
    """
    shown, deaf = [], entry.facts.get("at_chance") or []
    for what, value, colour in attributes_of(str(entry.facts.get("info", {}).get("name")), caption):
        if what in deaf:
            shown.append(f'<span class="lost">{html.escape(what)}: left to chance by this model</span>')
            continue
        dot = f'<i style="background: rgb{colour}"></i>' if colour else ""
        shown.append(f"<span>{dot}{html.escape(what)}: {html.escape(value)}</span>")
    if not shown:
        words = dict.fromkeys(word for word in reading.known if word.lower() not in DULL and word.isalnum())
        shown = [f"<span>{html.escape(word)}</span>" for word in words]
    shown += [
        f'<span class="lost"><s>{html.escape(word[:40])}</s> not known to the model</span>'
        for word in list(dict.fromkeys(reading.unknown))[:12]
    ]
    return f'<div class="chips">{"".join(shown)}</div>' if shown else ""


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab, start: gr.HTML) -> None:
    """Build the tab `here`; a click on a card of `start` leads here."""
    shelf, page = studio.shelf, studio.page
    nothing = gr.Markdown(elem_id="caption-nothing", visible=False)
    with gr.Row(elem_id="caption-panel", elem_classes="result-first", equal_height=False) as panel:
        with gr.Column(min_width=320):
            chooser = studio.choosers["caption"] = Chooser(shelf, shelf.drawers, "caption-model")
            model = chooser.model
            description = gr.Markdown(elem_id="caption-description")
            caption = gr.Textbox(
                label="What should the picture show?", elem_id="caption-text", lines=1,
                max_lines=5, max_length=LONGEST,
            )  # fmt: skip
            runner = Runner(shelf, "caption", "Draw")
            examples = gr.Dataset(
                label="Examples", components=[caption], samples=[[""]], type="values", samples_per_page=8,
                elem_id="caption-examples",
            )  # fmt: skip
            with gr.Accordion("Mix with another caption or colour", open=False):
                colour = gr.Dropdown([], label="Towards a colour", elem_id="caption-colour")
                second = gr.Textbox(label="or towards another caption", elem_id="caption-second")
                share = gr.Slider(0, 100, 50, step=5, label="How far, %", elem_id="caption-share")
                mix = gr.Button("Draw the mixture", elem_id="caption-mix")
            with gr.Accordion("Options", open=False):
                count = gr.Slider(1, MOST, value=4, step=1, label="Pictures", elem_id="caption-count")
                with gr.Row():
                    seed = gr.Number(label="Seed", value=0, precision=0, minimum=0, elem_id="caption-seed")
                    lock = gr.Checkbox(label="Keep the seed", elem_id="caption-lock")
                truncation = gr.Slider(
                    0, 2, value=0, step=0.1, label="Truncation (0 off; small: typical, alike)",
                    elem_id="caption-truncation",
                )  # fmt: skip
        with gr.Column(min_width=320):
            result = Result(studio, "caption", "Type a caption and press Enter: the pictures appear here.")
            understood = gr.HTML(elem_id="caption-chips")
            with gr.Row(elem_classes="ends", elem_id="caption-again"):
                which = gr.Number(label="Picture", value=1, precision=0, minimum=1, elem_id="caption-which")
                vary = gr.Button("Variations of this picture", elem_id="caption-vary", scale=3)
            with gr.Accordion("From one to another", open=False):
                other = gr.Textbox(label="Second caption (empty: the same)", elem_id="caption-other")
                seed_2 = gr.Number(
                    label="Second seed", value=1, precision=0, minimum=0, elem_id="caption-seed-2"
                )
                way = gr.Button("Show the way", elem_id="caption-way")
                way_message = line("caption-way-message")
                moving = gr.Image(
                    label="There and back", elem_id="caption-moving", type="filepath", height=260
                )
                strip = gr.Gallery(
                    label="Strip", elem_id="caption-strip", elem_classes="pictures", height="auto",
                    interactive=False,
                )  # fmt: skip
                way_note = gr.Markdown(elem_id="caption-way-note")
            with gr.Accordion("How good is it?", open=False):
                card = gr.Markdown(elem_id="caption-card")
            with gr.Accordion("Is it a copy?", open=False):
                look = gr.Button("Find the nearest training pictures", elem_id="caption-look")
                look_message = line("caption-look-message")
                near = gr.Gallery(
                    label="The picture, then the nearest", elem_id="caption-near", elem_classes="pictures",
                    height="auto", interactive=False,
                )  # fmt: skip
                near_note = gr.Markdown(elem_id="caption-near-note")

    def refresh(name):
        message = (
            "No model here draws captions yet. Train one: `python train.py --task df_gan`, with `--data DIR` "
            "on your own pictures."
        )
        known = bool(shelf.drawers())
        hidden = {nothing: gr.update(visible=not known, value=message), panel: gr.update(visible=known)}
        return {**hidden, model: chooser.refreshed(name)}

    def show(name):
        entry = chooser.entry(name)
        suggested = entry.facts.get("info", {}).get("captions", []) if entry else []
        return {
            description: entry.description if entry else "",
            card: f"{html.escape(about(entry))}\n\n{card_text(entry)}" if entry else "",
            examples: gr.update(samples=[[text] for text in suggested] or [[""]], visible=bool(suggested)),
            result.viewer: "",
            understood: "",
            colour: gr.update(choices=colours(entry) if entry else [], value=None),
        }

    def run(name, text, number, start, keep, cut, session="", report=None):
        start = start if keep else random.randrange(SEEDS)
        made = draw(shelf, name, text, number, start, cut, session, report)
        with contextlib.suppress(UserError):  # said when it is asked for
            prepared(shelf.lanes, shelf.pipeline(name))
        reading = shelf.pipeline(name).reading(asked(text))
        return made, {understood: chips(shelf.entry(name), asked(text), reading), seed: start}

    def mixed(name, text, other, hue, far, number, start, cut, session="", report=None):
        if not (other or "").strip() and not hue:
            raise Hint("Choose a colour, or type a second caption.")
        end = (other or "").strip() or recoloured(asked(text), hue)
        both, far = (text, end), (0 if far is None else far) / 100
        return blend(shelf, name, both, far, number, start, cut, session, report), {understood: ""}

    def varied(name, text, start, number, cut, session="", report=None):
        again = random.randrange(SEEDS)
        made = variations(shelf, name, text, start, number, again, cut, session, report)
        return made, {understood: ""}

    def walk(name, text, text_2, start, end, cut, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        session, report = request.session_hash or "", reporter(progress, "Drawing")
        made = between(shelf, name, (text, text_2), (start, end), FRAMES, cut, session, report)
        return str(made.moving), list(made.pictures), made.note

    def compare(name, text, start, cut, number, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        number = whole(number, "picture", 1, MOST)
        session, report = request.session_hash or "", reporter(progress, "Looking through training pictures")
        return copies(shelf, name, text, start, cut, number - 1, session, report)

    def drawing(events):
        inputs = [model, caption, count, seed, lock, truncation]
        return result.of(events, run, inputs, runner.message, [understood, seed], "Drawing")

    on([page.load, here.select], refresh, model, [nothing, panel, model])
    on(model.change, show, model, [description, examples, result.viewer, understood, colour, card])
    drawing([runner.go.click, caption.submit])
    drawing(on(examples.click, lambda row: row[0] if row else gr.skip(), examples, caption).then)
    mixing = [model, caption, second, colour, share, count, seed, truncation]
    result.of(
        [mix.click, share.release, colour.input, second.submit], mixed, mixing, runner.message, [understood]
    )
    varying = [model, caption, seed, which, truncation]
    result.of(vary.click, varied, varying, runner.message, [understood], "Drawing")
    ways = [model, caption, other, seed, seed_2, truncation]
    on(way.click, walk, ways, [moving, strip, way_note], way_message, work=True, show_progress_on=strip)
    compared = [model, caption, seed, truncation, which]
    on(look.click, compare, compared, [near, near_note], look_message, work=True, show_progress_on=near)
    on(result.viewer.choose, picked, None, which)

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        return gr.Tabs(selected="caption"), card.entry.name, card.words

    drawing(on(start.click, enter, None, [studio.tabs, model, caption], runner.message).then)


def picked(event: gr.EventData) -> int:
    """The number of the picture that was clicked."""
    return int(min(max(number(event, "index", 0), 0), MOST - 1)) + 1
