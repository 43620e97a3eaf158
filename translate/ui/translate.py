"""Tab Translate: choose a model, give it a picture, see what it makes of it.

The handlers are plain functions of (shelf, values); `tab` ties them to the page.
"""

import dataclasses
import re
import time
from collections import OrderedDict
from pathlib import Path

import gradio as gr

from translate.config import UserError
from translate.inference import painting
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.ui import drawing, mixing, rectangles, wall
from translate.ui.lanes import Job, Report
from translate.ui.parts import Chooser, Hint, Runner, on, portrait
from translate.ui.pictures import Unreadable, extent, lay, opened, pixels, showable, thumbnail
from translate.ui.result import Result, Studio
from translate.ui.shelf import Shelf, method, title
from translate.ui.visit import Made
from translate.ui.words import W

AUTO, FULL, TRAINED = "auto", "full", "trained"
UPLOAD, DRAW = W.translate.upload, W.common.draw
PAINTED = 8  # painted copies kept, so that another strength is mixed at once


def painter(entry: Entry) -> bool:
    """Whether a model paints; see `painting.paints`."""
    return painting.paints(method(entry.task)) and not entry.facts.get("palette")


def translate(
    shelf: Shelf,
    model: str,
    source: str | None,
    direction: str = "AtoB",
    size: str = AUTO,
    keep_alpha: bool = True,
    session: str = "",
    report: Report | None = None,
    strength: float = 1.0,
    brush: float = 1.0,
    shares: tuple[float | None, ...] = (100,),
) -> Made:
    """One uploaded file to a picture of the same size. Raises UserError with a sentence for the user.

    strength: 0 is the picture, 1 all of the style; brush: how broad the strokes are; both of painters alone.
    shares: of each style of a model that has several, in per cent.
    """
    if not source:
        raise Hint(W.translate.give_a_picture)
    pipeline, entry = shelf.pipeline(model), shelf.entry(model)
    if direction not in pipeline.task.directions:
        direction = pipeline.task.directions[0]  # left over from another model
    paints = painter(entry)
    usual = painting.painted_at(entry.size, brush or 1.0) if paints else pipeline.usual_size
    side = {AUTO: usual, TRAINED: entry.size}.get(size, 0)
    if paints and side >= max(extent(source)):
        side = 0
    amount = side**2 if side else pixels(source)
    options = dict(direction=direction, keep_alpha=keep_alpha, label=mixing.mixture(entry, shares))
    with shelf.lanes.job(session, model, amount, report) as job:
        with shelf.lanes.aside(job):
            picture = opened(source, shelf.max_pixels)
        start = time.perf_counter()
        options["progress"] = counted(job)
        if paints:
            known = (pipeline, source, direction, side, keep_alpha, options["label"])
            copy = copies.get(known) or painting.paint(pipeline, picture, side, **options)
            remember(known, copy)
            result = painting.whole(
                copy, picture, crisp(shelf) if side else None, min(1.0, max(0.0, strength))
            )
        else:
            result = pipeline.translate(picture, work_size=side, **options)
        seconds = time.perf_counter() - start
        with shelf.lanes.aside(job):
            shown = showable(source, picture)
    width, height = result.size
    note = W.common.size_and_time.format(width=width, height=height, time=elapsed(seconds))
    note += W.translate.and_16_bits if result.bits == 16 else ""
    if side and side != max(picture.size):
        note += (W.translate.painted_at if paints else W.translate.translated_at).format(side=side)
    note += W.translate.and_strength.format(strength=strength) if paints and strength < 1 else ""
    note += f", {mixed}" if (mixed := mixing.described(options["label"])) else ""
    return Made((result,), note, f"{Path(source).stem}-{model}", title(entry), picture, source=shown)


def styles(
    shelf: Shelf,
    source: str | None,
    brush: float = 1.0,
    session: str = "",
    report: Report | None = None,
    **_,
) -> Made:
    """One picture through every painter of photographs, small enough for a screen. Raises UserError."""
    if not source:
        raise Hint(W.translate.give_a_picture)
    found = [entry for entry in shelf.translators() if painter(entry)]
    first = found[0].domains[:1] if found else []
    found = [entry for entry in found if entry.domains[:1] == first]
    if not found:
        raise UserError(W.translate.no_styles)
    made, start = [], time.perf_counter()
    for number, entry in enumerate(found):

        def list_of(share, words, number=number, entry=entry):
            if report:
                report((number + (share or 0)) / len(found), title(entry))

        pipeline, side = shelf.pipeline(entry.name), painting.painted_at(entry.size, brush or 1.0)
        with shelf.lanes.job(session, entry.name, side**2, list_of) as job:
            with shelf.lanes.aside(job):
                picture = opened(source, shelf.max_pixels)
            copy = painting.smaller(picture, side)
            painted = painting.paint(pipeline, copy, 0, progress=counted(job))
        made.append(painted)
    note = W.translate.styles_made_in.format(count=len(made), time=elapsed(time.perf_counter() - start))
    words, stem = tuple(title(entry) for entry in found), f"{Path(source).stem}-styles"
    shown = showable(source, picture)
    return Made(tuple(made), note, stem, W.translate.every_style, picture, source=shown, alt=words)


copies: OrderedDict[tuple, Picture] = OrderedDict()


def remember(known: tuple, copy: Picture) -> None:
    """Keep the newest few painted copies; large ones would cost too much memory."""
    if copy.size[0] * copy.size[1] > 1_000_000:
        return
    copies[known] = copy
    while len(copies) > PAINTED:
        copies.popitem(last=False)


def crisp(shelf: Shelf):
    """The quickest model that enlarges, or None."""
    found = painting.quickest(shelf.enlargers())
    return shelf.pipeline(found.name) if found else None


def counted(job: Job):
    """Tells the job how many tiles are done; it is stopped there, too."""

    def tiles(done: int, of: int) -> None:
        job.share = done / of if of > 1 else 0.0
        if done < of:
            job.check()

    return tiles


def elapsed(seconds: float) -> str:
    return (
        W.translate.seconds.format(seconds=seconds)
        if seconds >= 1
        else W.translate.milliseconds.format(seconds=1000 * seconds)
    )


def about(entry: Entry) -> str:
    """Facts of a model in a line of Markdown."""
    arrow = " ⇄ " if len(directions(entry)) > 1 else " → "
    facts = [arrow.join(entry.domains), entry.method, f"{entry.size} px" if entry.size else ""]
    return " · ".join(fact for fact in [*facts, W.translate.steps.format(steps=entry.steps)] if fact)


def card_text(entry: Entry) -> str:
    """The card's text; its pictures are in the preview."""
    return re.sub(r"!\[[^]]*\]\([^)]*\)", "", entry.card)


def directions(entry: Entry) -> list[tuple[str, str]]:
    """(label, direction) of what a model can do."""
    a, b = entry.domains if len(entry.domains) == 2 else ("A", "B")
    return [(f"{a} → {b}" if d == "AtoB" else f"{b} → {a}", d) for d in method(entry.task).directions]


def thumbnails(paths: list[Path]) -> list[str]:
    """Files with small ones, in order."""
    return [thumbnail(path, 192) for path in paths]


def example_way(entry: Entry, file: Path) -> str:
    """The direction that an example is for: config.json's `example_directions`, else the first."""
    found = entry.facts.get("example_directions")
    way = found.get(file.name) if isinstance(found, dict) else None
    ways = method(entry.task).directions
    return way if way in ways else ways[0]


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab, start: gr.HTML) -> None:
    """Build the tab `here`; a click on a card of `start` leads here."""
    shelf, page = studio.shelf, studio.page
    chooser = studio.choosers["translate"] = Chooser(shelf, shelf.translators, "model")
    model = chooser.model
    about_line = gr.Markdown(elem_id="description")
    with gr.Row(
        visible=False, elem_id="image-panel", elem_classes="result-first", equal_height=False
    ) as panel:
        with gr.Column(min_width=320):
            way_in = gr.Radio(
                [UPLOAD, DRAW],
                value=UPLOAD,
                show_label=False,
                elem_id="way-in",
                visible=False,
                container=False,
            )
            canvas = drawing.canvas()
            board = rectangles.board()
            with gr.Column(elem_id="upload") as upload:
                source = gr.Image(
                    label=W.common.picture, elem_id="input", sources=["upload", "clipboard", "webcam"],
                    height=320, type="filepath", image_mode=None, buttons=["fullscreen"],
                )  # fmt: skip
            direction = gr.Radio(label=W.common.direction, elem_id="direction", visible=False)
            examples = gr.Gallery(
                show_label=False, elem_id="examples", elem_classes="examples", height="auto",
                allow_preview=False, container=False, object_fit="contain", interactive=False, buttons=[],
            )  # fmt: skip
            runner = Runner(shelf, "", W.translate.translate)
            sliders = mixing.sliders()
            with gr.Group(visible=False, elem_id="painter") as strokes:
                strength = gr.Slider(0, 100, 100, step=5, label=W.translate.strength, elem_id="strength")
                brush = gr.Slider(40, 250, 100, step=10, label=W.translate.brush_size, elem_id="brush")
                every = gr.Button(W.translate.try_all_styles, elem_id="every-style")
            with gr.Accordion(W.common.options, open=False):
                size = gr.Radio(
                    [(W.translate.automatic, AUTO)],
                    value=AUTO,
                    label=W.translate.translate_at,
                    elem_id="size",
                )
                keep_alpha = gr.Checkbox(True, label=W.translate.keep_transparency, elem_id="keep-alpha")
        with gr.Column(min_width=320):
            result = Result(studio, "translate", W.translate.hint)
    with gr.Accordion(W.common.how_good, open=False, visible=False, elem_id="about") as details:
        preview = gr.HTML(elem_id="preview")
        card = gr.Markdown(elem_id="card")
    arrived = gr.State(False)

    def show(name: str | None, brought: bool | None = False):
        """Everything that depends on the chosen model. brought: a picture comes with it, see `enter`."""
        entry = chooser.entry(name)
        if entry is None:
            message = W.common.no_model_yet
            hidden = dict.fromkeys([panel, details], gr.update(visible=False))
            return {result.viewer: "", **hidden, about_line: message}
        ways = directions(entry)
        labels = bool(rectangles.palette(entry)) and not brought
        sizes = [
            (W.translate.automatic, AUTO),
            (W.translate.full_size, FULL),
            (W.translate.as_trained.format(size=entry.size), TRAINED),
        ]
        return {
            result.viewer: "",
            arrived: False,
            panel: gr.update(visible=True),
            details: gr.update(visible=True),
            about_line: entry.description,
            way_in: gr.update(value=DRAW if labels else UPLOAD, visible=drawing.drawable(entry)),
            upload: gr.update(visible=not labels),
            canvas: gr.update(visible=False, value="[]"),
            board: gr.update(visible=labels, value=rectangles.begin(entry)),
            direction: gr.update(choices=ways, value=ways[0][1], visible=len(ways) > 1),
            size: gr.update(choices=sizes, value=AUTO),
            examples: gr.update(value=thumbnails(entry.examples), visible=bool(entry.examples)),
            preview: portrait(entry),
            card: f"{about(entry)}\n\n{card_text(entry)}",
            strokes: gr.update(visible=painter(entry)),
            **dict(zip(sliders, mixing.shown(entry), strict=True)),
        }

    def run(name, how, path, drawn, plan, way, at, alpha, share, broad, *shares, session="", report=None):
        """What is given: the picture, the drawing or the board."""
        entry = shelf.entry(name)
        if how == DRAW:
            path = rectangles.saved(entry, plan) if rectangles.palette(entry) else drawing.saved(drawn)
        mixed = dict(strength=(100 if share is None else share) / 100, brush=(broad or 100) / 100)
        mixed["shares"] = shares
        made = translate(shelf, name, path, way, at, alpha, session, report, **mixed)
        if how == DRAW:  # the drawing is beside it, in colours for people
            made = dataclasses.replace(made, before=None)
        return made, {} if how == DRAW or made.source == path else {source: made.source}

    def all_styles(path, broad, **work):
        return styles(shelf, path, (broad or 100) / 100, **work)

    def unread(error: UserError) -> dict:
        return {source: None} if isinstance(error, Unreadable) else {}

    def choose_way(how, name):
        """The upload, the canvas or the board."""
        board_wanted = how == DRAW and bool(rectangles.palette(shelf.entry(name)))
        shown = {upload: how == UPLOAD, board: board_wanted, canvas: how == DRAW and not board_wanted}
        return {part: gr.update(visible=visible) for part, visible in shown.items()}

    def brought_in(path: Path, entry: Entry) -> dict:
        """A picture that is to be translated next, as if it were uploaded."""
        uploaded = {way_in: UPLOAD, **choose_way(UPLOAD, entry.name)}
        return {source: str(lay(path.name, path.read_bytes())), **uploaded}

    def example(name, event: gr.SelectData):
        entry = shelf.entry(name)
        if event.index >= len(entry.examples):
            raise UserError(W.translate.example_is_gone)
        path = entry.examples[event.index]
        return {**brought_in(path, entry), direction: example_way(entry, path)}

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        there = {studio.tabs: gr.Tabs(selected="translate"), model: card.entry.name, arrived: True}
        return {**there, **brought_in(card.given, card.entry)}

    depending = [panel, details, about_line, direction, size, examples, preview, card, way_in, upload, canvas]
    depending += [board, result.viewer, strokes, *sliders]
    given = [model, way_in, source, canvas, board, direction, size, keep_alpha, strength, brush, *sliders]
    ways_in = [way_in, upload, canvas, board]

    def translating(events, **more):
        return result.of(events, run, given, runner.message, [source], failed=unread, **more)

    chooser.refresh_on([page.load, here.select])
    changed = on(model.change, show, [model, arrived], [*depending, arrived], runner.message)
    translating(changed.then)
    translating([runner.go.click, direction.input, size.input, keep_alpha.input, source.input])
    translating([s.release for s in (strength, brush, *sliders)], trigger_mode="always_last")
    result.of(every.click, all_styles, [source, brush], runner.message)
    chosen = on(way_in.input, choose_way, [way_in, model], [upload, canvas, board])
    translating(chosen.then)
    drawing_on = dict(live=True, trigger_mode="always_last", show_progress="hidden")
    translating([canvas.input, board.input], **drawing_on)
    result.clear(source.clear, runner.message)
    picked = on(examples.select, example, model, [source, direction, *ways_in], runner.message)
    translating(picked.then)
    entering = [studio.tabs, model, source, arrived, *ways_in]
    translating(on(start.click, enter, None, entering, runner.message).then)
    another = studio.receive("style", W.translate.another_style, "translate", source)
    on(another.change, lambda: ("", UPLOAD), None, [result.viewer, way_in])
