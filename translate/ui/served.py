"""Answers that are the same for every visitor, kept in memory and compressed once.

Opening the page asks for some 150 files; fifty people at once ask for them within a second.
"""

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import brotli  # Gradio needs it, too
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 4 << 20  # bytes of one answer that is kept
MOST = 128 << 20  # bytes of all
DENSE = b"text/", b"application/javascript", b"application/json", b"image/svg", b"application/manifest"
LEFT_OUT = b"content-length", b"etag", b"cache-control", b"vary", b"last-modified", b"date"
HERE = b"host", b"accept", b"cookie"  # headers that the page's own answer may depend on, with x-forwarded-*


class Answer:
    """A body as it is and as browsers take it."""

    def __init__(self, headers: list[tuple[bytes, bytes]], body: bytes, cache_control: bytes):
        tag = b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"'
        self.headers = [pair for pair in headers if pair[0].lower() not in LEFT_OUT]
        self.headers += [(b"etag", tag), (b"cache-control", cache_control), (b"vary", b"Accept-Encoding")]
        self.bodies, self.tag = {b"": body}, tag
        kind = dict(self.headers).get(b"content-type", b"")
        if kind.startswith(DENSE) and len(body) > 400:
            self.bodies[b"br"] = brotli.compress(body, quality=5)
            self.bodies[b"gzip"] = gzip.compress(body, 6)
        self.size = sum(map(len, self.bodies.values()))

    async def __call__(self, asked: Headers, send: Send, more: Sequence[tuple[bytes, bytes]]) -> None:
        if self.tag.decode() in asked.get("if-none-match", ""):
            await send({"type": "http.response.start", "status": 304, "headers": [*self.headers, *more]})
            return await send({"type": "http.response.body", "body": b""})
        taken = asked.get("accept-encoding", "")
        encoding = next((e for e in (b"br", b"gzip") if e in self.bodies and e.decode() in taken), b"")
        body = self.bodies[encoding]
        headers = [*self.headers, (b"content-length", str(len(body)).encode()), *more]
        headers += [(b"content-encoding", encoding)] if encoding else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Served:
    """The newest answers of `app` by key, at most MOST bytes of them."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self.known: OrderedDict[tuple, Answer] = OrderedDict()
        self.turns: dict[tuple, asyncio.Lock] = {}
        self.size = 0

    async def __call__(
        self,
        key: tuple,
        scope: Scope,
        receive: Receive,
        send: Send,
        cache_control: bytes = b"no-cache",
        more: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Answers a GET whose answer depends on `key` and `app` alone, with `more` headers."""
        asked = Headers(scope=scope)
        if "range" in asked:
            return await self.app(scope, receive, send)
        if key in self.known:
            self.known.move_to_end(key)
            return await self.known[key](asked, send, more)
        async with self.turns.setdefault(key, asyncio.Lock()):  # fifty at once: one is worked out
            if key not in self.known:
                try:
                    whole = await heard(self.app, scope, receive)
                finally:
                    self.turns.pop(key, None)
                if whole[0]["status"] != 200 or sum(map(len, whole[1])) > LARGEST:
                    return await passed_on(whole, send, more)
                made = await asyncio.to_thread(
                    Answer, whole[0].get("headers", []), b"".join(whole[1]), cache_control
                )
                self.keep(key, made)
        await self.known[key](asked, send, more)

    def keep(self, key: tuple, made: Answer) -> None:
        self.known[key] = made
        self.size += made.size
        while self.size > MOST and len(self.known) > 1:
            self.size -= self.known.popitem(last=False)[1].size


async def heard(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[dict, list[bytes]]:
    """The whole answer of `app`, asked without conditions and compression."""
    headers = [h for h in scope["headers"] if h[0].startswith(b"x-") or h[0] in HERE]
    start, parts = {}, []

    async def hearing(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app({**scope, "headers": headers, "query_string": b""}, receive, hearing)
    return start, parts


async def passed_on(whole: tuple[dict, list[bytes]], send: Send, more: Sequence[tuple[bytes, bytes]]) -> None:
    start, parts = whole
    await send({**start, "headers": [*start.get("headers", []), *more]})
    await send({"type": "http.response.body", "body": b"".join(parts)})
