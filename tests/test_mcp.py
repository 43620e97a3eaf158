"""Tools for assistants at /mcp: the protocol's messages, and what a client must not get by them."""

# ruff: noqa: F811  fixtures come from the other file

import asyncio
import base64
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from PIL import Image

from tests.test_page import models, photo  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
HEAD = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


async def nothing(scope, receive, send):
    raise AssertionError(f"{scope['path']} went past the gate")


@pytest.fixture
def client(shelf):
    """Posts to the gate of a page with tools; `auth` may be set."""
    from translate.ui.gate import Gate
    from translate.ui.mcp import Tools
    from translate.ui.values import Owners

    page = SimpleNamespace(owners=Owners(), app=SimpleNamespace(auth=None))
    gate = Gate(nothing, page, None, Tools(shelf, page))

    def ask(method="POST", path="/mcp", gate=gate, **more):
        async def asked():
            transport = httpx.ASGITransport(gate)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as http:
                return await http.request(method, path, **{"headers": HEAD} | more)

        return asyncio.run(asked())

    ask.page = page
    return ask


def call(client, method, params=None, **more):
    """The result, or the error, of a request."""
    message = dict(jsonrpc="2.0", id=7, method=method) | ({} if params is None else dict(params=params))
    answer = client(content=json.dumps(message), **more)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["jsonrpc"] == "2.0" and found["id"] == 7
    return found.get("result", found.get("error"))


def tool(client, name, **arguments):
    return call(client, "tools/call", dict(name=name, arguments=arguments))


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


def test_an_assistant_finds_the_tools_and_uses_them(client, tmp_path):
    hello = call(client, "initialize", dict(protocolVersion="2025-06-18", capabilities={}, clientInfo={}))
    assert hello["protocolVersion"] == "2025-06-18" and "tools" in hello["capabilities"]
    assert call(client, "initialize", dict(protocolVersion="1999-01-01"))["protocolVersion"] == "2025-11-25"
    told = client(content='{"jsonrpc": "2.0", "method": "notifications/initialized"}')
    assert told.status_code == 202 and told.content == b"" and call(client, "ping") == {}

    tools = {one["name"]: one["inputSchema"] for one in call(client, "tools/list")["tools"]}
    assert set(tools) == {"translate", "sample"}, "no model here enlarges or draws captions"
    assert set(tools["translate"]["properties"]["model"]["enum"]) == {"both-ways", "sketch", "labels"}

    picture = encoded(photo(tmp_path / "a.png"))
    done = tool(client, "translate", model="both-ways", picture=picture)
    note, made = done["content"]
    assert (
        not done["isError"] and note["text"].startswith("90 × 60 px in") and made["mimeType"] == "image/png"
    )
    there = Image.open(io.BytesIO(base64.b64decode(made["data"])))
    assert there.size == (90, 60)
    back = tool(client, "translate", model="both-ways", picture=picture, direction="BtoA")["content"][1]
    assert back["data"] != made["data"]

    first, again = (tool(client, "sample", model="noise", count=2, seed=3)["content"] for _ in range(2))
    assert len(first) == 3 and first[1:] == again[1:] and first[1] != first[2]


def test_nothing_of_the_machine_and_of_other_machines_is_read(client, tmp_path, monkeypatch):
    """Paths and addresses are no base64; they are refused alike whether there is something or not."""
    import socket

    def connected(*_):
        raise AssertionError("the page called somebody")

    secret = photo(tmp_path / "holiday.png")
    monkeypatch.setattr(socket.socket, "connect", connected)
    hostile = [
        str(secret), f"file://{secret}", "http://127.0.0.1:9/a.png", "https://example.org/a.png",
        str(secret.with_name("absent.png")), str(ROOT / "app.py"), "../../etc/passwd", "data:,x", "\0", "é",
        f"http://127.0.0.1/;base64,{secret}",
    ]  # fmt: skip
    said = [tool(client, "translate", model="sketch", picture=value) for value in hostile]
    assert all(one["isError"] for one in said)
    assert {one["content"][0]["text"] for one in said} == {
        "picture must be the bytes of a picture file as base64; addresses and paths are not read"
    }
    model = tool(client, "translate", model=str(tmp_path), picture="AAAA")
    assert model["isError"] and str(tmp_path) not in model["content"][0]["text"]
    files = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    for wrong in (files, [str(secret)], None, 1, {"url": "http://127.0.0.1:9"}):
        assert tool(client, "translate", model="sketch", picture=wrong)["isError"]
    assert tool(client, "translate", model="sketch", picture=encoded(ROOT / "app.py"))["isError"]
    assert tool(client, "translate", model="sketch", picture="AAAA", path=str(secret))["isError"]
    left = [path for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file()]
    assert all(path.read_bytes() != secret.read_bytes() for path in left)


@pytest.mark.parametrize(
    "body, status",
    [
        ("", 400), ("nonsense", 400), ("[]", 400), ("3", 400), ("{}", 400), ("[" * 5000, 400),
        ('{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400),
        ('{"jsonrpc": "2.0", "id": [1], "method": "ping"}', 400),
        ('{"jsonrpc": "2.0", "id": 1, "method": 5}', 200),
        ('{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', 200),
        ('{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///x"}}', 200),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": {}}}', 200),
        ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', 400),
    ],
)  # fmt: skip
def test_other_messages_get_the_protocols_errors(client, body, status):
    answer = client(content=body)
    assert answer.status_code == status and answer.json()["error"]["code"] in range(-32700, -32599)


@pytest.mark.parametrize(
    "arguments",
    [
        dict(count=10**9), dict(count=0), dict(count=True), dict(count="2"), dict(count=1e400), dict(seed=-1),
        dict(seed=2**70), dict(label=5), dict(model="sketch"), dict(model=7),
    ],
)  # fmt: skip
def test_wrong_arguments_get_a_sentence(client, arguments):
    done = tool(client, "sample", **dict(model="noise") | arguments)
    assert done["isError"] and 5 < len(done["content"][0]["text"]) < 200
    assert "Traceback" not in done["content"][0]["text"]


def test_other_sites_and_forms_cannot_call(client):
    """A page that a visitor has open elsewhere can only send what browsers send without asking."""
    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    for origin, status in (
        ("http://evil.example", 403), ("null", 403), ("http://[", 403),
        ("http://localhost.evil.example", 403), ("http://localhost:6274", 200),
    ):  # fmt: skip
        assert client(content=ping, headers=HEAD | {"origin": origin}).status_code == status, origin
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert client(content=ping, headers={"content-type": kind}).status_code == 415
    assert client("GET").status_code == 405 and client("DELETE").status_code == 405
    assert client(content=ping, headers=HEAD | {"mcp-protocol-version": "x"}).status_code == 400
    assert client(content=b" " * (25 << 20)).status_code == 413
    for path in ("/mcp/", "/mcp/sse", "/gradio_api/mcp", "/gradio_api/mcp/sse"):
        assert client(content=ping, path=path).status_code == 404


def test_without_the_flag_there_are_no_tools(client):
    from translate.ui.gate import Gate

    assert client(content="{}", gate=Gate(nothing, client.page, None)).status_code == 404


def test_tools_ask_for_the_password(client, monkeypatch):
    from translate.ui import gate

    ping = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    monkeypatch.setattr(gate, "LONGEST_PAUSE", 0.0)
    client.page.app.auth = {"user": "secret"}
    for given, status in (
        (None, 401), ("", 401), ("Basic", 401), ("Basic ééé", 401), ("user:secret", 401),
        ("Bearer " + base64.b64encode(b"user:secret").decode(), 401),
        ("Basic " + base64.b64encode(b"user:").decode(), 401),
        ("Basic " + base64.b64encode(b"other:").decode(), 401),
        ("Basic " + base64.b64encode(b"user:secret").decode(), 200),
    ):  # fmt: skip
        head = HEAD if given is None else HEAD | {"authorization": given.encode("latin-1")}
        assert client(content=ping, headers=head).status_code == status, given
