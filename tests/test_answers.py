"""How long a browser's stream of answers stays open; in test_gate.py through a real server."""

import asyncio
import time

import pytest


def test_a_browsers_stream_ends_when_nothing_more_is_asked(monkeypatch):
    from translate.ui import answers

    monkeypatch.setattr(answers, "LINGERS", 0.05)
    asked, sent = [1, 1], []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (b"answer", b'data: {"msg":"close_stream"}'):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message.get("body"))

    asyncio.run(answers.stream(app, lambda: bool(asked and asked.pop()), {}, receive, send))
    assert sent == [None, *[b"answer"] * 3, b'data: {"msg":"close_stream"}', b""]

    async def gone():
        return {"type": "http.disconnect"}

    asked, start = [], time.monotonic()
    monkeypatch.setattr(answers, "LINGERS", 60)
    asyncio.run(answers.stream(app, lambda: bool(asked), {}, gone, send))
    assert time.monotonic() - start < 30, "nobody is there to wait for"


def answered(*messages):
    """What `failed` makes of an app that sends these and fails with the last; what reached the browser."""
    from translate.ui.gate import failed

    sent = []

    async def app(scope, receive, send):
        for message in messages[:-1]:
            await send(message)
        if messages[-1]:
            raise messages[-1]

    async def send(message):
        sent.append(message["type"].rpartition(".")[2])

    return asyncio.run(failed(app, {}, None, send)), sent


START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"part"}


def test_a_file_that_goes_while_it_is_asked_for_is_no_accident():
    """Before its first part it is missing, which can be said; after, the connection ends."""
    gone, short = FileNotFoundError("x"), RuntimeError("Response content shorter than Content-Length")
    assert answered(START, PART, None) == (None, ["start", "body"])
    assert answered(START, gone) == (gone, []) and answered(gone) == (gone, [])
    assert answered(START, PART, short) == (None, ["start", "body"])
    with pytest.raises(RuntimeError, match="another"):
        answered(START, PART, RuntimeError("another"))
    failure, sent = answered(START | {"status": 500}, PART, None)
    assert isinstance(failure, RuntimeError) and sent == []
