"""Tab Several pictures: many files, zips, GIFs and short videos through one model; a gallery and one zip.

A bad file is named, not fatal.
"""

import io
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.inference.clips import Clip, is_clip, unpacked
from translate.inference.images import Picture
from translate.inference.pipeline import Pipeline
from translate.ui.lanes import Report, Stopped
from translate.ui.models import duration
from translate.ui.parts import folders, line, on, reporter, stopper
from translate.ui.pictures import folder, lay, opened, pixels, small
from translate.ui.shelf import Shelf, title
from translate.ui.translate import directions, elapsed
from translate.ui.words import W

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
    """Every picture to a PNG of its size, every film to one of its kind, in one zip. Cancelled, it keeps what
    is done.

    Raises UserError where nothing was given or nothing could be translated.
    """
    if not sources:
        raise UserError(W.several.give_pictures)
    if len(sources) > MOST:
        raise UserError(W.several.too_many.format(count=len(sources), most=MOST))
    pipeline = shelf.pipeline(model)
    if direction not in pipeline.task.directions:
        direction = pipeline.task.directions[0]
    file, shown, failed, stopped = io.BytesIO(), [], [], ""
    start, whole = time.perf_counter(), len(sources)

    def list_of(number: int):
        """Progress of a file, with the time that is left, judged by what is done."""

        def tell(share: float | None, words: str) -> None:
            done, spent = (number + (share or 0)) / whole, time.perf_counter() - start
            left = (
                W.several.time_left.format(time=duration(spent * (1 - done) / done))
                if done and spent > 3
                else ""
            )
            if report:
                report(
                    done,
                    ", ".join(
                        filter(None, [W.several.picture.format(number=number + 1, of=whole), words, left])
                    ),
                )

        return tell

    with (
        tempfile.TemporaryDirectory(dir=folder()) as unpacking,
        zipfile.ZipFile(file, "w") as archive,
    ):
        sources = listed(sources, Path(unpacking), failed)
        whole = len(sources)
        for number, source in enumerate(sources):
            work = Work(shelf, pipeline, model, direction, session, list_of(number))
            try:  # a job for each, so that others' short ones come in between
                data, small_one, suffix = work.clip(source) if is_clip(source) else work.picture(source)
                name = unused(f"{source.stem}-{model}", archive.namelist(), suffix)
                archive.writestr(name, data)
                shown.append((small_one, name))
            except Stopped:
                stopped = W.several.cancelled
                break
            except UserError as error:
                failed.append(str(error).replace(f"{source.parent}/", ""))
    if not shown and failed:
        raise UserError("; ".join(failed))
    note = W.several.done_in.format(
        count=len(shown), of=whole, time=elapsed(time.perf_counter() - start), stopped=stopped
    )
    note += "".join(f"\n- {sentence}" for sentence in failed)
    ready = lay(f"{model}.zip", file.getvalue()) if shown else None
    return Batch(tuple(shown), note, ready)


def listed(sources: list[str], place: Path, failed: list[str]) -> list[Path]:
    """The files, and those in zips, unpacked below `place`. Raises UserError where they are too many."""
    found: list[Path] = []
    for number, source in enumerate(map(Path, sources)):
        if source.suffix.lower() != ".zip":
            found.append(source)
            continue
        try:
            found += unpacked(source, place / str(number), MOST)
        except UserError as error:
            failed.append(str(error))
    if len(found) > MOST:
        raise UserError(W.several.too_many.format(count=len(found), most=MOST))
    return found


@dataclass(frozen=True)
class Work:
    """One file through the model: its bytes, a small picture of it and its suffix. Raises UserError."""

    shelf: Shelf
    pipeline: Pipeline
    model: str
    direction: str
    session: str
    tell: Report

    def picture(self, source: Path) -> tuple[bytes, Image.Image, str]:
        lanes = self.shelf.lanes
        with lanes.job(self.session, self.model, pixels(str(source)), self.tell) as job:
            with lanes.aside(job):
                picture = opened(str(source), self.shelf.max_pixels)
            result = self.pipeline.translate(picture, direction=self.direction)
            with lanes.aside(job):
                data = images.encode(result.tensor, result)
        return data, small(Picture(tensor=result.tensor, alpha=result.alpha)), ".png"

    def clip(self, source: Path) -> tuple[bytes, Image.Image, str]:
        """Every frame is a job of its own; see `clips`."""
        clip = Clip(source, self.shelf.max_pixels)
        shown: list[Image.Image] = []

        def one(picture: Picture) -> Picture:
            width, height = picture.size
            with self.shelf.lanes.job(self.session, self.model, width * height):
                result = self.pipeline.translate(picture, direction=self.direction)
            if not shown:
                shown.append(small(Picture(tensor=result.tensor)))
            return result

        def tell(done: int, of: int) -> None:
            self.tell(done / of, W.several.frame.format(done=done, of=of))

        data, suffix = clip.translated(self.pipeline.task, one, tell)
        return data, shown[0], suffix


def unused(stem: str, names: list[str], suffix: str = ".png") -> str:
    """STEM.png, or STEM-2.png, ...: two files may have one name."""
    wanted, number = f"{stem}{suffix}", 2
    while wanted in names:
        wanted, number = f"{stem}-{number}{suffix}", number + 1
    return wanted


# --- the page ---------------------------------------------------------------------------------------------


def tab(shelf: Shelf, page: gr.Blocks) -> None:
    """Build the tab inside `page`."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            model = gr.Dropdown(
                label=W.common.model, elem_id="several-model", interactive=True, filterable=True
            )
            direction = gr.Radio(label=W.common.direction, elem_id="several-direction", visible=False)
            files = gr.Files(
                label=W.several.what_to_give, elem_id="several-files",
                elem_classes="folders", height=240,
            )  # fmt: skip
            folders("several-files", MOST)
            with gr.Row():
                go = gr.Button(W.several.translate_all, variant="primary", elem_id="several-go")
                stop = gr.Button(W.common.cancel, elem_id="several-stop")
            message = line("several-message")
        with gr.Column(min_width=320):
            gallery = gr.Gallery(
                label=W.several.results,
                elem_id="several-gallery",
                height="auto",
                object_fit="contain",
                interactive=False,
            )
            note = gr.Markdown(elem_id="several-note")
            download = gr.DownloadButton(
                W.several.download_zip, elem_id="several-download", interactive=False
            )

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
        progress(0, desc=W.common.translating)
        session, report = request.session_hash or "", reporter(progress, W.common.translating)
        made = translate_all(shelf, name, paths, way, session, report)
        return list(made.pictures), made.note, gr.update(value=made.archive, interactive=bool(made.archive))

    on(page.load, refresh, model, model)
    on(model.change, show, model, direction)
    outputs = [gallery, note, download]
    on(go.click, run, [model, files, direction], outputs, message, work=True, show_progress_on=gallery)
    on(stop.click, stopper(shelf), None, None)
