"""A canvas for models that were trained on drawings: strokes travel as numbers and are drawn here.

See rectangles.py for maps of labels.
"""

import io
import json
import math

import gradio as gr
from PIL import Image, ImageDraw

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.ui import rectangles
from translate.ui.pictures import lay
from translate.ui.words import W

SIDE = 512  # pixels of the drawing
EDGE = 1000  # the board is EDGE x EDGE units, whatever its size on the screen
SMOOTH = 3  # drawn so many times larger, then reduced
MOST = 40_000  # numbers in a drawing
DRAWN = "line lines sketch sketches ink edge edges outline outlines drawing drawings".split()

BOARD = f"""
<canvas width="{EDGE}" height="{EDGE}" tabindex="0" aria-label="{W.drawing.canvas}"></canvas>
<div class="actions">
  <button type="button" data-pen="10" aria-pressed="true">{W.drawing.pen}</button>
  <button type="button" data-pen="24" aria-pressed="false">{W.drawing.thick_pen}</button>
  <button type="button" data-pen="-60" aria-pressed="false">{W.drawing.eraser}</button>
  <button type="button" data-do="undo">{W.drawing.undo}</button>
  <button type="button" data-do="empty">{W.drawing.empty}</button>
</div>
"""
# The component's value: [[width, x, y, x, y, ...], ...]; a negative width erases.
BEHAVIOUR = """
const canvas = element.querySelector("canvas"), pen = canvas.getContext("2d");
let strokes = [], width = 10, current = null, sent = 0, newest = null;
pen.lineCap = pen.lineJoin = "round";
function stroke(line) {
  pen.lineWidth = Math.abs(line[0]);
  pen.strokeStyle = line[0] < 0 ? "#fff" : "#000";
  pen.beginPath();
  pen.moveTo(line[1], line[2]);
  for (let i = 3; i < line.length; i += 2) pen.lineTo(line[i], line[i + 1]);
  pen.lineTo(line[line.length - 2] + 0.01, line[line.length - 1]);
  pen.stroke();
}
function draw() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  strokes.forEach(stroke);
}
function send() {
  const drawn = JSON.stringify(strokes);
  if (drawn === newest) return;  // letting go changes nothing where the last move was sent
  sent = Date.now();
  newest = props.value = drawn;
  trigger("input");
}
function take() {
  if (props.value === newest) return;
  newest = null;
  try { strokes = JSON.parse(props.value || "[]"); } catch { strokes = []; }
  draw();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  const at = (value, start, side) => Math.round((value - start) / side * canvas.width);
  return [at(event.clientX, box.left, box.width), at(event.clientY, box.top, box.height)];
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
  stroke([width, ...last, x, y]);
  if (Date.now() - sent > 150) send();
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
take();
watch("value", () => { if (!current) take(); });
"""


def drawable(entry: Entry) -> bool:
    """Whether what the model takes can be drawn: `palette` in its config.json, or the name of its domain."""
    drawings = entry.domains[:1] != [] and entry.domains[0].lower() in DRAWN
    return bool(rectangles.palette(entry)) or drawings


def canvas() -> gr.HTML:
    return gr.HTML(
        "[]", html_template=BOARD, css_template=rectangles.LOOK, js_on_load=BEHAVIOUR, elem_id="canvas",
        visible=False,
    )  # fmt: skip


def strokes(drawn: str | None) -> list[list[float]]:
    """[[width, x, y, ...], ...] in units of the board. Raises UserError."""
    try:
        found = json.loads(drawn or "[]")
        found = [[float(value) for value in line] for line in found]
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UserError(W.drawing.unreadable) from None
    numbers = [value for line in found for value in line]
    shaped = all(len(line) >= 3 and len(line) % 2 for line in found)
    if (
        len(numbers) > MOST
        or not shaped
        or not all(math.isfinite(v) and abs(v) <= 10 * EDGE for v in numbers)
    ):
        raise UserError(W.drawing.too_large)
    return found


def is_blank(drawn: str | None) -> bool:
    return not any(line[0] > 0 for line in strokes(drawn))


def picture(drawn: str | None, side: int = SIDE) -> Image.Image:
    """The strokes, black on white, side x side. Raises UserError."""
    large = side * SMOOTH
    image = Image.new("L", (large, large), 255)
    pen = ImageDraw.Draw(image)
    for width, *line in strokes(drawn):
        colour, radius = 255 * (width < 0), abs(width) * large / EDGE / 2
        points = [(x * large / EDGE, y * large / EDGE) for x, y in zip(line[::2], line[1::2], strict=True)]
        if len(points) > 1:
            pen.line(points, fill=colour, width=max(1, round(2 * radius)), joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image.reduce(SMOOTH)


def saved(drawn: str | None) -> str:
    """The drawing as a file for `translate`. Raises UserError where nothing was drawn."""
    if is_blank(drawn):
        raise UserError(W.drawing.nothing_drawn)
    file = io.BytesIO()
    picture(drawn).convert("RGB").save(file, "PNG", compress_level=1)  # a stroke waits for it
    return str(lay("drawing.png", file.getvalue()))
