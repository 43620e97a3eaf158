"""Tab Enhance: a picture enlarged. What it will take and give is told before the button is pressed."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import torch
import torch.nn.functional as F

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.inference.pipeline import LARGEST
from translate.ui import wall
from translate.ui.lanes import GUESS, Report
from translate.ui.parts import Hint, Runner, on
from translate.ui.pictures import Unreadable, lay, opened, pixels, showable
from translate.ui.result import Result, Studio
from translate.ui.shelf import Shelf, title
from translate.ui.translate import counted, elapsed, thumbnails
from translate.ui.visit import Made, Stored
from translate.ui.words import W

TRIED = 96  # pixels, side of the square that is timed
SHOWN = 4096  # pixels, the longer side of what is shown
LOOKS = {"faithful": 0, "sharp": 1, "fast": 2}  # in this order


@dataclass(frozen=True)
class Forecast:
    """What an enlargement will be."""

    note: str
    source: str  # what browsers can show of the picture


def scale(entry: Entry) -> int:
    return int(entry.facts.get("config", {}).get("scale", 1))


def look(entry: Entry) -> str:
    """What the model is for: config.json's `look` (faithful, sharp, fast), or its name."""
    return str(entry.facts.get("look") or entry.name)


def scales(shelf: Shelf) -> list[tuple[str, int]]:
    """(label, factor) of what the models here can do; what enlarges 4 times can halve its result."""
    found = {scale(entry) for entry in shelf.enlargers()}
    found |= {2 for factor in found if factor % 2 == 0}
    return [(f"× {factor}", factor) for factor in sorted(found)]


def looks(shelf: Shelf, factor: int | None) -> list[tuple[str, str]]:
    """(label, model) for a factor: made for it first, then those that do more; the faithful one first."""
    found = [entry for entry in shelf.enlargers() if factor and scale(entry) % factor == 0]
    found.sort(key=lambda entry: (scale(entry), LOOKS.get(look(entry), len(LOOKS)), entry.name))
    called = dict(faithful=W.enhance.faithful, sharp=W.enhance.sharp, fast=W.enhance.fast)
    return [(called.get(look(entry), entry.name), entry.name) for entry in found]


def seconds_per_pixel(shelf: Shelf, model: str, session: str = "") -> float:
    """Measured on this machine, at the first question about a model and by each job since."""
    pipeline, tried = shelf.pipeline(model), Picture(tensor=torch.zeros(1, 3, TRIED, TRIED))
    for _ in range(2 if model not in shelf.lanes.rates else 0):
        shelf.lanes.rates.pop(model, None)  # the first time warms up
        with shelf.lanes.job(session, model, TRIED**2):
            pipeline.translate(tried)
    return shelf.lanes.rates.get(model, GUESS)


def smaller(x: torch.Tensor, times: int) -> torch.Tensor:
    """[B, C, H, W], sides multiples of `times`: means of squares, in strips that need little memory."""
    if times == 1:
        return x
    strips = x.split(256 * times, dim=2)
    return torch.cat([F.avg_pool2d(strip.float(), times).to(x.dtype) for strip in strips], 2)


def forecast(
    shelf: Shelf,
    model: str | None,
    source: str | None,
    ensemble: bool = False,
    factor: int | None = None,
    session: str = "",
) -> Forecast | None:
    """Size and time of the enlargement, in a line, and what browsers can show of the picture.

    Raises UserError for what cannot be enlarged.
    """
    if not source or not model:
        return None
    pipeline, factor = shelf.pipeline(model), factor or scale(shelf.entry(model))
    with shelf.lanes.job(session) as job, shelf.lanes.aside(job):
        picture = opened(source, shelf.max_pixels)
        shown = showable(source, picture)
    pipeline.check_size(picture)
    width, height = picture.size
    seconds = seconds_per_pixel(shelf, model, session) * width * height * (8 if ensemble else 1)
    line = W.enhance.forecast.format(
        width=width,
        height=height,
        large_width=factor * width,
        large_height=factor * height,
        time=elapsed(seconds),
    )
    return Forecast(line, shown)


def enhance(
    shelf: Shelf,
    model: str | None,
    source: str | None,
    ensemble: bool = False,
    factor: int | None = None,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """One uploaded file, enlarged `factor` times, by default as much as the model does. Raises UserError."""
    if not source:
        raise Hint(W.common.give_a_picture)
    if not model:
        raise UserError(W.enhance.no_model)
    pipeline, does = shelf.pipeline(model), scale(shelf.entry(model))
    factor = factor or does
    if factor not in (does, *([2] if does % 2 == 0 else [])):
        raise UserError(W.enhance.other_factor.format(model=model, does=does))
    with shelf.lanes.job(session, model, pixels(source) * (8 if ensemble else 1), report) as job:
        with shelf.lanes.aside(job):
            picture = opened(source, shelf.max_pixels)
        start = time.perf_counter()
        result = pipeline.translate(picture, self_ensemble=ensemble, progress=counted(job))
        halved = [None if x is None else smaller(x, does // factor) for x in (result.tensor, result.alpha)]
        result = dataclasses.replace(result, tensor=halved[0], alpha=halved[1])
        seconds = time.perf_counter() - start
    width, height = result.size
    note = W.common.size_and_time.format(width=width, height=height, time=elapsed(seconds))
    shrink = min(1.0, SHOWN / max(result.size))
    shown = max(1, round(width * shrink)), max(1, round(height * shrink))
    note += W.enhance.and_shown_at.format(shown_width=shown[0], shown_height=shown[1]) if shrink < 1 else ""
    words, stem = title(shelf.entry(model)), f"{Path(source).stem}-x{factor}"
    return Made((result,), note, stem, words, picture, (W.common.before, W.enhance.enlarged), shown=SHOWN)


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab, start: gr.HTML) -> None:
    """Build the tab `here`; a click on a card of `start` leads here."""
    shelf, page = studio.shelf, studio.page
    nothing = gr.Markdown(elem_id="enhance-nothing", visible=False)
    with gr.Row(elem_id="enhance-panel", elem_classes="result-first", equal_height=False) as panel:
        with gr.Column(min_width=320):
            source = gr.Image(
                label=W.common.picture, elem_id="enhance-input", sources=["upload", "clipboard", "webcam"],
                height=360, type="filepath", image_mode=None, buttons=["fullscreen"],
            )  # fmt: skip
            examples = gr.Gallery(
                show_label=False, elem_id="enhance-examples", elem_classes="examples", height="auto",
                allow_preview=False, container=False, object_fit="contain", interactive=False, buttons=[],
            )  # fmt: skip
            factor = gr.Radio(label=W.enhance.enlarge, elem_id="enhance-factor")
            model = gr.Radio(label=W.enhance.look, elem_id="enhance-model")
            ensemble = gr.Checkbox(label=W.enhance.eight_views, elem_id="enhance-ensemble")
            ahead = gr.Markdown(elem_id="enhance-ahead")
            runner = Runner(shelf, "enhance", W.enhance.enlarge)
        with gr.Column(min_width=320):
            result = Result(studio, "enhance", W.enhance.hint)

    def refresh():
        known = scales(shelf)
        chosen = known[-1][1] if known else None
        message = W.enhance.no_model_yet
        return {
            nothing: gr.update(visible=not known, value=message),
            panel: gr.update(visible=bool(known)),
            factor: gr.update(choices=known, value=chosen),
            model: of_factor(chosen),
            examples: shown(looks(shelf, chosen)[0][1] if known else None),
        }

    def shown(name):
        """The model's small pictures to try."""
        paths = shelf.entry(name).examples if name else []
        return gr.update(value=thumbnails(paths), visible=bool(paths))

    def example(name, event: gr.SelectData):
        found = shelf.entry(name).examples
        if event.index >= len(found):
            raise UserError(W.common.example_is_gone)
        return str(lay(found[event.index].name, found[event.index].read_bytes()))

    def of_factor(chosen):
        known = looks(shelf, chosen)
        return gr.update(choices=known, value=known[0][1] if known else None)

    def tell(name, path, eight, times, request: gr.Request):
        found = forecast(shelf, name, path, eight, times, request.session_hash or "")
        if found is None:
            return {ahead: ""}
        return {ahead: found.note, **({} if found.source == path else {source: found.source})}

    def run(*values, session="", report=None):
        return enhance(shelf, *values, session=session, report=report)

    def unread(error: UserError) -> dict:
        return {ahead: "", **({source: None} if isinstance(error, Unreadable) else {})}

    given = [model, source, ensemble, factor]

    def telling(events):
        seen = dict(work=True, failed=unread, show_progress="hidden")
        return on(events, tell, given, [ahead, source], runner.message, **seen)

    def enlarging(events):
        return result.of(events, run, given, runner.message, what=W.enhance.enlarging)

    on(page.load, refresh, None, [nothing, panel, factor, model, examples])
    on(model.change, shown, model, examples)
    telling(on(factor.input, of_factor, factor, model).then)
    telling([source.input, model.input, ensemble.input])
    result.clear(source.clear, ahead, runner.message)
    enlarging(runner.go.click)
    enlarging(telling(on(examples.select, example, model, source, runner.message).then).then)

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        does, path = scale(card.entry), card.given
        known = looks(shelf, does)
        laid = str(lay(path.name, path.read_bytes()))
        return gr.Tabs(selected="enhance"), does, gr.update(choices=known, value=card.entry.name), laid

    entered = on(start.click, enter, None, [studio.tabs, factor, model, source], runner.message)
    enlarging(telling(entered.then).then)

    def suits(kept: Stored) -> bool:
        found = shelf.enlargers()
        return bool(found) and max(w * h for w, h in kept.sizes) * max(map(scale, found)) ** 2 <= LARGEST

    most = max(map(scale, shelf.enlargers()), default=4)
    arrived = studio.receive(
        "enlarge", W.enhance.onward.format(most=most), "enhance", source, suits, f"×{most}"
    )
    enlarging(telling(arrived.change).then)
