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
from translate.reading import LONGEST, Reading, beginning
from translate.ui import wall
from translate.ui.lanes import Report
from translate.ui.nearest import nearest, prepared
from translate.ui.parts import Chooser, Hint, Runner, line, on, reporter
from translate.ui.pictures import lay
from translate.ui.result import Result, Studio, number
from translate.ui.shelf import Shelf, title
from translate.ui.translate import about, card_text, elapsed
from translate.ui.visit import Made
from translate.ui.words import W

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
    count, seed = (
        whole(count, W.common.pictures_in_sentences, 1, MOST),
        whole(seed, W.common.seed_in_sentences, 0, SEEDS),
    )
    pipeline, caption = shelf.pipeline(chosen(model)), asked(caption)
    with shelf.lanes.job(session, str(model), count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.imagine(caption, count, seed=seed, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    reading = pipeline.reading(caption)
    note = W.caption.made_in.format(pictures=plural(count), time=elapsed(seconds), seed=seed)
    note += W.caption.and_note.format(note=reading.note) if reading.note else ""
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
    count, seed = (
        whole(count, W.common.pictures_in_sentences, 1, MOST),
        whole(seed, W.common.seed_in_sentences, 0, SEEDS),
    )
    pipeline, both = shelf.pipeline(chosen(model)), (asked(captions[0]), asked(captions[1]))
    share = min(1.0, max(0.0, share))
    with shelf.lanes.job(session, str(model), count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.mixed(both, share, count, seed=seed, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    words = f"{title(shelf.entry(model))}: {1 - share:.0%} {quoted(both[0])}, {share:.0%} {quoted(both[1])}"
    note = W.caption.made_in.format(pictures=plural(count), time=elapsed(seconds), seed=seed)
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
    seed, number = (
        whole(seed, W.common.seed_in_sentences, 0, SEEDS),
        whole(number, W.common.picture_in_sentences, 1, MOST),
    )
    pipeline, caption = shelf.pipeline(chosen(model)), asked(caption)
    with shelf.lanes.job(session, str(model), VARIED, report, guess=PER_PICTURE):
        start = time.perf_counter()
        options = dict(seed=seed, truncation=truncation or 0.0, again=again)
        pictures = pipeline.varied(caption, number - 1, VARIED, **options)
        seconds = time.perf_counter() - start
    words = W.caption.variations_of.format(
        model=title(shelf.entry(model)), number=number, caption=quoted(caption)
    )
    note = W.caption.variations_made_in.format(others=VARIED - 1, time=elapsed(seconds), seed=seed)
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
    return W.caption.one_picture if count == 1 else W.caption.several_pictures.format(count=count)


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
    frames = whole(frames, W.caption.frames_in_sentences, 2, 2 * MOST)
    seeds = tuple(whole(seed, W.common.seed_in_sentences, 0, SEEDS) for seed in seeds)
    pipeline, first = shelf.pipeline(chosen(model)), asked(captions[0])
    both = first, (captions[1] or "").strip()[: 2 * LONGEST] or first
    with shelf.lanes.job(session, str(model), frames, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.between(both, seeds, frames, truncation=truncation or 0.0)
        seconds = time.perf_counter() - start
    note = W.caption.way_made_in.format(frames=frames, time=elapsed(seconds), first=seeds[0], last=seeds[1])
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
    seed = whole(seed, W.common.seed_in_sentences, 0, SEEDS)
    with shelf.lanes.job(session, str(model), number + 1, report, guess=PER_PICTURE):
        made = pipeline.imagine(asked(caption), number + 1, seed=seed, truncation=truncation or 0.0)[number]
    found = nearest(shelf.lanes, pipeline, session, report).of(made.tensor[0])
    shown = [(images.to_image(made.tensor), W.caption.numbered_picture.format(number=number + 1))]
    for picture, distance, file in zip(found.pictures, found.distances, found.files, strict=True):
        shown.append((images.to_image(picture), f"{file}: {distance:.2f}"))
    return shown, found.note


def chosen(model: str | None) -> str:
    if not model:
        raise UserError(W.caption.no_model)
    return model


def asked(caption: str | None) -> str:
    if not (caption or "").strip():
        raise Hint(W.caption.type_a_caption)
    return caption.strip()[: 2 * LONGEST]


def whole(value: float | None, what: str, least: int, most: int) -> int:
    if value is None or not least <= value <= most or value != int(value):
        raise UserError(W.common.number_out_of_range.format(what=what, least=least, most=most))
    return int(value)


def chips(entry: Entry, caption: str, reading: Reading) -> str:
    """What was understood, as HTML: attributes where the data have them, else words; and what is not known.

    config.json's `at_chance` names attributes that a model's pictures were measured not to follow.
    """
    shown, deaf = [], entry.facts.get("at_chance") or []
    for what, value, colour in attributes_of(
        str(entry.facts.get("info", {}).get("name")), beginning(caption)
    ):
        if what in deaf:
            left = W.caption.left_to_chance.format(what=html.escape(what))
            shown.append(f'<span class="lost">{left}</span>')
            continue
        dot = f'<i style="background: rgb{colour}"></i>' if colour else ""
        shown.append(f"<span>{dot}{html.escape(what)}: {html.escape(value)}</span>")
    if not shown:
        words = dict.fromkeys(word for word in reading.known if word.lower() not in DULL and word.isalnum())
        shown = [f"<span>{html.escape(word)}</span>" for word in words]
    shown += [
        f'<span class="lost">{W.caption.not_known.format(word=f"<s>{html.escape(word[:40])}</s>")}</span>'
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
                label=W.caption.what_to_show, elem_id="caption-text", lines=1,
                max_lines=5, max_length=2 * LONGEST,  # what is read is cut between words
            )  # fmt: skip
            runner = Runner(shelf, "caption", W.common.draw)
            examples = gr.Dataset(
                label=W.caption.examples, components=[caption], samples=[[""]], type="values",
                samples_per_page=8, elem_id="caption-examples",
            )  # fmt: skip
            with gr.Accordion(W.caption.mix_with_another, open=False):
                colour = gr.Dropdown([], label=W.caption.towards_a_colour, elem_id="caption-colour")
                second = gr.Textbox(label=W.caption.towards_a_caption, elem_id="caption-second")
                share = gr.Slider(
                    0, 100, 50, step=5, label=W.caption.how_far_percent, elem_id="caption-share"
                )
                mix = gr.Button(W.caption.draw_the_mixture, elem_id="caption-mix")
            with gr.Accordion(W.common.options, open=False):
                count = gr.Slider(1, MOST, value=4, step=1, label=W.common.pictures, elem_id="caption-count")
                with gr.Row():
                    seed = gr.Number(
                        label=W.common.seed, value=0, precision=0, minimum=0, elem_id="caption-seed"
                    )
                    lock = gr.Checkbox(label=W.caption.keep_the_seed, elem_id="caption-lock")
                truncation = gr.Slider(
                    0, 2, value=0, step=0.1, label=W.common.truncation,
                    elem_id="caption-truncation",
                )  # fmt: skip
        with gr.Column(min_width=320):
            result = Result(studio, "caption", W.caption.hint)
            understood = gr.HTML(elem_id="caption-chips")
            with gr.Row(elem_classes="ends", elem_id="caption-again"):
                which = gr.Number(
                    label=W.common.picture, value=1, precision=0, minimum=1, elem_id="caption-which"
                )
                vary = gr.Button(W.caption.variations, elem_id="caption-vary", scale=3)
            with gr.Accordion(W.common.from_one_to_another, open=False):
                other = gr.Textbox(label=W.caption.second_caption, elem_id="caption-other")
                seed_2 = gr.Number(
                    label=W.common.second_seed, value=1, precision=0, minimum=0, elem_id="caption-seed-2"
                )
                way = gr.Button(W.common.show_the_way, elem_id="caption-way")
                way_message = line("caption-way-message")
                moving = gr.Image(
                    label=W.caption.there_and_back, elem_id="caption-moving", type="filepath", height=260
                )
                strip = gr.Gallery(
                    label=W.caption.strip, elem_id="caption-strip", elem_classes="pictures", height="auto",
                    interactive=False,
                )  # fmt: skip
                way_note = gr.Markdown(elem_id="caption-way-note")
            with gr.Accordion(W.common.how_good, open=False):
                card = gr.Markdown(elem_id="caption-card")
            with gr.Accordion(W.common.is_it_a_copy, open=False):
                look = gr.Button(W.caption.find_the_nearest, elem_id="caption-look")
                look_message = line("caption-look-message")
                near = gr.Gallery(
                    label=W.caption.picture_and_nearest, elem_id="caption-near", elem_classes="pictures",
                    height="auto", interactive=False,
                )  # fmt: skip
                near_note = gr.Markdown(elem_id="caption-near-note")

    def refresh(name):
        message = W.caption.no_model_yet
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
            raise Hint(W.caption.choose_what_to_mix)
        end = (other or "").strip() or recoloured(asked(text), hue)
        both, far = (text, end), (0 if far is None else far) / 100
        return blend(shelf, name, both, far, number, start, cut, session, report), {understood: ""}

    def varied(name, text, start, number, cut, session="", report=None):
        again = random.randrange(SEEDS)
        made = variations(shelf, name, text, start, number, again, cut, session, report)
        return made, {understood: ""}

    def walk(name, text, text_2, start, end, cut, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        session, report = request.session_hash or "", reporter(progress, W.common.drawing)
        made = between(shelf, name, (text, text_2), (start, end), FRAMES, cut, session, report)
        return str(made.moving), list(made.pictures), made.note

    def compare(name, text, start, cut, number, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        number = whole(number, W.common.picture_in_sentences, 1, MOST)
        session, report = request.session_hash or "", reporter(progress, W.caption.looking_through)
        return copies(shelf, name, text, start, cut, number - 1, session, report)

    def drawing(events):
        inputs = [model, caption, count, seed, lock, truncation]
        return result.of(events, run, inputs, runner.message, [understood, seed], W.common.drawing)

    on([page.load, here.select], refresh, model, [nothing, panel, model])
    on(model.change, show, model, [description, examples, result.viewer, understood, colour, card])
    drawing([runner.go.click, caption.submit])
    drawing(on(examples.click, lambda row: row[0] if row else gr.skip(), examples, caption).then)
    mixing = [model, caption, second, colour, share, count, seed, truncation]
    result.of(
        [mix.click, share.release, colour.input, second.submit], mixed, mixing, runner.message, [understood]
    )
    varying = [model, caption, seed, which, truncation]
    result.of(vary.click, varied, varying, runner.message, [understood], W.common.drawing)
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
