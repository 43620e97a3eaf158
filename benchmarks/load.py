"""The page under many visitors at once, through the protocol that browsers speak.

    python -m benchmarks.load --visitors 30 --seconds 90
    python -m benchmarks.load --visitors 0 --largest 10

Starts `app.py`, opens it as often as asked at the same moment (see benchmarks/opening.py), and lets every
visitor do what people do: translate pictures of several sizes, draw captions, enlarge, look at models. Prints
failures, medians, and maxima per kind, how long opening took, and the server's memory before and after.
"""

import dataclasses
import functools
import io
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import tyro
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
LONG = "photo 12 MP"
LONGEST = 60  # seconds that a last job may take


@dataclasses.dataclass
class Load:
    """What to do to the page."""

    visitors: int = 30
    seconds: float = 90.0
    """how long they work, after 20 seconds of four visitors without pauses"""
    long: int = 1
    """how many of them give pictures of 12 megapixels all the time"""
    pause: float = 10.0
    """mean seconds between a visitor's jobs: people look at what they got"""
    largest: int = 0
    """instead: so many of the largest pictures allowed, one after another, and the memory after each"""
    address: str | None = None
    """a page that is open already; its memory is not measured"""
    seed: int = 0


@functools.cache
def photograph(side: int, seed: int) -> bytes:
    """A smooth colour picture with some texture, as JPEG."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 6, 3), dtype=np.uint8))
    image = small.resize((side, side * 3 // 4), Image.BICUBIC)
    rough = Image.fromarray(random.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    image = Image.blend(image, rough.resize(image.size, Image.NEAREST), 0.1)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


class Results:
    """Of all visitors."""

    def __init__(self):
        self.times: dict[str, list[float]] = {}
        self.failures: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def note(self, kind: str, seconds: float, failure: str = "") -> None:
        with self.lock:
            if failure:
                self.failures.append((kind, failure))
            else:
                self.times.setdefault(kind, []).append(seconds)

    def table(self) -> str:
        lines = ["| kind | done | median s | 90 % s | longest s |", "| --- | --: | --: | --: | --: |"]
        short = [t for kind, times in self.times.items() if kind not in (LONG, "open") for t in times]
        for kind, times in [*sorted(self.times.items()), *([("all short ones", short)] if short else [])]:
            ninth = statistics.quantiles(times, n=10)[-1] if len(times) > 1 else times[0]
            median = statistics.median(times)
            lines.append(f"| {kind} | {len(times)} | {median:.2f} | {ninth:.2f} | {max(times):.2f} |")
        return "\n".join(lines)


class Person(threading.Thread):
    """One visitor until `until`."""

    def __init__(self, number: int, load: Load, address: str, results: Results, until: float, barrier):
        super().__init__(daemon=True)
        self.load, self.address, self.results, self.until = load, address, results, until
        self.random = random.Random(1000 * load.seed + number)
        self.long, self.barrier = number < load.long, barrier
        self.doing: tuple[str, float] | None = None  # kind, since when

    def run(self) -> None:
        from tests.visitor import Visitor

        self.barrier.wait()
        start = time.monotonic()
        try:
            visitor = Visitor(self.address, timeout=300).load()
        except Exception as error:
            return self.results.note("open", 0, repr(error))
        self.results.note("open", time.monotonic() - start)
        while time.monotonic() < self.until:
            time.sleep(self.random.expovariate(1 / self.load.pause))
            kind, job = (LONG, self.translate) if self.long else self.choice()
            start = time.monotonic()
            self.doing = kind, start
            try:
                done = job(visitor)
                self.results.note(kind, time.monotonic() - start, "" if done["success"] else json.dumps(done))
            except Exception as error:
                self.results.note(kind, 0, repr(error))
            self.doing = None
        visitor.close()

    def choice(self):
        kinds = [("photo small", self.translate), ("caption", self.caption), ("enlarge", self.enlarge)]
        return self.random.choices([*kinds, ("models", self.look)], [4, 2, 2, 1])[0]

    def give(self, visitor, side: int) -> dict:
        data = photograph(side, self.random.randrange(4))
        answer = visitor.http.post("/gradio_api/upload", files={"files": ("photo.jpg", data)})
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def translate(self, visitor) -> dict:
        handler = visitor.handler("go", "click")
        given = self.give(visitor, 4000 if self.long else self.random.choice([320, 480]))
        style = self.random.choice([name for name in cards(visitor) if name.startswith("photo")])
        return visitor.run(handler, visitor.values(handler, model=style, input=given))

    def caption(self, visitor) -> dict:
        handler = visitor.handler("caption-go", "click")
        values = {"caption-text": "a small red bird with black wings", "caption-count": 4}
        return visitor.run(handler, visitor.values(handler, **values))

    def enlarge(self, visitor) -> dict:
        handler = visitor.handler("enhance-go", "click")
        return visitor.run(handler, visitor.values(handler, **{"enhance-input": self.give(visitor, 160)}))

    def look(self, visitor) -> dict:
        handler = visitor.handler("models-refresh", "click")
        return visitor.run(handler, visitor.values(handler))


def memory(server) -> float:
    """Resident MiB."""
    return psutil.Process(server.pid).memory_info().rss / 2**20 if server else 0.0


def opened(load: Load):
    """The page's address and process, ready to answer."""
    if load.address:
        return load.address, None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
    for _ in range(3000):
        time.sleep(0.1)
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=60).close()
            break
        except OSError:
            assert server.poll() is None, "the page could not be started"
    return f"http://127.0.0.1:{port}", server


def crowd(load: Load, address: str, seconds: float) -> Results:
    results, until = Results(), time.monotonic() + seconds
    barrier = threading.Barrier(load.visitors)
    people = [Person(n, load, address, results, until, barrier) for n in range(load.visitors)]
    for person in people:
        person.start()
    for person in people:
        person.join(max(0.1, until + LONGEST - time.monotonic()))
    for kind, since in [person.doing for person in people if person.is_alive() and person.doing]:
        results.note(kind, 0, f"no answer after {time.monotonic() - since:.0f} s")
    return results


def everything(load: Load, address: str) -> None:
    """Every model of tab Translate once at the largest size of a job, so that what stays loaded is loaded."""
    from tests.visitor import Visitor

    visitor = Visitor(address, timeout=300).load()
    person = Person(0, dataclasses.replace(load, long=1), address, Results(), 0.0, None)
    handler, given = visitor.handler("go", "click"), person.give(visitor, 4000)
    for card in cards(visitor):
        done = visitor.run(handler, visitor.values(handler, model=card, input=given))
        assert done["success"], done
    visitor.close()


def cards(visitor) -> list[str]:
    """Names of the models that tab Translate offers."""
    return [
        card["name"]
        for card in json.loads(visitor.components[visitor.named("model")]["props"]["props"]["cards"])
    ]


def largest(load: Load, address: str, server) -> None:
    """The server's memory after each of the largest pictures that the page takes (40 million pixels)."""
    from tests.visitor import Visitor

    visitor = Visitor(address, timeout=300).load()
    handler, person = visitor.handler("go", "click"), Person(0, load, address, Results(), 0.0, None)
    after = []
    for number in range(load.largest):
        given = person.give(visitor, 7302)  # 7302 x 5476
        done = visitor.run(handler, visitor.values(handler, model="photo-scream", input=given))
        assert done["success"] and "px in" in json.dumps(done["output"]), done
        after.append(memory(server))
        print(f"picture {number + 1}: {after[-1]:.0f} MiB", flush=True)
    print(f"after the last {after[-1] / after[0] - 1:+.1%} of what it was after the first")


def main(load: Load) -> None:
    from benchmarks.opening import opening, sentence

    address, server = opened(load)
    try:
        if load.largest:
            return largest(load, address, server)
        everything(load, address)
        crowd(dataclasses.replace(load, visitors=4, pause=0.1), address, 20)
        print(sentence(*opening(address, load.visitors)), flush=True)
        before = memory(server)
        results = crowd(load, address, load.seconds)
        time.sleep(3)
        print(results.table())
        print(f"\nfailures: {len(results.failures)}")
        for kind, failure in results.failures[:5]:
            print(f"  {kind}: {failure[:300]}")
        if server:
            print(f"memory: {before:.0f} MiB after the warm-up, {memory(server):.0f} MiB after the load")
    finally:
        if server:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main(tyro.cli(Load))
