"""Tab Several pictures: many files through one model, a gallery, one zip; a bad file is named, not fatal."""

import io
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.ui.lanes import Report, Stopped
from translate.ui.parts import line, on, reporter, stopper
from translate.ui.pictures import lay, opened, pixels, small
from translate.ui.shelf import Shelf, title
from translate.ui.translate import directions, told

MOST = 100  # files at a time


@dataclass(frozen=True)
class Batch:
    """What came of several files."""

    pictures: tuple  # (small picture, caption)
    note: str
    archive: Path | None  # all results at full size


def translate_all(
    shelf: Shelf,
    model: str,
    sources: list[str] | None,
    direction: str = "AtoB",
    session: str = "",
    report: Report | None = None,
) -> Batch:
    """Every file to a PNG of its size, in one zip. Cancelled, it keeps what is done.

    Raises UserError where nothing was given or nothing could be translated.
    """
    if not sources:
        raise UserError("Give pictures first: drop several files here.")
    if len(sources) > MOST:
        raise UserError(f"{len(sources)} files are too many at a time; the most is {MOST}.")
    pipeline = shelf.pipeline(model)
    if direction not in pipeline.task.directions:
        direction = pipeline.task.directions[0]
    file, shown, failed, stopped = io.BytesIO(), [], [], ""
    start = time.perf_counter()
    with zipfile.ZipFile(file, "w") as archive:
        for number, source in enumerate(sources):

            def told_of(share, words, number=number):
                if report:
                    report((number + (share or 0)) / len(sources), f"picture {number + 1} of {len(sources)}")

            try:  # a job for each, so that others' short ones come in between
                with shelf.lanes.job(session, model, pixels(source), told_of) as job:
                    with shelf.lanes.aside(job):
                        picture = opened(source, shelf.max_pixels)
                    result = pipeline.translate(picture, direction=direction)
                    name = unused(f"{Path(source).stem}-{model}", archive.namelist())
                    with shelf.lanes.aside(job):
                        archive.writestr(name, images.encode(result.tensor, result))
                shown.append((small(Picture(tensor=result.tensor, alpha=result.alpha)), name))
            except Stopped:
                stopped = " Cancelled; what was done is here."
                break
            except UserError as error:
                failed.append(str(error))
    if not shown and failed:
        raise UserError("; ".join(failed))
    note = f"{len(shown)} of {len(sources)} pictures in {told(time.perf_counter() - start)}.{stopped}"
    note += "".join(f"\n- {sentence}" for sentence in failed)
    ready = lay(f"{model}.zip", file.getvalue()) if shown else None
    return Batch(tuple(shown), note, ready)


def unused(stem: str, names: list[str]) -> str:
    """STEM.png, or STEM-2.png, ...: two files may have one name."""
    wanted, number = f"{stem}.png", 2
    while wanted in names:
        wanted, number = f"{stem}-{number}.png", number + 1
    return wanted


# --- the page ---------------------------------------------------------------------------------------------


def tab(shelf: Shelf, page: gr.Blocks) -> None:
    """Build the tab inside `page`."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            model = gr.Dropdown(label="Model", elem_id="several-model", interactive=True, filterable=True)
            direction = gr.Radio(label="Direction", elem_id="several-direction", visible=False)
            files = gr.Files(label="Pictures", elem_id="several-files", height=240)
            with gr.Row():
                go = gr.Button("Translate all", variant="primary", elem_id="several-go")
                stop = gr.Button("Cancel", elem_id="several-stop")
            said = line("several-said")
        with gr.Column(min_width=320):
            gallery = gr.Gallery(
                label="Results",
                elem_id="several-gallery",
                height="auto",
                object_fit="contain",
                interactive=False,
            )
            note = gr.Markdown(elem_id="several-note")
            download = gr.DownloadButton("Download zip", elem_id="several-download", interactive=False)

    def translators() -> dict[str, Entry]:
        return {entry.name: entry for entry in [*shelf.translators(), *shelf.enlargers()]}

    def refresh(name: str | None):
        known = [(title(entry), value) for value, entry in translators().items()]
        names = [value for _, value in known]
        return gr.update(choices=known, value=name if name in names else names[0] if names else None)

    def show(name: str | None):
        entry = translators().get(name)
        ways = directions(entry) if entry else []
        return gr.update(choices=ways, value=ways[0][1] if ways else None, visible=len(ways) > 1)

    def run(name, paths, way, request: gr.Request, progress=gr.Progress()):  # noqa: B008  Gradio reads it
        progress(0, desc="Translating")
        session, report = request.session_hash or "", reporter(progress, "Translating")
        made = translate_all(shelf, name, paths, way, session, report)
        return list(made.pictures), made.note, gr.update(value=made.archive, interactive=bool(made.archive))

    on(page.load, refresh, model, model)
    on(model.change, show, model, direction)
    outputs = [gallery, note, download]
    on(go.click, run, [model, files, direction], outputs, said, work=True, show_progress_on=gallery)
    on(stop.click, stopper(shelf), None, None)
