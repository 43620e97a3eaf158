"""How long the page takes to open for many people at once, with every file that a browser asks for.

    python -m benchmarks.opening --visitors 50

A browser (Playwright, Chromium) opens the page once and what it asks for is noted; then so many visitors ask
for the same, each over six connections as browsers do, each with a session of its own. Without a browser only
the page and the files that it names are asked for.
"""

import asyncio
import dataclasses
import json
import re
import secrets
import shutil
import statistics
import time
import urllib.parse

import tyro

CONNECTIONS = 6  # of a browser to one server
API = "/gradio_api"


@dataclasses.dataclass
class Recorded:
    """What one browser asked for, in order."""

    files: list[str]
    jobs: list[dict]  # bodies of what joined the queue


def recorded(address: str) -> Recorded:
    """By a real browser, until it is quiet."""
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if not program:
        return named(address)
    files, jobs = [], []

    def asked(request) -> None:
        path = request.url.removeprefix(address)
        if request.method == "POST" and "/queue/join" in path:
            jobs.append(json.loads(request.post_data))
        elif request.method == "GET" and not re.search(r"heartbeat|queue/data", path) and path != "/":
            files.append(path)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", asked)
        page.goto(address)
        page.get_by_role("tab").first.wait_for()
        page.wait_for_timeout(4000)
        browser.close()
    return Recorded(files, jobs)


def named(address: str) -> Recorded:
    import urllib.request

    with urllib.request.urlopen(address, timeout=60) as answer:
        text = re.findall(r'(?:src|href)="\./((?:assets|static)/[^"]+)"', answer.read().decode())
    return Recorded([f"/{path}" for path in dict.fromkeys(text)], [])


class Connection:
    """HTTP/1.1, kept alive."""

    def __init__(self, host: str, port: int, cookie: str = ""):
        self.host, self.port, self.cookie = host, port, cookie
        self.reader = self.writer = None

    async def ask(self, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Status, cookie that was set, and the body as it was sent."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        head += "Accept-Encoding: gzip, deflate, br\r\n"
        head += f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self.writer.write(head.encode() + b"\r\n" + (body or b""))
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        given = next((line[12:].split(";")[0] for line in lines if line.lower().startswith("set-cookie")), "")
        if "chunked" in headers.get("transfer-encoding", ""):
            parts = []
            while size := int((await self.reader.readuntil(b"\r\n")).strip() or b"0", 16):
                parts.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readuntil(b"\r\n")
            return int(lines[0].split()[1]), given, b"".join(parts)
        return (
            int(lines[0].split()[1]),
            given,
            await self.reader.readexactly(int(headers.get("content-length", 0))),
        )

    def close(self) -> None:
        if self.writer:
            self.writer.close()


async def visit(address: str, asked: Recorded) -> float:
    """Seconds until everything is there. Raises ConnectionError where something was refused."""
    place = urllib.parse.urlsplit(address)
    start = time.monotonic()
    first = Connection(place.hostname, place.port)
    status, cookie, _ = await first.ask("/")
    if status != 200:
        raise ConnectionError(f"the page answers {status}")
    first.cookie = cookie
    connections = [first, *(Connection(place.hostname, place.port, cookie) for _ in range(CONNECTIONS - 1))]
    session, left = secrets.token_hex(6), iter(asked.files)

    async def fetch(connection: Connection) -> None:
        for path in left:
            status, _, _ = await connection.ask(path)
            if status != 200:
                raise ConnectionError(f"{path} answers {status}")

    async def work(connection: Connection) -> None:
        for job in asked.jobs:
            await connection.ask(f"{API}/queue/join", json.dumps({**job, "session_hash": session}).encode())
        if asked.jobs:
            _, _, text = await connection.ask(f"{API}/queue/data?session_hash={session}")
            if text.count(b'"success":true') < len(asked.jobs):
                raise ConnectionError(f"not every job was done: {text[-300:]!r}")
        await fetch(connection)

    try:
        await asyncio.gather(work(first), *(fetch(connection) for connection in connections[1:]))
    finally:
        for connection in connections:
            connection.close()
    return time.monotonic() - start


async def all_at_once(address: str, asked: Recorded, visitors: int) -> list[float | BaseException]:
    return await asyncio.gather(*(visit(address, asked) for _ in range(visitors)), return_exceptions=True)


def opening(address: str, visitors: int) -> tuple[list[float], list[str], int]:
    """Seconds of each visitor, failures, and how many requests one visit is."""
    asked = recorded(address)
    made = asyncio.run(all_at_once(address, asked, visitors))
    times = [second for second in made if isinstance(second, float)]
    return times, [repr(m) for m in made if not isinstance(m, float)], len(asked.files) + len(asked.jobs) + 2


def sentence(times: list[float], failures: list[str], requests: int) -> str:
    text = f"{len(times)} opened the page at once ({requests} requests each)"
    if times:
        text += f": median {statistics.median(times):.2f} s, the last after {max(times):.2f} s"
    return text + f"; {len(failures)} failed {failures[:2] if failures else ''}"


def main(visitors: int = 50, address: str | None = None) -> None:
    """visitors: at once; address: of an open page, else one is opened."""
    from benchmarks.load import Load, opened

    address, server = opened(Load(address=address))
    try:
        print(sentence(*opening(address, visitors)))
    finally:
        if server:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    tyro.cli(main)
