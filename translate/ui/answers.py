"""The stream of answers to a browser, open for a little while after the last one.

Gradio ends it as soon as nothing more is asked. A browser that asks in that very moment believes it open and
gets the answer only with that to whatever it asks next: a click on Stop that does nothing, on a busy machine.
Here the end is held back; what is asked meanwhile is answered in the same stream, at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGERS = 4.0  # seconds; tabs with a timer ask more often
EVERY = 0.01  # seconds
END = b'"close_stream"'


async def stream(
    app: ASGIApp, waiting: Callable[[], bool], scope: Scope, receive: Receive, send: Send
) -> None:
    """waiting: whether an answer is waited for."""
    begun, held = False, []

    async def sending(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.start":
            first, begun = not begun, True
            if not first:
                return
        elif END in message.get("body", b"") or not message.get("more_body"):
            held.append(message)
            return
        await send(message)

    while True:
        held.clear()
        await app(dict(scope), receive, sending)
        ended = any(END in message.get("body", b"") for message in held)
        if not (ended and await asked_again(waiting, receive)):
            break
    for message in held:
        await send(message)


async def asked_again(waiting: Callable[[], bool], receive: Receive) -> bool:
    """Whether something is asked before the time is over and while the browser is there."""
    gone, end = asyncio.ensure_future(left(receive)), time.monotonic() + LINGERS
    try:
        while time.monotonic() < end and not gone.done():
            if waiting():
                return True
            await asyncio.sleep(EVERY)
        return False
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


async def left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
