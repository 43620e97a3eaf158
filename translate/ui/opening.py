"""What everybody sees who opens the page, worked out once and not for each visitor.

A browser would run the page's load events, then the change events that follow, through the queue. Here the
server does that itself, as a visitor of its own, and puts the answers in the configuration that is sent.
Handlers that compute, or that ask who is there, stay with the browsers.
"""

import asyncio
import typing
from collections import deque
from copy import copy, deepcopy
from types import SimpleNamespace

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

from translate.ui.parts import WORK
from translate.ui.values import Page, Refused

MOST = 100  # handlers that an opening runs; more go round in circles


class Session(SessionState):
    """What one browser changed of the page's controls, beginning with what the opening did."""

    def __init__(self, blocks_config, state_data: dict):
        # Gradio's own also describes every control anew, for links that the gate does not serve: 60 ms.
        self.blocks_config, self.state_data = copy(blocks_config), deepcopy(state_data)
        self.config_values, self._state_ttl = {}, {}
        self.is_closed, self.STATE_TTL_WHEN_CLOSED = False, 3600

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value) -> None:
        pass


class Sessions(StateHolder):
    """Of all browsers; a new one gets what the newest opening left."""

    def __init__(self, page: Page, opening: "Opening"):
        super().__init__()
        self.opening = opening
        self.set_blocks(page)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = self.opening.session()
        return super().__getitem__(session_id)


class Opening:
    """The page's configuration as it is now, `config`; made anew when `changed()` gives another value."""

    def __init__(self, page: Page, changed: typing.Callable[[], object]):
        self.page, self.changed = page, changed
        self.seen: object = None
        self.number = 0  # of openings so far
        self.turn = asyncio.Lock()
        self.left = Session(page.default_config, {})

    def session(self) -> Session:
        return Session(self.left.blocks_config, self.left.state_data)

    async def ready(self) -> int:
        """Makes `page.config` the newest one; returns its number."""
        async with self.turn:
            seen = await asyncio.to_thread(self.changed)
            if self.number == 0 or seen != self.seen:
                await self.open()
                self.seen, self.number = seen, self.number + 1
            return self.number

    async def open(self) -> None:
        page, left = self.page, Session(self.page.default_config, {})
        config = page.get_config_file()
        values = {part["id"]: part["props"] for part in config["components"]}
        calls = {call["id"]: call for call in config["dependencies"]}
        waiting = deque(n for n in calls if (page._id, "load") in targets(calls[n]))
        for _ in range(MOST):
            if not waiting:
                break
            number = waiting.popleft()
            function, call = page.fns[number], calls[number]
            if not same_for_all(function):
                continue
            given = [values[block._id].get("value") for block in function.inputs]
            asked = SimpleNamespace(headers={}, session_hash=None, everybody=True)
            try:
                made = await page.process_api(function, given, state=left, request=asked)
            except Refused:  # browsers ask again, and show the sentence
                continue
            call["targets"] = [target for target in call["targets"] if tuple(target) != (page._id, "load")]
            for block, value in zip(function.outputs, made["data"], strict=True):
                update = isinstance(value, dict) and value.get("__type__") == "update"
                props = {k: v for k, v in value.items() if k != "__type__"} if update else {"value": value}
                before = values[block._id].get("value")
                if "props" in props:  # of HTML with a script; what is not told stays
                    props["props"] = {**values[block._id].get("props", {}), **props["props"]}
                values[block._id].update(props)
                if props.get("value", before) != before:
                    waiting += [n for n in calls if (block._id, "change") in targets(calls[n])]
            waiting += [n for n in calls if calls[n].get("trigger_after") == number]
        page.config, self.left = config, left


def targets(call: dict) -> list[tuple]:
    return [tuple(target) for target in call["targets"]]


def same_for_all(function) -> bool:
    """Whether a handler neither computes pictures nor asks who is there; scripts are left to browsers."""
    if function.fn is None:
        return False
    asked = {hint for hint in typing.get_type_hints(function.fn).values() if isinstance(hint, type)}
    private = any(issubclass(hint, gr.Request | gr.EventData) for hint in asked)
    return function.concurrency_id != WORK["concurrency_id"] and not private
