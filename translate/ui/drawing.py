"""A canvas in the Translate tab, for models that were trained on drawings; see rectangles.py for labels."""

import gradio as gr
from PIL import Image

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.ui import rectangles
from translate.ui.pictures import lay

SIDE = 512  # pixels of the canvas
DRAWN = "line lines sketch sketches ink edge edges outline outlines drawing drawings".split()


def drawable(entry: Entry) -> bool:
    """Whether what the model takes can be drawn: `palette` in its config.json, or the name of its domain."""
    drawings = entry.domains[:1] != [] and entry.domains[0].lower() in DRAWN
    return bool(rectangles.palette(entry)) or drawings


def canvas() -> gr.ImageEditor:
    black = gr.Brush(default_size=9, colors=["#000000"], default_color="#000000")
    return gr.ImageEditor(
        label="Draw", elem_id="canvas", visible=False, type="pil", image_mode="RGB", sources=(),
        transforms=(), layers=False, canvas_size=(SIDE, SIDE), fixed_canvas=True, height=SIDE + 60,
        format="png", brush=black, eraser=gr.Eraser(default_size=30),
    )  # fmt: skip


def blank() -> dict:
    """The canvas with nothing on it: white."""
    white = Image.new("RGB", (SIDE, SIDE), "white")
    return {"background": white, "layers": [], "composite": white}


def is_blank(drawn: dict | None) -> bool:
    picture = (drawn or {}).get("composite")
    return picture is None or len(picture.convert("RGB").getcolors(1 << 24)) < 2


def saved(drawn: dict | None) -> str:
    """The drawing as a file for `translate`. Raises UserError where nothing was drawn."""
    if is_blank(drawn):
        raise UserError("Draw something first.")
    flat = images.decode(drawn["composite"].convert("RGB"))
    return str(lay("drawing.png", images.encode(flat.tensor)))
