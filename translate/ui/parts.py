"""What tabs are made of: events, lines for sentences, the chooser of models, Run and Cancel.

See result.py for what a tab shows in the end, samples.py for a whole tab.
"""

import functools
import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from translate.config import UserError
from translate.inference.catalog import Entry
from translate.ui import wall
from translate.ui.lanes import Report, Stopped
from translate.ui.pictures import folder, thumbnail
from translate.ui.shelf import Shelf, title
from translate.ui.values import SHOWN
from translate.ui.words import W

# Every handler goes through the queue: what answers at once in one lane, what computes in another. The second
# is wide because jobs wait in `lanes`, which knows how long they are.
QUICK = dict(concurrency_id="quick", concurrency_limit=16, show_progress="hidden", api_visibility="private")
WORK = dict(concurrency_id="work", concurrency_limit=40, api_visibility="private")
THREADS = 64  # for both


class Hint(UserError):
    """What to do next: no mistake was made."""


def line(name: str) -> gr.HTML:
    """Where sentences about the controls above appear."""
    return gr.HTML(elem_id=name, elem_classes="line", padding=False)


def folders(field: str, most: int) -> gr.HTML:
    """A button below a file field of the class "folders": a whole folder instead of single files."""
    button = (
        f'<button type="button" data-folder="{field}" data-most="{most}">{W.parts.choose_a_folder}</button>'
    )
    return gr.HTML(f'{button} <span role="status"></span>', elem_classes="folder", padding=False)


def problem(sentence: str) -> str:
    return f'<p class="problem" role="alert">{html.escape(sentence)}</p>'


def remark(sentence: str) -> str:
    return f'<p class="remark" role="status">{html.escape(sentence)}</p>' if sentence else ""


def on(
    events,
    handler: Callable,
    inputs,
    outputs,
    line: gr.HTML | None = None,
    *,
    work: bool = False,
    failed: Callable[[UserError], dict] | None = None,
    **settings,
):
    """Tie a handler to events; its UserErrors appear in `line`, which is emptied when it succeeds.

    handler: returns a dict of outputs, or their values in order. failed: of an error, what outputs show then,
    instead of what they did. Returns what `.then` can follow; it follows failures, too.
    """
    outputs = list(outputs) if isinstance(outputs, Sequence) else [outputs] if outputs is not None else []
    shown = [*outputs, *([line] if line is not None else [])]

    @functools.wraps(handler)
    def answered(*values, **more):
        try:
            made = handler(*values, **more)
        except UserError as error:
            if line is None:
                raise
            calm = isinstance(error, Stopped | Hint)
            shown = failed(error) if failed else {}
            return {**shown, line: remark(str(error)) if calm else problem(str(error))}
        if not outputs:
            return None if line is None else {line: ""}
        if not isinstance(made, dict):
            made = dict(zip(outputs, [made] if len(outputs) == 1 else made, strict=True))
        return made if line is None else {line: "", **made}

    options = dict(WORK if work else QUICK) | settings
    if isinstance(events, Sequence):
        return gr.on([*events], answered, inputs, shown or None, **options)
    return events(answered, inputs, shown or None, **options)


def asleep(timer: gr.Timer, others: Sequence[gr.Tab]) -> None:
    """A tab's timer rests while another tab is looked at; browsers see to it themselves."""
    rest = "() => ({__type__: 'update', active: false})"
    gr.on([other.select for other in others], None, None, timer, js=rest, show_progress="hidden")


def untouched(image: gr.Image, payload) -> str | None:
    """A picture as the file that was given: `images.decode` alone judges it, and 16 bits survive."""
    return payload.path if payload else None


# For the class: Gradio builds a control anew from it when a handler changes the control; for a subclass it
# would write a file of types beside this one.
gr.Image.preprocess = untouched


def reporter(progress: gr.Progress, what: str) -> Report:
    """Progress of a job as the page shows it."""

    def report(share: float | None, words: str) -> None:
        progress(share or 0.0, desc=f"{what}: {words}" if words else what)

    return report


def stopper(shelf: Shelf):
    """The handler of every Cancel."""

    def stop(request: gr.Request) -> None:
        shelf.lanes.stop(request.session_hash or "")

    return stop


CHOOSER = """
const chooser = window.chooser(element, props, trigger);  // "input"
watch(["value", "cards"], chooser.show);
chooser.show();
"""


class Chooser:
    """Models as cards with a picture, a title and a sentence. `self.model` holds the chosen one's name."""

    def __init__(
        self, shelf: Shelf, offered: Callable[[], list[Entry]], elem_id: str, heading: str = W.common.model
    ):
        """offered: the models, asked anew whenever the page is opened or the tab is looked at."""
        self.shelf, self.offered = shelf, offered
        self.model = gr.HTML(
            "", elem_id=elem_id, html_template="<div></div>", js_on_load=CHOOSER, cards="[]", heading=heading
        )

    def refreshed(self, name: str | None):
        """The list anew; what `self.model` is to become.

        A choice that is still there is not sent back: meanwhile another may have been made.
        """
        names, cards = self.listed()
        if name in names:
            return gr.update(cards=cards)
        return gr.update(cards=cards, value=names[0] if names else "")

    def chosen(self, name: str):
        """The list anew with this model chosen, where it is there."""
        names, cards = self.listed()
        return gr.update(cards=cards, value=name) if name in names else gr.update(cards=cards)

    def listed(self) -> tuple[list[str], str]:
        """The models' names; their cards as JSON."""
        found = self.offered()
        return [entry.name for entry in found], json.dumps([card(self.shelf, entry) for entry in found])

    def refresh_on(self, events):
        return on(events, self.refreshed, self.model, self.model)

    def entry(self, name: str | None) -> Entry | None:
        return next((entry for entry in self.offered() if entry.name == name), None)


def face(entry: Entry) -> Path | None:
    """The picture that stands for a model: what it made for tab Start, else an example, else its preview."""
    made = next((one.file(folder() / SHOWN, "after") for one in wall.cards([entry])), None)
    return made if made and made.exists() else entry.examples[0] if entry.examples else entry.preview


def card(shelf: Shelf, entry: Entry) -> dict:
    """What a chooser shows of a model."""
    picture = face(entry)
    shown = f"gradio_api/file={quote(thumbnail(picture, 192, SHOWN))}" if picture else ""
    own = W.parts.your_run * shelf.is_own(entry)
    return dict(name=entry.name, title=title(entry) + own, words=entry.description[:160], thumbnail=shown)


def portrait(entry: Entry | None) -> str:
    """HTML of what a model does, of a size for the screen; empty where there is no picture."""
    if entry is None or entry.preview is None:
        return ""
    words, shown = (
        html.escape(W.parts.what_it_makes.format(model=title(entry)), quote=True),
        thumbnail(entry.preview, 1200, SHOWN),
    )
    return f'<img class="portrait" src="gradio_api/file={quote(shown)}" alt="{words}">'


class Runner:
    """The button that begins, the one that ends, and the line for sentences; progress shows on the result."""

    def __init__(self, shelf: Shelf, name: str, label: str):
        """name: of the elements: `name-go`, `name-cancel`, `name-said`; bare where it is empty."""
        prefix = f"{name}-" if name else ""
        with gr.Row(elem_classes="runner"):
            self.go = gr.Button(label, variant="primary", elem_id=f"{prefix}go", scale=3)
            self.cancel = gr.Button(W.common.cancel, elem_id=f"{prefix}cancel", scale=1, min_width=80)
        self.message = line(f"{prefix}message")
        on(self.cancel.click, stopper(shelf), None, None)
