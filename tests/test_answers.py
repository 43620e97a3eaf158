"""How long a browser's stream of answers stays open; in test_gate.py through a real server."""

import asyncio
import time


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
