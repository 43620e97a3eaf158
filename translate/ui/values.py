"""What reaches handlers: files are the visitor's own, numbers are numbers, text is text.

`Page` judges every value by the kind of its control, as the page's configuration has it: what is added later
is covered without a line here. See gate.py for routes and requests.
"""

import math
import os
import typing
from collections import OrderedDict
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie

import gradio as gr
from gradio import components

from translate.config import UserError
from translate.ui.words import W

COOKIE = "translate-visit"  # whose file it is; scripts on the page cannot read it
LONGEST_TEXT = 200_000  # characters of one value
DEEPEST = 16  # levels of one value
MOST_FILES = 1000  # in one value
LARGEST_NUMBER = 2**53  # beyond it a browser's numbers have gaps
OWNED = 200_000  # files whose owners are remembered, the newest
EVERYBODY = "everybody"  # owns what all visitors may see; no cookie has this value
SHOWN = "shown"  # the folder inside the page's folder whose pictures everybody may see
LOST = W.values.file_is_gone
UNFIT = W.values.unfit
VISITOR: ContextVar[str] = ContextVar("visitor", default="")
TEXT = (components.Textbox, components.HTML, components.Markdown)
NUMBER = (components.Number, components.Slider)
SWITCH = (components.Checkbox,)
CHOICE = (components.Radio, components.Dropdown)
SEVERAL = (components.CheckboxGroup,)  # of its choices
FILES = (components.Image, components.File, components.ImageSlider, components.Gallery)
FILES += (components.DownloadButton,)
NUMBERED = (components.Dataset,)


class Refused(gr.Error):
    """A sentence for the client, and nothing for the log."""

    def __init__(self, sentence: str):
        super().__init__(sentence, print_exception=False)


class Owners:
    """Which visitors a file in the page's folder belongs to: who uploaded it, or whose result it is."""

    def __init__(self):
        self.known: OrderedDict[str, set[str]] = OrderedDict()

    @property
    def folder(self) -> str:
        """The only one that files come from."""
        return os.path.realpath(os.environ["GRADIO_TEMP_DIR"])

    def add(self, path: str, visitor: str) -> None:
        real = os.path.realpath(path)
        self.known.setdefault(real, set()).add(visitor)
        self.known.move_to_end(real)
        while len(self.known) > OWNED:
            self.known.popitem(last=False)

    def allow(self, path: object, visitor: str) -> bool:
        """Whether it is a regular file of this visitor inside the folder, links followed.

        What lies elsewhere by its name is not looked up on the disk, so the answer tells nothing about it.
        """
        inside = self.folder + os.sep
        if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):
            return False
        if not os.path.normpath(path).startswith(inside):
            return False
        real = os.path.realpath(path)
        own = {visitor, EVERYBODY} & self.known.get(real, set()) or real.startswith(inside + SHOWN + os.sep)
        return bool(own) and real.startswith(inside) and os.path.isfile(real)


class Page(gr.Blocks):
    """A page whose handlers get what their controls can hold, and whose mistakes are sentences."""

    def __init__(self, **options):
        super().__init__(**options)
        self.owners = Owners()

    async def process_api(self, block_fn, inputs, state=None, request=None, event_data=None, **more):
        VISITOR.set(EVERYBODY if getattr(request, "everybody", False) else visitor_of(request))
        scripted = block_fn.fn is None  # browsers run it themselves
        if scripted or not isinstance(inputs, list) or len(inputs) != len(block_fn.inputs):
            raise Refused(UNFIT)
        inputs = [
            fit(block, value, self.owners) for block, value in zip(block_fn.inputs, inputs, strict=True)
        ]
        asked = {hint for hint in typing.get_type_hints(block_fn.fn).values() if isinstance(hint, type)}
        if gr.SelectData in asked and not selection(event_data):
            raise Refused(UNFIT)
        if gr.EventData in asked and not plain(event_data):
            raise Refused(UNFIT)
        made = await super().process_api(
            block_fn, inputs, state=state, request=request, event_data=event_data, **more
        )
        for path in paths(made["data"]):
            self.owners.add(path, VISITOR.get())
        return made

    async def preprocess_data(self, *values, **more):
        try:
            return await super().preprocess_data(*values, **more)
        except Exception:  # whatever Gradio's controls trip over came from the client
            raise Refused(UNFIT) from None

    async def call_function(self, *values, **more):
        try:
            return await super().call_function(*values, **more)
        except UserError as error:
            raise Refused(str(error)) from None


def visitor_of(request) -> str:
    """The cookie that the gate gave; empty for clients that keep none."""
    found = cookies(getattr(request, "headers", {})).get(COOKIE, "")
    return "" if found == EVERYBODY else found


def cookies(headers) -> dict[str, str]:
    """By name; none where they cannot be read."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except (AttributeError, CookieError):
        return {}


def fit(block, value, owners: Owners):
    """The value as the control may hold it. Raises Refused."""
    if value is None or isinstance(block, components.State):
        return None
    good = False
    if isinstance(block, FILES):
        return own_files(value, owners, iter(range(MOST_FILES)))
    if isinstance(block, TEXT):
        good = isinstance(value, str) and len(value) <= LONGEST_TEXT
    elif isinstance(block, NUMBER):
        good = is_number(value)
    elif isinstance(block, SWITCH):
        good = isinstance(value, bool)
    elif isinstance(block, CHOICE + SEVERAL):
        several = isinstance(block, SEVERAL) or getattr(block, "multiselect", False)
        if not several:
            good = is_choice(value)
        elif isinstance(value, list) and len(value) <= MOST_FILES:
            good = all(map(is_choice, value))
    elif isinstance(block, NUMBERED):
        # A handler may have given it others than it was built with; Gradio looks the number up in those.
        good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_FILES
    if not good:
        raise Refused(UNFIT)
    return value


def is_choice(value) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT or is_number(value)


def is_number(value) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) <= LARGEST_NUMBER


def own_files(value, owners: Owners, left, depth: int = 0):
    """The value, each file in it as a bare path of the visitor's own. Raises Refused for all else."""
    if value is None:
        return None
    if depth > DEEPEST or next(left, None) is None:
        raise Refused(UNFIT)
    if isinstance(value, list):
        return [own_files(part, owners, left, depth + 1) for part in value]
    if isinstance(value, dict) and "path" not in value and not {"url", "meta"} & value.keys():
        return {str(key): own_files(part, owners, left, depth + 1) for key, part in value.items()}
    if not isinstance(value, dict) or not owners.allow(value.get("path"), VISITOR.get()):
        raise Refused(LOST)
    return {"path": value["path"], "meta": {"_type": "gradio.FileData"}}


def paths(value) -> typing.Iterator[str]:
    """Of the files that an answer names."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from paths(part)


def selection(event_data) -> bool:
    found = getattr(event_data, "_data", None)
    if not isinstance(found, dict) or not {"index", "value"} <= found.keys():
        return False
    index = found["index"]
    return isinstance(index, int) and not isinstance(index, bool) and 0 <= index < LARGEST_NUMBER


def plain(event_data) -> bool:
    """Whether an event of our own brings a few words and numbers."""
    found = getattr(event_data, "_data", None)
    if not isinstance(found, dict) or len(found) > 8:
        return False
    return all(isinstance(v, str) and len(v) <= 200 or is_number(v) for v in found.values())
