"""Tools for assistants: the Model Context Protocol over HTTP, at /mcp, with `python app.py --mcp`.

modelcontextprotocol.io, revision 2025-06-18, transport "streamable HTTP" without sessions and streams: each
POST holds one JSON-RPC message and is answered by one. Gradio's own server (`mcp_server=True`) is not used:
it fetches whatever address a client names, and reads files, before the page's gate sees them. Here pictures
come and go inside the messages, as base64; nothing is fetched and no path is taken.
"""

import base64
import binascii
import dataclasses
import hmac
import json
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from translate import __version__
from translate.config import UserError
from translate.inference import images
from translate.ui import caption, enhance, samples, translate
from translate.ui.pictures import lay
from translate.ui.shelf import Shelf, title
from translate.ui.values import LONGEST_TEXT, Page, is_number
from translate.ui.visit import Made

REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26")  # of the protocol; the newest first
LARGEST = 24 << 20  # bytes of a message; a picture takes four thirds of its file
AT_ONCE = 8  # calls under way; lanes.py says which computes
LOSSLESS = 2_000_000  # pixels up to which an answer is a PNG
HERE = ("localhost", "127.0.0.1", "::1")
PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602  # JSON-RPC 2.0, section 5.1
PICTURE = dict(
    type="string", description="a picture file (JPEG, PNG, WebP, ...), base64", contentEncoding="base64"
)
KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool}


class Fault(Exception):
    """A message that is none of the protocol's."""

    def __init__(self, code: int, words: str):
        super().__init__(words)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Tool:
    """What an assistant may call: its arguments as JSON Schema, and the handler behind a tab."""

    description: str
    properties: dict[str, dict]
    required: tuple[str, ...]
    run: Callable[..., Made]  # of (shelf, arguments, session)
    models: Callable[[Shelf], list] | None  # that it works with

    def schema(self, shelf: Shelf) -> dict:
        schema = {name: dict(about) for name, about in self.properties.items()}
        if self.models:
            found = self.models(shelf)
            words = "; ".join(f"{entry.name}: {entry.description[:120] or title(entry)}" for entry in found)
            schema["model"] |= dict(enum=[entry.name for entry in found], description=words)
        return dict(type="object", properties=schema, required=[*self.required], additionalProperties=False)

    def fit(self, given: object) -> dict:
        """The arguments as the handler may have them. Raises UserError."""
        if not isinstance(given, dict) or not given.keys() <= self.properties.keys():
            raise UserError(f"the arguments are {', '.join(self.properties) or 'none'}")
        for name in self.required:
            if name not in given:
                raise UserError(f"{name} is missing")
        for name, value in given.items():
            about = self.properties[name]
            good = isinstance(value, KINDS[about["type"]])
            if about["type"] in ("integer", "number"):
                good = good and is_number(value)
            if about["type"] == "string" and about is not PICTURE:
                good = good and len(value) <= LONGEST_TEXT
            if not good:
                raise UserError(f"{name} must be a {about['type']}")
        return given


def file(text: str) -> str:
    """A picture out of a message, as a file in the page's folder. Raises UserError."""
    try:
        data = base64.b64decode(text.rpartition("base64,")[2].encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise UserError(
            "picture must be the bytes of a picture file as base64; addresses and paths are not read"
        ) from None
    return str(lay("picture", data))


def translated(shelf: Shelf, a: dict, session: str) -> Made:
    way, share, brush = a.get("direction", "AtoB"), a.get("strength", 1.0), a.get("brush", 1.0)
    more = dict(session=session, strength=share, brush=brush)
    return translate.translate(shelf, a["model"], file(a["picture"]), way, **more)


def enlarged(shelf: Shelf, a: dict, session: str) -> Made:
    return enhance.enhance(shelf, a["model"], file(a["picture"]), factor=a.get("factor"), session=session)


def drawn(shelf: Shelf, a: dict, session: str) -> Made:
    return caption.draw(shelf, a["model"], a["text"], a.get("count", 1), a.get("seed", 0), session=session)


def sampled(shelf: Shelf, a: dict, session: str) -> Made:
    label = a.get("label", samples.EVERY)
    return samples.sample(shelf, a["model"], a.get("count", 1), a.get("seed", 0), label, session)


NAME = dict(type="string")
SEED = dict(type="integer", description="the same seed gives the same pictures; default 0")


def number_of(most: int) -> dict:
    return dict(type="integer", description="of pictures; default 1", minimum=1, maximum=most)


TOOLS = {
    "translate": Tool(
        "A picture in another style, or from one kind into another, of the same size.",
        dict(
            model=NAME, picture=PICTURE,
            direction=dict(type="string", enum=["AtoB", "BtoA"], description="default AtoB"),
            strength=dict(type="number", description="of a style, 0 to 1; default 1"),
            brush=dict(type="number", description="how broad strokes are, 0.4 to 2.5; default 1"),
        ),
        ("model", "picture"), translated, Shelf.translators,
    ),
    "enlarge": Tool(
        "A picture with more pixels.",
        dict(
            model=NAME, picture=PICTURE,
            factor=dict(type="integer", description="2 or 4; default what the model does"),
        ),
        ("model", "picture"), enlarged, Shelf.enlargers,
    ),
    "draw": Tool(
        "Pictures of a caption in English.",
        dict(
            model=NAME, text=dict(type="string", description="what to draw"),
            count=number_of(caption.MOST), seed=SEED,
        ),
        ("model", "text"), drawn, Shelf.drawers,
    ),
    "sample": Tool(
        "Pictures out of nothing but chance.",
        dict(
            model=NAME, count=number_of(samples.MOST), seed=SEED,
            label=dict(type="string", description="a class, of models that have some"),
        ),
        ("model",), sampled, Shelf.samplers,
    ),
}  # fmt: skip


def content(made: Made) -> list[dict]:
    """A result as the protocol has it: the note, then the pictures."""
    content = [dict(type="text", text=made.note)]
    for picture in made.pictures:
        width, height = picture.size
        kind = "PNG" if width * height <= LOSSLESS else "WEBP" if picture.alpha is not None else "JPEG"
        data = base64.b64encode(images.encode(picture.tensor, picture, kind, quality=92)).decode()
        content.append(dict(type="image", data=data, mimeType=f"image/{kind.lower()}"))
    return content


class Tools:
    """ASGI: the address that assistants are given."""

    def __init__(self, shelf: Shelf, page: Page):
        self.shelf, self.page = shelf, page
        self.room = anyio.CapacityLimiter(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, body: bytes | None) -> None:
        """body: of the request; None where it is too large or cut off."""
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        answer = self.refused(scope["method"], headers, body)
        if answer is None:
            answer = await self.answered(body or b"", (scope.get("client") or ("",))[0])
        await answer(scope, receive, send)

    def refused(self, method: str, headers: dict[str, str], body: bytes | None) -> Response | None:
        """What is no message to this server; a page of another site is none either, whatever it sends."""
        origin = headers.get("origin")
        if origin is not None and not near(origin):
            return refusal(403, "pages of other sites may not call tools")
        if method != "POST":
            return JSONResponse({"detail": "send messages by POST"}, 405, {"Allow": "POST"})
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return refusal(415, "a message is application/json")
        if body is None:
            return refusal(413, f"a message has {LARGEST >> 20} MiB at the most")
        if headers.get("mcp-protocol-version", REVISIONS[0]) not in REVISIONS:
            return refusal(400, f"this server speaks {', '.join(REVISIONS)}")
        return None

    async def answered(self, body: bytes, host: str) -> Response:
        """The answer to one message."""
        number = None
        try:
            try:
                message = json.loads(body)
            except (ValueError, RecursionError):
                raise Fault(PARSE, "this is no JSON") from None
            if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
                raise Fault(REQUEST, "one JSON-RPC 2.0 message was expected")
            number, method, given = message.get("id"), message.get("method"), message.get("params", {})
            if "id" in message and (isinstance(number, bool) or not isinstance(number, str | int)):
                number = None
                raise Fault(REQUEST, "an id is a string or a whole number")
            if not isinstance(method, str) or not isinstance(given, dict):
                raise Fault(REQUEST, "a message has a method, and params by name")
            if "id" not in message:
                return Response(status_code=202)  # notifications need no answer
            result = await self.answer(method, given, f"mcp {host}")
        except Fault as fault:
            error = dict(code=fault.code, message=str(fault))
            return JSONResponse(
                dict(jsonrpc="2.0", id=number, error=error), 200 if number is not None else 400
            )
        return JSONResponse(dict(jsonrpc="2.0", id=number, result=result))

    async def answer(self, method: str, given: dict, session: str) -> dict:
        """The result of a request. Raises Fault."""
        if method == "initialize":
            asked = given.get("protocolVersion")
            about = dict(name="translate", title="Translate", version=__version__)
            spoken = asked if asked in REVISIONS else REVISIONS[0]
            return dict(protocolVersion=spoken, capabilities=dict(tools={}), serverInfo=about)
        if method == "ping":
            return {}
        if method == "tools/list":
            return dict(tools=await anyio.to_thread.run_sync(self.listed))
        if method != "tools/call":
            raise Fault(METHOD, f"there is no method {method[:60]!r}")
        name = given.get("name")
        if not isinstance(name, str) or name not in TOOLS:
            raise Fault(PARAMS, f"the tools are {', '.join(TOOLS)}")
        return await anyio.to_thread.run_sync(
            self.called, TOOLS[name], given.get("arguments", {}), session, limiter=self.room
        )

    def listed(self) -> list[dict]:
        """The tools that some model here can do."""
        usable = {name: tool for name, tool in TOOLS.items() if tool.models(self.shelf)}
        return [
            dict(name=name, description=tool.description, inputSchema=tool.schema(self.shelf))
            for name, tool in usable.items()
        ]

    def called(self, tool: Tool, given: object, session: str) -> dict:
        try:
            fitting = tool.fit(given)
            if fitting["model"] not in [entry.name for entry in tool.models(self.shelf)]:
                raise UserError("this tool has no such model; tools/list names those it has")
            return dict(content=content(tool.run(self.shelf, fitting, session)), isError=False)
        except UserError as error:
            return dict(content=[dict(type="text", text=str(error))], isError=True)


def near(origin: str) -> bool:
    """Whether a page comes from this machine."""
    try:
        return urlsplit(origin).hostname in HERE
    except ValueError:
        return False


def refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


def signed_in(header: str, auth: dict[str, str]) -> bool:
    """Whether an Authorization header holds a user and password that the page knows."""
    kind, _, value = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return False
    known = auth.get(user, "")
    right = hmac.compare_digest(known.encode(), password.encode())
    return kind.lower() == "basic" and bool(colon) and user in auth and right
