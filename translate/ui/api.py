"""The public interface for programs: `translate`, `caption`, `enhance`, `sample`. See docs/api.md.

They wait in the page's queue and are judged by its gate; nothing else of the page can be called.
"""

import gradio as gr

from translate.ui import caption, enhance, samples, translate
from translate.ui.parts import WORK, reporter
from translate.ui.pictures import write
from translate.ui.shelf import Shelf
from translate.ui.words import W


def endpoints(shelf: Shelf) -> None:
    """Add them to the page that is being built, out of sight."""

    def translated(image, model, direction, size, keep_alpha, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        work = request.session_hash or "", reporter(progress, W.common.translating)
        keep = keep_alpha is not False
        return str(translate.translate(shelf, model, image, direction, size, keep, *work).file)

    def enlarged(image, model, factor, average, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        work = request.session_hash or "", reporter(progress, W.enhance.enlarging)
        return str(enhance.enhance(shelf, model, image, bool(average), whole(factor), *work).file)

    def drawn(text, model, count, seed, truncation, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        work = request.session_hash or "", reporter(progress, W.common.drawing)
        return files(caption.draw(shelf, model, text, count, seed, truncation or 0.0, *work).pictures, model)

    def sampled(model, count, seed, label, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        work = request.session_hash or "", reporter(progress, W.common.drawing)
        return files(samples.sample(shelf, model, count, seed, label, *work).pictures, model)

    with gr.Row(visible=False):
        image = gr.Image(label="image", type="filepath")
        text, model = gr.Textbox(label="text"), gr.Textbox(label="model")
        direction, size = gr.Textbox("AtoB", label="direction"), gr.Textbox("auto", label="size")
        keep_alpha, average = gr.Checkbox(True, label="keep_alpha"), gr.Checkbox(False, label="average")
        factor = gr.Number(None, label="factor", precision=0)
        count, seed = gr.Number(1, label="count", precision=0), gr.Number(0, label="seed", precision=0)
        truncation, label = gr.Number(0, label="truncation"), gr.Textbox("", label="label")
        file, several = gr.File(label="file"), gr.File(label="files", file_count="multiple")
        button = gr.Button()
        for handler, inputs, output, name in (
            (translated, [image, model, direction, size, keep_alpha], file, "translate"),
            (enlarged, [image, model, factor, average], file, "enhance"),
            (drawn, [text, model, count, seed, truncation], several, "caption"),
            (sampled, [model, count, seed, label], several, "sample"),
        ):
            button.click(handler, inputs, output, **WORK | dict(api_name=name, api_visibility="public"))


def whole(number) -> int | None:
    return None if number is None else int(number)


def files(pictures, model: str) -> list[str]:
    """A PNG of each."""
    return [str(write(picture, f"{model}-{number}.png")) for number, picture in enumerate(pictures, 1)]
