"""The gate of the page: only routes that it needs are open, so that nothing runs past the queue.

Requests have a sane size and form, files go to their owners, wrong passwords cost time. See values.py for the
values that handlers get.
"""

import asyncio
import contextlib
import json
import os
import re
import secrets
import time
from collections import OrderedDict
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from translate.ui import mcp
from translate.ui.answers import stream
from translate.ui.opening import Opening
from translate.ui.served import Served
from translate.ui.values import COOKIE, DEEPEST, EVERYBODY, LOST, UNFIT, Page, cookies, visitor_of
from translate.ui.words import W

LARGEST_BODY = 4 << 20  # bytes of a JSON request; pictures come through /upload
FULL = 4 << 30  # bytes of uploads and results on the disk
LONGEST_PAUSE = 30.0  # seconds after wrong passwords
FORGIVEN = 900.0  # seconds without one after which they do not count any more
REMEMBERED = 10_000  # addresses that gave wrong passwords
MOST_TRIES = 8  # of one address that wait
API = "/gradio_api"
OPEN = re.compile(
    r"/|/config/?|/(theme\.css|robots\.txt|favicon\.ico|manifest\.json)|/(assets|static|svelte)/.+|/log(in|out)/?"
    rf"|{API}/(info/?|openapi\.json|app_id/?|user/?|login_check/?|startup-events|theme\.css)"
    rf"|{API}/(queue/(join|data|status)|call/\w+(/\w+)?|cancel|reset/?|heartbeat/[\w-]+)"
    rf"|{API}/(upload|upload_progress|file=.+)"
)


FILE = f"{API}/file="
NAMED = re.compile(r"/(assets|static|svelte)/.+|/(theme\.css|robots\.txt|favicon\.ico|manifest\.json)")
HASHED = re.compile(r"/assets/.+-[\w-]{8}\.\w+")  # other content has another name
FOREVER = b"public, max-age=31536000, immutable"


class Patience:
    """Wrong passwords make the next try of the same address wait: 0.5 s, then twice as long each time."""

    def __init__(self):
        self.wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # host: how often, when last
        self.turns: dict[str, asyncio.Lock] = {}
        self.waiting: dict[str, int] = {}

    def pause(self, host: str, now: float) -> float:
        """Seconds until the next try is looked at."""
        often, last = self.wrong.get(host, (0, 0.0))
        if not often or now - last > FORGIVEN:
            return 0.0
        return max(0.0, min(LONGEST_PAUSE, 0.25 * 2**often) - (now - last))

    def note(self, host: str, right: bool, now: float) -> None:
        often, last = self.wrong.pop(host, (0, 0.0))
        if not right:
            self.wrong[host] = (min(often, 20) + 1 if now - last <= FORGIVEN else 1), now
            while len(self.wrong) > REMEMBERED:
                self.wrong.popitem(last=False)

    @contextlib.asynccontextmanager
    async def turn(self, host: str):
        """One try of an address at a time; yields False where too many wait."""
        if self.waiting.get(host, 0) >= MOST_TRIES:
            yield False
            return
        self.waiting[host] = self.waiting.get(host, 0) + 1
        try:
            async with self.turns.setdefault(host, asyncio.Lock()):
                await asyncio.sleep(self.pause(host, time.monotonic()))
                yield True
        finally:
            self.waiting[host] -= 1
            if not self.waiting[host]:
                del self.waiting[host], self.turns[host]


class Gate:
    """ASGI: the routes that the page needs, requests of a sane size and form, and files to their owners."""

    def __init__(self, app: ASGIApp, page: Page, opening: Opening, tools: mcp.Tools | None = None):
        """tools: for assistants, where they are to have any."""
        self.app, self.page, self.opening, self.tools = app, page, opening, tools
        self.patience, self.served = Patience(), Served(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        path = scope["path"]
        if self.tools and path == "/mcp":
            return await self.assist(scope, receive, send)
        if not OPEN.fullmatch(path):
            return await answer(404, W.gate.no_such_address)(scope, receive, send)
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if scope["method"] == "GET" and (NAMED.fullmatch(path) or path == f"{API}/app_id"):
            lasts = FOREVER if HASHED.fullmatch(path) else b"no-cache"
            return await self.served((path,), scope, receive, send, lasts)
        visitor = visitor_of(type("Asked", (), {"headers": headers}))
        if path.startswith(FILE):
            file = path.removeprefix(FILE)
            if not self.page.owners.allow(file, visitor):
                return await answer(403, LOST)(scope, receive, send)
            known = self.page.app.auth is None or self.user(headers) is not None
            everybodys = known and scope["method"] == "GET" and self.page.owners.allow(file, EVERYBODY)
            return await self.file(file, everybodys, scope, receive, send)
        elif scope["method"] == "GET" and path in ("/", "/config", "/config/"):
            return await self.open(scope, receive, send, headers, visitor)
        elif path == f"{API}/upload":
            if used(self.page.owners.folder) > FULL:
                return await answer(507, W.gate.disk_is_full)(scope, receive, send)
            return await self.upload(scope, receive, send, visitor)
        elif scope["method"] == "POST" and path.startswith(API):
            body = await read(receive)
            if body is None or not self.sound(path.removeprefix(API), body):
                return await answer(400, UNFIT)(scope, receive, send)
            receive = again(body, receive)
        elif path == f"{API}/queue/data" or path.startswith(f"{API}/call/") and scope["method"] == "GET":
            if not self.expected(scope):
                return await answer(404, W.gate.nothing_was_asked)(scope, receive, send)
            if "text/event-stream" in headers.get("accept", ""):  # a browser; programs ask and read in turn
                waited = self.page._queue.pending_event_ids_session
                session = self.session(scope)
                return await stream(self.app, lambda: bool(waited.get(session)), scope, receive, send)
        elif scope["method"] == "POST" and path.startswith("/login"):
            return await self.login(scope, receive, send)
        await self.app(scope, receive, send)

    async def open(self, scope: Scope, receive: Receive, send: Send, headers: dict, visitor: str) -> None:
        """The page, or its configuration, as it is for who has signed in. Queries are for scripts in it."""
        number = await self.opening.ready()
        host = [(k, v) for k, v in headers.items() if k == "host" or k.startswith("x-")]
        key = (scope["path"], number, self.user(headers), scope["scheme"], *host)
        cookie = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; SameSite=Lax"
        more = [(b"set-cookie", cookie.encode())] if scope["path"] == "/" and not visitor else []
        await self.served(key, scope, receive, send, b"private, no-cache", more)

    async def file(self, file: str, kept: bool, scope: Scope, receive: Receive, send: Send) -> None:
        """A result that takes another's place may delete it between a browser's question and the answer."""

        async def ask(scope: Scope, receive: Receive, send: Send) -> None:
            if kept:
                return await self.served((scope["path"],), scope, receive, send, b"private, max-age=86400")
            await self.app(scope, receive, send)

        failure = await failed(ask, scope, receive, send)
        if failure and os.path.exists(file):
            raise failure
        if failure:
            await answer(404, LOST)(scope, receive, send)

    def user(self, headers: dict) -> str | None:
        """Who signed in, as Gradio has it."""
        app, found = self.page.app, cookies(headers)
        tokens = (found.get(f"access-token-{kind}{app.cookie_id}") for kind in ("", "unsecure-"))
        return next((app.tokens[token] for token in tokens if token in app.tokens), None)

    async def login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Patience."""
        host, status = (scope.get("client") or ("",))[0], 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        async with self.patience.turn(host) as first:
            if not first:
                return await answer(429, W.gate.too_many_tries)(scope, receive, send)
            body = await read(receive)
            if body is None:
                return await answer(413, UNFIT)(scope, receive, send)
            await self.app(scope, again(body, receive), sending)
            self.patience.note(host, status < 400, time.monotonic())

    async def assist(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A message to the tools, of who has given the password where there is one; see Patience."""
        auth, host = self.page.app.auth, (scope.get("client") or ("",))[0]
        if auth is not None:
            async with self.patience.turn(host) as first:
                if not first:
                    return await answer(429, W.gate.too_many_tries)(scope, receive, send)
                given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
                right = mcp.signed_in(given, auth)
                self.patience.note(host, right, time.monotonic())
            if not right:
                refusal = answer(401, W.gate.give_user_and_password)
                refusal.headers["WWW-Authenticate"] = 'Basic realm="Translate"'
                return await refusal(scope, receive, send)
        if used(self.page.owners.folder) > FULL:
            return await answer(507, W.gate.disk_is_full)(scope, receive, send)
        body = await read(receive, mcp.LARGEST) if scope["method"] == "POST" else b""
        await self.tools(scope, receive, send, body)

    def sound(self, path: str, body: bytes) -> bool:
        """Whether a request to run, cancel or reset has the form that Gradio's own page gives it."""
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if not isinstance(asked, dict) or depth(asked) > DEEPEST + 4:
            return False
        if path == "/queue/join":
            functions, number = self.page.fns, asked.get("fn_index")
            known = isinstance(number, int) and not isinstance(number, bool) and number in functions
            session, trigger = asked.get("session_hash"), asked.get("trigger_id")
            named = isinstance(session, str) and re.fullmatch(r"[\w-]{1,64}", session)
            trigger = trigger is None or type(trigger) is int
            return bool(
                known
                and named
                and trigger
                and functions[number].queue
                and self.listed(asked, functions[number])
            )
        if path.startswith("/call/"):
            function = self.public(path.split("/")[2])
            return function is not None and self.listed(asked, function)
        return True

    @staticmethod
    def listed(asked: dict, function) -> bool:
        data = asked.get("data")
        return isinstance(data, list) and len(data) == len(function.inputs) and not asked.get("batched")

    def public(self, name: str):
        """The endpoint of this name, or None."""
        found = (fn for fn in self.page.fns.values() if fn.api_visibility == "public")
        return next((fn for fn in found if fn.api_name == name), None)

    def expected(self, scope: Scope) -> bool:
        """Whether a stream of answers is asked for by who has asked something."""
        queue, parts = self.page._queue, scope["path"].split("/")
        if parts[2] == "call":
            pending = queue.pending_event_ids_session.values()
            return parts[-1] in queue.event_ids_to_events or any(parts[-1] in ids for ids in pending)
        return self.session(scope) in queue.pending_messages_per_session

    @staticmethod
    def session(scope: Scope) -> str:
        """Of a stream of answers."""
        return parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]

    async def upload(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Notes the paths that /upload answers with; a form that cannot be read is the client's mistake."""
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    try:
                        found = json.loads(b"".join(parts))
                    except ValueError:  # a sentence of refusal
                        found = []
                    for path in found if isinstance(found, list) else []:
                        self.page.owners.add(str(path), visitor)
            await send(message)

        if await failed(self.app, scope, receive, sending):
            await answer(400, W.gate.upload_unreadable)(scope, receive, send)


async def failed(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Exception | None:
    """Asks `app`; returns why it failed where nothing was sent yet, raises it where something was.

    The head of an answer waits for its first part: a file may be gone between the two.
    """
    begun = fallen = False
    head: list[Message] = []

    async def sending(message: Message) -> None:
        nonlocal begun, fallen
        fallen |= message.get("status", 200) == 500
        if fallen:
            return
        if message["type"] == "http.response.start":
            return head.append(message)
        begun = True
        while head:
            await send(head.pop())
        await send(message)

    try:
        await app(scope, receive, sending)
    except Exception as failure:
        if begun and "content-length" not in str(failure).lower():  # a file was replaced meanwhile
            raise
        return None if begun else failure
    return RuntimeError(500) if fallen else None


def answer(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status)


async def read(receive: Receive, most: int = LARGEST_BODY) -> bytes | None:
    """The whole body; None where it is too large or cut off."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """Hands the body on that was read already."""
    handed = False

    async def receiving() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def depth(value) -> int:
    """How deep lists and dicts are nested; json.loads has made sure that it is not endless."""
    deepest, level = 0, [value]
    while level:
        deepest += 1
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [part for parts in inner for part in parts]
    return deepest


def used(folder: str) -> int:
    """Bytes of the files below."""
    sizes = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                sizes += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                pass  # just deleted
    return sizes
