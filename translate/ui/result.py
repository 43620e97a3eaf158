"""The result of a tab: slider or board of pictures, download, copying, ways to go on; this visit's results.

    result = Result(studio, "translate")            # where it is to stand
    result.of([go.click], handler, [model, source], line)

The handler gets the inputs' values, `session=` and `report=`, and returns `Made` (see visit.py). What its
errors say appears in the line, and nothing stale stays.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from translate.config import UserError
from translate.ui.parts import Chooser, line, on, reporter
from translate.ui.shelf import Shelf
from translate.ui.values import VISITOR, Page
from translate.ui.visit import Stored, Visits
from translate.ui.words import W

STATIC = Path(__file__).parent / "static"
SHOW = """
const viewer = window.viewer(element, (event, data) => trigger(event, data));  // "save" "onward" "choose"
const take = () => { try { viewer.show(JSON.parse(props.value || "null")); } catch { viewer.show(null); } };
viewer.hint(props.hint);
watch("value", take);
take();
"""
SAVE = """
watch("value", () => { if (props.value) window.fetched(JSON.parse(props.value)); });
"""
STRIP = """
const strip = window.strip(element, (event, data) => trigger(event, data));  // "open" "pack" "forget"
const take = () => { try { strip.show(JSON.parse(props.value || "[]")); } catch { strip.show([]); } };
watch("value", take);
take();
"""


@dataclass(frozen=True)
class Way:
    """Where a result may go on: it becomes the picture of a tab."""

    label: str
    tab: str
    source: gr.Image
    arrived: gr.State  # changes when one comes; the tab listens to that
    suits: Callable[[Stored], bool]
    short: str = ""  # on every picture of a board


class Studio:
    """What the tabs of a page share."""

    def __init__(self, shelf: Shelf, page: Page):
        self.shelf, self.page, self.visits = shelf, page, Visits()
        self.tabs: gr.Tabs | None = None
        self.results: dict[str, Result] = {}
        self.ways: dict[str, Way] = {}
        self.choosers: dict[str, Chooser] = {}  # of tabs, by their names
        self.strip = gr.HTML(elem_id="strip", html_template="<div></div>", js_on_load=STRIP, render=False)
        self.file = gr.HTML(elem_id="file", html_template="<i></i>", js_on_load=SAVE, render=False)

    def receive(
        self, name: str, label: str, tab: str, source: gr.Image, suits=lambda kept: True, short: str = ""
    ) -> gr.State:
        """Offer "Continue: label" below suitable results: it sets `source` and changes the state returned."""
        arrived = gr.State("")
        self.ways[name] = Way(label, tab, source, arrived, suits, short)
        return arrived

    def link(self, path: Path | None) -> str | None:
        """An address of a file in the page's folder, open to this visitor alone."""
        if path is None:
            return None
        self.page.owners.add(str(path), VISITOR.get())
        return f"gradio_api/file={quote(str(path))}"

    def described(self, kept: Stored) -> str:
        """A result for the viewer."""
        alt = kept.made.alt or [""] * len(kept.sizes)
        after = inside if kept.live else self.link  # a stroke does not wait for another request
        pictures = [
            dict(after=after(kept.shown(n)), width=size[0], height=size[1], alt=alt[n])
            for n, size in enumerate(kept.sizes)
        ]
        if kept.before:
            pictures = [picture | dict(before=self.link(kept.before)) for picture in pictures]
        ways = [(name, way.label, way.short) for name, way in self.ways.items() if way.suits(kept)]
        made = kept.made
        about = dict(id=kept.token, pictures=pictures, title=made.title, note=made.note, labels=made.labels)
        return json.dumps(about | dict(onward=ways))

    def listed(self, visitor: str) -> str:
        """This visit's results for the strip, the newest first."""
        found = [
            dict(
                id=kept.token, thumbnail=self.link(kept.thumbnail), after=self.link(kept.shown(0)),
                width=kept.sizes[0][0], height=kept.sizes[0][1], title=kept.made.title, note=kept.made.note,
            )
            for kept in reversed(self.visits.of(visitor))
        ]  # fmt: skip
        return json.dumps(found)

    def finish(self) -> None:
        """Below all tabs, when all are built: the strip, and what the results' buttons do."""
        self.strip.render()
        message = line("strip-message")
        self.file.render()
        for result in self.results.values():
            result.tie()
        viewers = {name: result.viewer for name, result in self.results.items()}

        def reopened(request: gr.Request):
            return self.listed(who(request))

        def opened(request: gr.Request, event: gr.EventData):
            kept = self.visits.find(who(request), word(event, "id"))
            return {self.tabs: gr.Tabs(selected=kept.tab), viewers[kept.tab]: self.described(kept)}

        def packed(request: gr.Request, event: gr.EventData):
            wanted = (word(event, "ids") or "").split()
            return self.download(self.visits.archive(who(request), wanted))

        def forgotten(request: gr.Request):
            self.visits.forget(who(request))
            return ["[]", *[""] * len(viewers)]

        on(self.page.load, reopened, None, self.strip)
        on(self.strip.open, opened, None, [self.tabs, *viewers.values()], message)
        on(self.strip.pack, packed, None, self.file, message)
        on(self.strip.forget, forgotten, None, [self.strip, *viewers.values()], message)

    def download(self, path: Path) -> str:
        return json.dumps(dict(url=self.link(path), name=path.name))


def inside(path: Path) -> str:
    """A picture as an address that holds it."""
    return (
        f"data:image/{path.suffix[1:].replace('jpg', 'jpeg')};base64,{b64encode(path.read_bytes()).decode()}"
    )


class Result:
    """A tab's result; see the module."""

    def __init__(self, studio: Studio, tab: str, hint: str = W.result.hint, name: str = ""):
        """name: of the elements, where a tab has several results; default the tab's id."""
        self.studio, self.tab, self.name = studio, tab, name or tab
        self.viewer = gr.HTML(
            "", elem_id=f"{self.name}-result", html_template="<div></div>", js_on_load=SHOW, hint=hint
        )
        self.message = line(f"{self.name}-result-message")
        studio.results.setdefault(tab, self)

    def of(
        self,
        events,
        handler: Callable,
        inputs: Sequence,
        line: gr.HTML,
        more: Sequence = (),
        what: str = W.common.translating,
        failed: Callable[[UserError], dict] | None = None,
        live: bool = False,
        **settings,
    ):
        """Show what `handler(*values, session=, report=)` makes: Made, or (Made, {component of more: value}).

        failed: of an error, what components of `more` show then. live: made while something is drawn.
        """
        studio = self.studio

        def made(request: gr.Request, progress=gr.Progress(), *values):  # noqa: B008  Gradio reads it
            progress(0, desc=what)
            session = request.session_hash or ""
            found = handler(*values, session=session, report=reporter(progress, what))
            found, others = found if isinstance(found, tuple) else (found, {})
            if found is None:
                return {self.viewer: "", **others}
            kept = studio.visits.keep(who(request), found, self.tab, live)
            return {self.viewer: studio.described(kept), studio.strip: studio.listed(who(request)), **others}

        def emptied(error: UserError) -> dict:
            return {self.viewer: "", **(failed(error) if failed else {})}

        options = dict(work=True, failed=emptied, show_progress_on=self.viewer) | settings
        return on(events, made, [*inputs], [self.viewer, studio.strip, *more], line, **options)

    def clear(self, events, *others):
        """Empty it, and other components, when something happens."""
        return on(events, lambda: ("", *[None] * len(others)), None, [self.viewer, *others])

    def tie(self) -> None:
        """What its buttons do; called when all tabs are built."""
        studio = self.studio

        def save(request: gr.Request, event: gr.EventData):
            kept = studio.visits.find(who(request), word(event, "id"))
            format, quality = word(event, "format") or "PNG", number(event, "quality", 92)
            with studio.shelf.lanes.job(request.session_hash or "") as job, studio.shelf.lanes.aside(job):
                return studio.download(kept.file(int(number(event, "index", 0)), format, quality))

        def onward(request: gr.Request, event: gr.EventData):
            kept, way = (
                studio.visits.find(who(request), word(event, "id")),
                studio.ways.get(word(event, "way")),
            )
            if way is None:
                raise UserError(W.result.way_is_gone)
            path = kept.file(int(number(event, "index", 0)))
            return {
                studio.tabs: gr.Tabs(selected=way.tab),
                way.source: str(path),
                way.arrived: path.parent.name,
            }

        reached = [part for way in studio.ways.values() for part in (way.source, way.arrived)]
        on(self.viewer.save, save, None, studio.file, self.message, work=True, show_progress="hidden")
        on(self.viewer.onward, onward, None, [studio.tabs, *dict.fromkeys(reached)], self.message)


def who(request: gr.Request) -> str:
    """Whose results: the visitor's, who keeps them over a reload; without cookies the session's."""
    return VISITOR.get() or request.session_hash or ""


def word(event: gr.EventData, key: str) -> str | None:
    found = event._data.get(key) if isinstance(event._data, dict) else None
    return found if isinstance(found, str) else None


def number(event: gr.EventData, key: str, default: float) -> float:
    found = event._data.get(key) if isinstance(event._data, dict) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else default
