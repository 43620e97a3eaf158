"""Tab Translate: choose a model, give it a picture, see what it makes of it.

The handlers are plain functions of (shelf, values); `tab` ties them to the page.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import HERE, Entry
from translate.inference.images import Picture
from translate.ui import drawing, rectangles, wall
from translate.ui.lanes import Job, Report
from translate.ui.parts import Hint, line, on, reporter, stopper
from translate.ui.pictures import Unreadable, lay, opened, pixels, showable, small, thumbnail, write
from translate.ui.shelf import Shelf, method, title

AUTO, FULL, TRAINED = "auto", "full", "trained"
UPLOAD, DRAW = "Upload", "Draw"
EVERY = "every class"
MOST_SAMPLES = 64
PER_PICTURE = 0.05  # seconds from noise, before it was measured


@dataclass(frozen=True)
class Made:
    """What a handler hands to the page."""

    file: Path  # full size
    note: str
    pair: tuple[Image.Image, Image.Image] | None = None  # before, after
    pictures: tuple[Image.Image, ...] = ()
    source: str = ""  # what browsers can show of what was given


def translate(
    shelf: Shelf,
    model: str,
    source: str | None,
    direction: str = "AtoB",
    size: str = AUTO,
    keep_alpha: bool = True,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """One uploaded file to a PNG of the same size. Raises UserError with a sentence for the user."""
    if not source:
        raise Hint("Give a picture first: drop one, paste one, take one or pick an example.")
    pipeline, entry = shelf.pipeline(model), shelf.entry(model)
    if direction not in pipeline.task.directions:
        direction = pipeline.task.directions[0]  # left over from another model
    work_size = {AUTO: pipeline.usual_size, TRAINED: entry.size}.get(size, 0)
    amount = work_size**2 if work_size else pixels(source)
    with shelf.lanes.job(session, model, amount, report) as job:
        with shelf.lanes.aside(job):
            picture = opened(source, shelf.max_pixels)
        start = time.perf_counter()
        result = pipeline.translate(
            picture,
            direction=direction,
            work_size=work_size,
            keep_alpha=keep_alpha,
            progress=counted(job),
        )
        seconds = time.perf_counter() - start
        with shelf.lanes.aside(job):
            file = write(result, f"{Path(source).stem}-{model}.png")
            pair, shown = (small(picture), small(result)), showable(source, picture)
    width, height = result.size
    note = f"{width} × {height} px in {told(seconds)}"
    note += ", 16 bits per channel" if result.bits == 16 else ""
    note += f", translated at {work_size} px" if work_size and work_size != max(picture.size) else ""
    return Made(file, note, pair, source=shown)


def counted(job: Job):
    """Tells the job how many tiles are done; it is stopped there, too."""

    def tiles(done: int, of: int) -> None:
        job.share = done / of if of > 1 else 0.0
        if done < of:
            job.check()

    return tiles


def sample(
    shelf: Shelf,
    model: str,
    count: float,
    seed: float,
    label: str | None = EVERY,
    session: str = "",
    report: Report | None = None,
) -> Made:
    """`count` pictures from noise, of one class or of every in turn, and a PNG with all of them.

    Raises UserError.
    """
    count, seed = int(count or 0), int(seed or 0)
    if not 1 <= count <= MOST_SAMPLES:
        raise UserError(f"The number of pictures must be 1 to {MOST_SAMPLES}.")
    if not 0 <= seed < 2**31:
        raise UserError("The seed must be 0 to 2,147,483,647.")
    pipeline = shelf.pipeline(model)
    with shelf.lanes.job(session, model, count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        wanted = label if "label" in pipeline.takes and label not in (None, "", EVERY) else None
        pictures = pipeline.sample(count, seed=seed, label=wanted)
        seconds = time.perf_counter() - start
    sheet = Picture(tensor=images.grid([picture.tensor for picture in pictures]))
    file = write(sheet, f"{model}-seed-{seed}.png")
    shown = tuple(images.to_image(picture.tensor) for picture in pictures)
    return Made(file, f"{count} pictures in {told(seconds)}, seed {seed}", pictures=shown)


def told(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def about(entry: Entry) -> str:
    """Facts of a model in a line of Markdown."""
    arrow = " ⇄ " if len(directions(entry)) > 1 else " → "
    facts = [arrow.join(entry.domains), entry.method, f"{entry.size} px" if entry.size else ""]
    return " · ".join(fact for fact in [*facts, f"{entry.steps:,} steps"] if fact)


def told_card(entry: Entry) -> str:
    """The card's text; its pictures are in the preview."""
    return re.sub(r"!\[[^]]*\]\([^)]*\)", "", entry.card)


def directions(entry: Entry) -> list[tuple[str, str]]:
    """(label, direction) of what a model can do."""
    a, b = entry.domains if len(entry.domains) == 2 else ("A", "B")
    return [(f"{a} → {b}" if d == "AtoB" else f"{b} → {a}", d) for d in method(entry.task).directions]


def classes(entry: Entry) -> list[str]:
    """What a model with classes can be asked for."""
    return [EVERY, *entry.facts.get("info", {}).get("classes", [])]


def choices(shelf: Shelf) -> list[tuple[str, str]]:
    """(label, name) for the dropdown."""

    def is_own(entry: Entry) -> bool:
        return shelf.folders is None and entry.folder.parent != HERE / "pretrained"

    found = shelf.translators()
    found.sort(key=lambda entry: entry.domains[:1] != ["photo"])  # first what people have at hand
    return [(title(entry) + " (your run)" * is_own(entry), entry.name) for entry in found]


# --- the page ---------------------------------------------------------------------------------------------


def tab(shelf: Shelf, page: gr.Blocks, start: gr.HTML, show_tab: gr.Tabs) -> None:
    """Build the tab inside `page`; a click on a card of `start` leads here."""
    with gr.Row(elem_id="chooser"):
        model = gr.Dropdown(label="Model", elem_id="model", scale=4, interactive=True, filterable=True)
        again = gr.Button("↻", elem_id="refresh", scale=0, min_width=52)
    about_line = gr.Markdown(elem_id="description")
    with gr.Row(visible=False, elem_id="image-panel", equal_height=False) as image_panel:
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
                    label="Picture", elem_id="input", sources=["upload", "clipboard", "webcam"], height=420,
                    type="filepath", image_mode=None, buttons=["fullscreen"],
                )  # fmt: skip
            direction = gr.Radio(label="Direction", elem_id="direction", visible=False)
            examples = gr.Gallery(
                show_label=False, elem_id="examples", elem_classes="examples", height="auto",
                allow_preview=False, container=False, object_fit="contain", interactive=False, buttons=[],
            )  # fmt: skip
            with gr.Row():
                go = gr.Button("Translate", variant="primary", elem_id="go", scale=3)
                cancel = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=80)
            said = line("said")
            with gr.Accordion("Options", open=False):
                size = gr.Radio([("Automatic", AUTO)], value=AUTO, label="Translate at", elem_id="size")
                keep_alpha = gr.Checkbox(True, label="Keep transparency", elem_id="keep-alpha")
        with gr.Column(min_width=320):
            result = gr.Image(
                label="Result", elem_id="result", interactive=False, format="png", height=380,
                type="filepath", buttons=["fullscreen"],
            )  # fmt: skip
            slider = gr.ImageSlider(
                label="Before / after", elem_id="slider", interactive=False, format="png", max_height=380,
                buttons=["fullscreen"], visible=False,
            )  # fmt: skip
            note = gr.Markdown(elem_id="note")
            compare = gr.Checkbox(label="Before / after slider", elem_id="compare", container=False)
            download = gr.DownloadButton("Download PNG", elem_id="download", interactive=False)
    with gr.Column(visible=False, elem_id="noise-panel") as noise_panel:
        with gr.Row():
            count = gr.Slider(1, MOST_SAMPLES, 16, step=1, label="Pictures", elem_id="count")
            seed = gr.Number(0, label="Seed", precision=0, elem_id="seed", min_width=100)
            label = gr.Dropdown([EVERY], value=EVERY, label="Class", elem_id="label", visible=False)
        with gr.Row():
            make = gr.Button("Make pictures", variant="primary", elem_id="make")
            another = gr.Button("Next seed", elem_id="next-seed")
        noise_said = line("noise-said")
        grid = gr.Gallery(
            show_label=False,
            elem_id="grid",
            elem_classes="pictures",
            height="auto",
            object_fit="contain",
            interactive=False,
        )
        made_note = gr.Markdown(elem_id="made-note")
        made_file = gr.DownloadButton("Download grid", elem_id="download-grid", interactive=False)
    with gr.Accordion("About this model", open=True, visible=False, elem_id="about") as details:
        preview = gr.Image(
            show_label=False, elem_id="preview", interactive=False, buttons=["fullscreen"], container=False
        )
        card = gr.Markdown(elem_id="card")

    def show(name: str | None, brought: bool | None = False):
        """Everything that depends on the chosen model. brought: a picture comes with it, see `enter`."""
        entry = next((entry for entry in shelf.entries() if entry.name == name), None)
        clear = {
            result: None, slider: None, note: "", download: gr.update(value=None, interactive=False),
            grid: None, made_note: "", made_file: gr.update(value=None, interactive=False),
        }  # fmt: skip
        if entry is None:
            message = "There is no model yet. Train one, for example with `python train.py --task cyclegan`."
            hidden = dict.fromkeys([image_panel, noise_panel, details], gr.update(visible=False))
            return {**clear, **hidden, about_line: message}
        takes, ways = shelf.takes(entry), directions(entry)
        labels = bool(rectangles.palette(entry)) and not brought
        sizes = [("Automatic", AUTO), ("Full size", FULL), (f"{entry.size} px, as trained", TRAINED)]
        return {
            **clear,
            arrived: False,
            image_panel: gr.update(visible="image" in takes),
            noise_panel: gr.update(visible="image" not in takes),
            label: gr.update(choices=classes(entry), value=EVERY, visible="label" in takes),
            details: gr.update(visible=True),
            about_line: f"{entry.description}\n\n<small>{about(entry)}</small>",
            way_in: gr.update(value=DRAW if labels else UPLOAD, visible=drawing.drawable(entry)),
            upload: gr.update(visible=not labels),
            canvas: gr.update(visible=False, value="[]"),
            board: gr.update(visible=labels, value=rectangles.begin(entry)),
            direction: gr.update(choices=ways, value=ways[0][1], visible=len(ways) > 1),
            size: gr.update(choices=sizes, value=AUTO),
            examples: gr.update(value=thumbnails(entry.examples), visible=bool(entry.examples)),
            preview: gr.update(value=preview_of(entry), visible=entry.preview is not None),
            card: told_card(entry),
        }

    arrived = gr.State(False)

    def refresh(name: str | None):
        """The list anew, keeping the choice where it is still there."""
        known = choices(shelf)
        names = [value for _, value in known]
        return gr.update(choices=known, value=name if name in names else names[0] if names else None)

    nothing = {result: None, slider: None, note: "", download: gr.update(value=None, interactive=False)}

    def failed(error: UserError) -> dict:
        """Nothing stale stays, and no broken picture."""
        return {**nothing, **({source: None} if isinstance(error, Unreadable) else {})}

    def run(name, how, path, drawn, plan, way, at, alpha, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        """What is given: the picture, the drawing or the board."""
        entry = shelf.entry(name)
        if "image" not in shelf.takes(entry):
            return nothing
        labels = how == DRAW and bool(rectangles.palette(entry))
        if how == DRAW:
            path = rectangles.saved(entry, plan) if labels else drawing.saved(drawn)
        progress(0, desc="Translating")
        session, report = request.session_hash or "", reporter(progress, "Translating")
        made = translate(shelf, name, path, way, at, alpha, session, report)
        ready = gr.update(value=made.file, interactive=True)
        shown = {} if how == DRAW or made.source == path else {source: made.source}
        return {**shown, result: made.file, slider: made.pair, note: made.note, download: ready}

    def choose_way(how, name):
        """The upload, the canvas or the board."""
        board_wanted = how == DRAW and bool(rectangles.palette(shelf.entry(name)))
        shown = {upload: how == UPLOAD, board: board_wanted, canvas: how == DRAW and not board_wanted}
        return {part: gr.update(visible=visible) for part, visible in shown.items()}

    def draw(name, how_many, number, wanted, request: gr.Request, progress=gr.Progress()):  # noqa: B008
        work = request.session_hash or "", reporter(progress, "Drawing")
        made = sample(shelf, name, how_many, number, wanted, *work)
        return list(made.pictures), made.note, gr.update(value=made.file, interactive=True)

    def example(name, event: gr.SelectData):
        found = shelf.entry(name).examples
        if event.index >= len(found):
            raise UserError("this example is not there any more; choose the model again")
        path = found[event.index]
        return {source: str(lay(path.name, path.read_bytes())), way_in: UPLOAD, **choose_way(UPLOAD, name)}

    panel = [image_panel, noise_panel, details, about_line, direction, size, examples, preview, card]
    panel += [way_in, upload, canvas, board, result, slider, note, download, grid, made_note, made_file]
    panel += [label]
    given = [model, way_in, source, canvas, board, direction, size, keep_alpha]
    made = [source, result, slider, note, download]

    def translating(events, shown=result, **more):
        return on(events, run, given, made, said, work=True, failed=failed, show_progress_on=shown, **more)

    def beside(both):
        return gr.update(visible=not both), gr.update(visible=both)

    on(compare.input, beside, compare, [result, slider])
    on(again.click, refresh, model, model)
    changed = on(model.change, show, [model, arrived], [*panel, arrived], said)
    translating(changed.then)
    translating([go.click, direction.input, size.input, keep_alpha.input])
    chosen = on(way_in.input, choose_way, [way_in, model], [upload, canvas, board])
    translating(chosen.then)
    translating([canvas.input, board.input], trigger_mode="always_last", show_progress="hidden")
    translating(source.input)
    on(source.clear, lambda: nothing, None, made, said)
    translating(on(examples.select, example, model, [source, way_in, upload, canvas, board], said).then)
    drawn = dict(
        inputs=[model, count, seed, label],
        outputs=[grid, made_note, made_file],
        line=noise_said,
        work=True,
    )
    on([make.click, count.release, seed.submit, label.input], draw, show_progress_on=grid, **drawn)
    following = on(another.click, lambda n: int(n or 0) + 1, seed, seed)
    on(following.then, draw, show_progress_on=grid, **drawn)
    on(cancel.click, stopper(shelf), None, None)
    on(page.load, refresh, model, model)

    def enter(event: gr.EventData):
        card = wall.asked(event, shelf)
        laid = str(lay(card.given.name, card.given.read_bytes()))
        shown = {way_in: UPLOAD, **choose_way(UPLOAD, card.entry.name)}
        return {
            show_tab: gr.Tabs(selected="translate"),
            model: card.entry.name,
            source: laid,
            arrived: True,
            **shown,
        }

    entering = [show_tab, model, source, arrived, way_in, upload, canvas, board]
    translating(on(start.click, enter, None, entering, said).then)


def preview_of(entry: Entry) -> str | None:
    """A file of a size for the screen, so that the model's folder need not be open to the browser."""
    return thumbnail(entry.preview, 1200) if entry.preview else None


def thumbnails(paths: list[Path]) -> list[str]:
    """Files with small ones, in order."""
    return [thumbnail(path, 192) for path in paths]
