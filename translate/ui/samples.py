"""Tab From noise: pictures that a model draws from nothing but chance."""

import time

import gradio as gr

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.ui import wall
from translate.ui.lanes import Report
from translate.ui.parts import Chooser, Runner, on
from translate.ui.result import Result, Studio
from translate.ui.shelf import Shelf, title
from translate.ui.translate import elapsed
from translate.ui.visit import Made
from translate.ui.words import W

EVERY = W.samples.every_class
MOST = 64
PER_PICTURE = 0.05  # seconds, before it was measured


def sample(
    shelf: Shelf,
    model: str,
    count: float,
    seed: float,
    label: str | None = EVERY,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """`count` pictures from noise, of one class or of every in turn. Raises UserError."""
    count, seed = int(count or 0), int(seed or 0)
    if not 1 <= count <= MOST:
        raise UserError(W.samples.count_out_of_range.format(most=MOST))
    if not 0 <= seed < 2**31:
        raise UserError(W.common.seed_out_of_range)
    pipeline, entry = shelf.pipeline(model), shelf.entry(model)
    with shelf.lanes.job(session, model, count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        wanted = label if "label" in pipeline.takes and label not in (None, "", EVERY) else None
        pictures = pipeline.sample(count, seed=seed, label=wanted)
        seconds = time.perf_counter() - start
    note = W.common.pictures_made_in.format(count=count, time=elapsed(seconds), seed=seed)
    return Made(tuple(pictures), note, f"{model}-seed-{seed}", title(entry))


def classes(entry: Entry) -> list[str]:
    """What a model with classes can be asked for."""
    return [EVERY, *entry.facts.get("info", {}).get("classes", [])]


def tab(studio: Studio, here: gr.Tab, start: gr.HTML) -> None:
    """Build the tab `here`; a click on a card of `start` leads here."""
    shelf = studio.shelf
    chooser = studio.choosers["samples"] = Chooser(shelf, shelf.samplers, "samples-model")
    with gr.Row(elem_classes="result-first", equal_height=False):
        with gr.Column(min_width=320):
            count = gr.Slider(1, MOST, 16, step=1, label=W.common.pictures, elem_id="samples-count")
            seed = gr.Number(0, label=W.common.seed, precision=0, elem_id="samples-seed", min_width=100)
            label = gr.Dropdown(
                [EVERY], value=EVERY, label=W.common.class_asked_for, elem_id="samples-label", visible=False
            )
            runner = Runner(shelf, "samples", W.samples.make_pictures)
            another = gr.Button(W.samples.other_pictures, elem_id="samples-next")
        with gr.Column(min_width=320):
            result = Result(studio, "samples", W.samples.hint)

    def show(name: str | None):
        entry = chooser.entry(name)
        labelled = entry is not None and "label" in shelf.takes(entry)
        return gr.update(choices=classes(entry) if entry else [EVERY], value=EVERY, visible=labelled), ""

    def make(*values, session="", report=None):
        return sample(shelf, *values, session=session, report=report)

    def drawing(events):
        return result.of(
            events, make, [chooser.model, count, seed, label], runner.message, what=W.common.drawing
        )

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        return gr.Tabs(selected="samples"), card.entry.name, card.number, wall.SHEET

    entering = [studio.tabs, chooser.model, seed, count]
    drawing(on(start.click, enter, None, entering, runner.message).then)
    chooser.refresh_on([studio.page.load, here.select])
    on(chooser.model.change, show, chooser.model, [label, result.viewer])
    drawing([runner.go.click, chooser.model.input, count.release, seed.submit, label.input])
    drawing(on(another.click, lambda n: int(n or 0) + 1, seed, seed).then)
