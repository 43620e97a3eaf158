"""A drawing board of coloured rectangles, for models that were trained on maps of labels."""

import json
import re

import gradio as gr
from PIL import Image, ImageDraw

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.ui.pictures import lay
from translate.ui.words import W

MOST = 2000  # rectangles in a plan
EDGE = 1000  # the board is EDGE x EDGE units, whatever its size on the screen
# What people see: a model's own colours may differ by a shade, because networks do not mind.
SEEN = (
    "#d6d3d1 #c08457 #38bdf8 #7c2d12 #facc15 #84cc16 #a855f7 #fb7185 #f97316 #0f766e #64748b #be123c".split()
)

BOARD = f"""
<div class="labels"></div>
<canvas width="{EDGE}" height="{EDGE}" aria-label="{W.rectangles.canvas}"></canvas>
<div class="actions">
  <button type="button" data-do="undo">{W.drawing.undo}</button>
  <button type="button" data-do="empty">{W.drawing.empty}</button>
  <button type="button" data-do="start">{W.rectangles.start_again}</button>
  <span>{W.rectangles.choose_a_label}</span>
</div>
"""
LOOK = """
.labels, .actions { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin: 6px 0; }
button { padding: 3px 10px; border-radius: 8px; border: 2px solid var(--border-color-primary);
  font-size: 13px; cursor: pointer; background: var(--background-fill-secondary);
  color: var(--body-text-color); }
.labels button { border-left-width: 18px; }
.labels button[aria-pressed="true"] { outline: 2px solid var(--color-accent); }
.actions span { font-size: 12px; color: var(--body-text-color-subdued); }
.actions button[aria-pressed="true"] { outline: 2px solid var(--color-accent); }
canvas { width: 100%; max-width: 512px; aspect-ratio: 1; display: block; cursor: crosshair;
  touch-action: none; border-radius: 8px; border: 1px solid var(--border-color-primary); }
"""
# The component's value, a plan: {palette: [[name, colour]], start, shapes: [[label, x0, y0, x1, y1]]}.
BEHAVIOUR = """
const canvas = element.querySelector("canvas"), pen = canvas.getContext("2d");
const labels = element.querySelector(".labels");
let plan = {palette: [], start: [], shapes: []}, chosen = 0, from = null, to = null;
function rectangle(label, x0, y0, x1, y1) {
  pen.fillStyle = plan.palette[label][1];
  pen.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
}
function draw() {
  if (!plan.palette.length) return;
  rectangle(0, 0, 0, canvas.width, canvas.height);
  plan.shapes.forEach(shape => rectangle(...shape));
  if (from) rectangle(chosen, ...from, ...to);
}
function send() {
  draw();
  props.value = JSON.stringify(plan);
  trigger("input");
}
function take() {
  try { plan = JSON.parse(props.value); } catch { return; }
  chosen = Math.min(Math.max(chosen, 1), plan.palette.length - 1);
  labels.replaceChildren(...plan.palette.map(([name, colour], i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.style.borderLeftColor = colour;
    button.setAttribute("aria-pressed", i == chosen);
    button.onclick = () => {
      chosen = i;
      [...labels.children].forEach((other, j) => other.setAttribute("aria-pressed", j == i));
    };
    return button;
  }));
  draw();
}
function place(event) {
  const box = canvas.getBoundingClientRect();
  const at = (value, start, side) =>
    Math.round(Math.min(Math.max((value - start) / side, 0), 1) * canvas.width);
  return [at(event.clientX, box.left, box.width), at(event.clientY, box.top, box.height)];
}
canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  from = to = place(event);
});
canvas.addEventListener("pointermove", event => { if (from) { to = place(event); draw(); } });
canvas.addEventListener("pointercancel", () => { from = null; draw(); });
canvas.addEventListener("pointerup", event => {
  if (!from) return;
  to = place(event);
  const shape = [chosen, ...from, ...to];
  from = null;
  if (Math.abs(shape[1] - shape[3]) > 3 && Math.abs(shape[2] - shape[4]) > 3) {
    plan.shapes.push(shape);
    send();
  } else draw();
});
element.querySelector(".actions").addEventListener("click", event => {
  const what = event.target.dataset.do;
  if (!what) return;
  if (what == "undo") plan.shapes.pop();
  if (what == "empty") plan.shapes = [];
  if (what == "start") plan.shapes = plan.start.map(shape => [...shape]);
  send();
});
take();
watch("value", take);
"""


def board() -> gr.HTML:
    return gr.HTML(
        "", html_template=BOARD, css_template=LOOK, js_on_load=BEHAVIOUR, elem_id="board", visible=False
    )


def palette(entry: Entry) -> list[tuple[str, str]]:
    """(label, "#rrggbb") of config.json's `palette`, the ground first; empty where there is none."""
    found = entry.facts.get("palette")
    pairs = found.items() if isinstance(found, dict) else []
    return [(str(k), v) for k, v in pairs if isinstance(v, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", v)]


def begin(entry: Entry) -> str:
    """The plan to start from: config.json's `plan`, rectangles [label, x0, y0, x1, y1] in thousandths.

    Its colours are for the eye; `drawn` takes the model's.
    """
    names = [name for name, _ in palette(entry)]
    found = entry.facts.get("plan")
    start = [[names.index(s[0]), *s[1:]] for s in found if s[0] in names] if isinstance(found, list) else []
    shown = [(name, SEEN[number % len(SEEN)]) for number, name in enumerate(names)]
    return json.dumps({"palette": shown, "start": start, "shapes": start})


def drawn(entry: Entry, plan: str | None, side: int | None = None) -> Image.Image:
    """The plan as a map of labels, side x side, in the model's exact colours. Raises UserError."""
    try:
        shapes = json.loads(plan or "")["shapes"]
        shapes = [[min(max(int(value), -EDGE), 2 * EDGE) for value in shape] for shape in shapes[: MOST + 1]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise UserError(W.rectangles.unreadable) from None
    colours, side = [colour for _, colour in palette(entry)], side or entry.size or 256
    if not colours or len(shapes) > MOST or any(len(s) != 5 or not 0 <= s[0] < len(colours) for s in shapes):
        raise UserError(W.rectangles.too_many.format(most=MOST))
    image = Image.new("RGB", (side, side), colours[0])
    pen = ImageDraw.Draw(image)
    for label, x0, y0, x1, y1 in shapes:
        left, right = (round(x * side / EDGE) for x in sorted((x0, x1)))
        top, bottom = (round(y * side / EDGE) for y in sorted((y0, y1)))
        if left < right and top < bottom:
            pen.rectangle((left, top, right - 1, bottom - 1), fill=colours[label])
    return image


def saved(entry: Entry, plan: str | None) -> str:
    """The plan as a file for `translate`. Raises UserError."""
    import io

    file = io.BytesIO()
    drawn(entry, plan).save(file, "PNG")
    return str(lay("drawing.png", file.getvalue()))
