"""Tab Erase: paint over what should go, and it is filled in.

Strokes travel as numbers, in thousandths of the picture's longer side (see drawing.py), and become the mask.
"""

import io
import json
import time
from pathlib import Path

import gradio as gr
from PIL import Image, ImageDraw

from translate.config import UserError
from translate.inference import images
from translate.inference.images import Picture
from translate.ui import drawing, rectangles, wall
from translate.ui.lanes import Report
from translate.ui.parts import Chooser, Hint, Runner, on
from translate.ui.pictures import Unreadable, lay, opened, pixels, showable, small
from translate.ui.result import Result, Studio
from translate.ui.shelf import Shelf, title
from translate.ui.translate import counted, elapsed, thumbnails
from translate.ui.visit import Made
from translate.ui.words import W

UNITS = 1000  # of the picture's longer side
SEEN = 1200  # pixels, the longer side of what is painted on
PER_PIXEL = 2e-5  # seconds, before it was measured

BOARD = f"""
<canvas tabindex="0" aria-label="{W.erase.canvas}"></canvas>
<div class="actions">
  <button type="button" data-pen="20" aria-pressed="false">{W.erase.fine}</button>
  <button type="button" data-pen="50" aria-pressed="true">{W.erase.brush}</button>
  <button type="button" data-pen="120" aria-pressed="false">{W.erase.broad}</button>
  <button type="button" data-pen="-50" aria-pressed="false">{W.drawing.eraser}</button>
  <button type="button" data-do="undo">{W.drawing.undo}</button>
  <button type="button" data-do="empty">{W.drawing.empty}</button>
</div>
"""
LOOK = rectangles.LOOK + "canvas { max-width: 100%; aspect-ratio: auto; height: auto; }"
# The value: {picture: address, strokes: [[width, x, y, ...], ...]} from here, the strokes alone from there.
BEHAVIOUR = """
const canvas = element.querySelector("canvas"), pen = canvas.getContext("2d"), photo = new Image();
const layer = document.createElement("canvas"), brush = layer.getContext("2d");
let strokes = [], width = 50, current = null, shown = "";
function draw() {
  const unit = Math.max(canvas.width, canvas.height) / 1000;
  layer.width = canvas.width; layer.height = canvas.height;
  brush.lineCap = brush.lineJoin = "round";
  brush.strokeStyle = "#e11d48";
  for (const [size, ...line] of strokes) {
    brush.globalCompositeOperation = size < 0 ? "destination-out" : "source-over";
    brush.lineWidth = Math.abs(size) * unit;
    brush.beginPath();
    brush.moveTo(line[0] * unit, line[1] * unit);
    for (let i = 2; i < line.length; i += 2) brush.lineTo(line[i] * unit, line[i + 1] * unit);
    brush.lineTo(line[line.length - 2] * unit + 0.01, line[line.length - 1] * unit);
    brush.stroke();
  }
  pen.drawImage(photo, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 0.6;
  pen.drawImage(layer, 0, 0);
  pen.globalAlpha = 1;
}
photo.onload = () => {
  canvas.width = photo.naturalWidth; canvas.height = photo.naturalHeight;
  canvas.style.display = "block";
  draw();
};
function send() { props.value = JSON.stringify(strokes); }
function take() {
  let value = [];
  try { value = JSON.parse(props.value || "[]"); } catch { return; }
  if (Array.isArray(value)) return;
  strokes = value.strokes;
  if (value.picture == shown) return draw();
  shown = value.picture;
  canvas.style.display = "none";
  element.querySelector(".actions").style.display = shown ? "flex" : "none";
  if (shown) photo.src = shown;
}
function place(event) {
  const box = canvas.getBoundingClientRect(), side = 1000 / Math.max(box.width, box.height);
  return [Math.round((event.clientX - box.left) * side), Math.round((event.clientY - box.top) * side)];
}
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  current = [width, ...place(event)];
  strokes.push(current);
  draw();
});
canvas.addEventListener("pointermove", event => {
  if (!current) return;
  const [x, y] = place(event), last = current.slice(-2);
  if (Math.abs(x - last[0]) + Math.abs(y - last[1]) < 4) return;
  current.push(x, y);
  draw();
});
function up() { if (current) { current = null; send(); } }
canvas.addEventListener("pointerup", up);
canvas.addEventListener("pointercancel", up);
element.querySelector(".actions").addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.pen) {
    width = Number(button.dataset.pen);
    element.querySelectorAll("[data-pen]").forEach(b => b.setAttribute("aria-pressed", b == button));
    return;
  }
  if (button.dataset.do == "undo") strokes.pop(); else strokes = [];
  draw();
  send();
});
element.querySelector(".actions").style.display = canvas.style.display = "none";
take();
watch("value", take);
"""


def painted(drawn: str | None, size: tuple[int, int]) -> Picture:
    """The strokes as a mask of that (width, height), white where to fill. Raises UserError."""
    unit = max(size) / UNITS
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    lines = drawing.strokes(drawn)
    for width, *line in lines:
        colour, radius = 255 * (width > 0), max(0.5, abs(width) * unit / 2)
        points = [(x * unit, y * unit) for x, y in zip(line[::2], line[1::2], strict=True)]
        if len(points) > 1:
            pen.line(points, fill=colour, width=max(1, round(2 * radius)), joint="curve")
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    if not mask.getbbox():
        raise Hint(W.erase.nothing_painted)
    return images.decode(mask)


def erase(
    shelf: Shelf,
    model: str | None,
    source: str | None,
    drawn: str | None,
    seed: float | None = 0,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """What was painted over is filled in, all else stays as it was. Raises UserError."""
    if not source:
        raise Hint(W.common.give_a_picture)
    if not model:
        raise UserError(W.erase.no_model)
    seed = int(seed or 0)
    if not 0 <= seed < 2**31:
        raise UserError(W.common.seed_out_of_range)
    pipeline = shelf.pipeline(model)
    with shelf.lanes.job(session, model, pixels(source), report, guess=PER_PIXEL) as job:
        with shelf.lanes.aside(job):
            picture = opened(source, shelf.max_pixels)
            mask = painted(drawn, picture.size)
        start = time.perf_counter()
        result = pipeline.translate(picture, mask=mask, seed=seed, progress=counted(job))
        seconds = time.perf_counter() - start
    width, height = result.size
    note = W.erase.made_in.format(width=width, height=height, time=elapsed(seconds), seed=seed)
    stem, words = f"{Path(source).stem}-erased", title(shelf.entry(model))
    return Made((result,), note, stem, words, picture, (W.common.before, W.common.after))


def canvas_for(studio: Studio, source: str | None, session: str) -> tuple[str, str | None]:
    """What the board shows of an upload, and what browsers can show of it. Raises UserError."""
    if not source:
        return json.dumps(dict(picture="", strokes=[])), None
    with studio.shelf.lanes.job(session) as job, studio.shelf.lanes.aside(job):
        picture = opened(source, studio.shelf.max_pixels)
        seen, file = small(picture), io.BytesIO()
        seen.thumbnail((SEEN, SEEN))
        seen.convert("RGBA").save(file, "WEBP", quality=85)
        link = studio.link(lay("painted.webp", file.getvalue()))
        return json.dumps(dict(picture=link, strokes=[])), showable(source, picture)


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab, start: gr.HTML) -> None:
    """Build the tab `here`; a click on a card of `start` leads here."""
    shelf = studio.shelf
    nothing = gr.Markdown(elem_id="erase-nothing", visible=False)
    with gr.Row(elem_id="erase-panel", elem_classes="result-first", equal_height=False) as panel:
        with gr.Column(min_width=320):
            chooser = studio.choosers["erase"] = Chooser(shelf, shelf.fillers, "erase-model")
            source = gr.Image(
                label=W.common.picture, elem_id="erase-input", sources=["upload", "clipboard", "webcam"],
                height=160, type="filepath", image_mode=None, buttons=[],
            )  # fmt: skip
            board = gr.HTML(
                "", html_template=BOARD, css_template=LOOK, js_on_load=BEHAVIOUR, elem_id="erase-board"
            )
            examples = gr.Gallery(
                show_label=False, elem_id="erase-examples", elem_classes="examples", height="auto",
                allow_preview=False, container=False, object_fit="contain", interactive=False, buttons=[],
            )  # fmt: skip
            runner = Runner(shelf, "erase", W.erase.erase)
            with gr.Row():
                seed = gr.Number(0, label=W.erase.filling, precision=0, elem_id="erase-seed", min_width=100)
                another = gr.Button(W.erase.another_filling, elem_id="erase-next")
        with gr.Column(min_width=320):
            result = Result(studio, "erase", W.erase.hint)

    def refresh():
        known = shelf.fillers()
        message = W.erase.no_model_yet
        paths = known[0].examples if known else []
        return {
            nothing: gr.update(visible=not known, value=message),
            panel: gr.update(visible=bool(known)),
            examples: gr.update(value=thumbnails(paths), visible=bool(paths)),
        }

    def bring(path, request: gr.Request):
        value, shown = canvas_for(studio, path, request.session_hash or "")
        return {board: value, **({} if shown == path else {source: shown})}

    def unread(error: UserError) -> dict:
        empty = {board: canvas_for(studio, None, "")[0]}
        return {**empty, source: None} if isinstance(error, Unreadable) else empty

    def run(*values, session="", report=None):
        return erase(shelf, *values, session=session, report=report)

    def example(name, event: gr.SelectData):
        found = shelf.entry(name).examples
        if event.index >= len(found):
            raise UserError(W.common.example_is_gone)
        return str(lay(found[event.index].name, found[event.index].read_bytes()))

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        laid = str(lay(card.given.name, card.given.read_bytes()))
        return gr.Tabs(selected="erase"), card.entry.name, laid

    def bringing(events):
        return on(events, bring, source, [board, source], runner.message, work=True, failed=unread)

    def erasing(events):
        given = [chooser.model, source, board, seed]
        return result.of(events, run, given, runner.message, what=W.erase.erasing)

    chooser.refresh_on([studio.page.load, here.select])
    on([studio.page.load, here.select], refresh, None, [nothing, panel, examples])
    bringing([source.input, source.clear])
    result.clear(source.input, runner.message)
    result.clear(source.clear, runner.message)
    erasing([runner.go.click, seed.submit])
    erasing(on(another.click, lambda n: int(n or 0) + 1, seed, seed).then)
    bringing(on(examples.select, example, chooser.model, source, runner.message).then)
    bringing(on(start.click, enter, None, [studio.tabs, chooser.model, source], runner.message).then)
    arrived = studio.receive("erase", W.erase.onward, "erase", source, lambda kept: bool(shelf.fillers()))
    bringing(arrived.change)
