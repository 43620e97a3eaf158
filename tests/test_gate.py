"""What a client must not get: others' files, a way past the queue, tracebacks."""

# ruff: noqa: F811  fixtures come from the other files

import asyncio
import contextlib
import io
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.test_browser import address  # noqa: F401
from tests.test_page import models, photo  # noqa: F401
from tests.visitor import API, Visitor

FILES = (gr.Image, gr.ImageSlider, gr.File, gr.Gallery, gr.DownloadButton)
JSON = {"content-type": "application/json"}
SECRET = (201, 13, 77)  # the colour of a picture that nobody may see


@pytest.fixture(scope="module")
def visitor(address):
    visitor = Visitor(address).load()
    yield visitor
    visitor.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    path = tmp_path_factory.mktemp("private") / "holiday.png"
    Image.new("RGB", (40, 30), SECRET).save(path)
    return path


def wrapped(path):
    """The ways in which a path can be written as a value."""
    meta = {"_type": "gradio.FileData"}
    plain = {"path": str(path)}
    full = {**plain, "meta": meta}
    linked = {"path": None, "url": str(path), "meta": meta}
    streamed = {**full, "is_stream": True}
    served = {**full, "url": f"{API}/file={path}"}
    nested = {"background": full, "layers": [], "composite": full}
    return [
        plain,
        full,
        linked,
        streamed,
        served,
        nested,
        str(path),
        [full],
        [[full, full]],
        [{"image": full}],
    ]


@pytest.fixture
def built(shelf):
    """The page itself, unserved."""
    from translate.ui.page import build
    from translate.ui.trainer import Trainer

    return build(shelf, Trainer(Path(os.environ["GRADIO_TEMP_DIR"]) / "runs"))


@pytest.fixture
def state(built):
    """Of one visitor; building it takes a while."""
    from gradio.state_holder import SessionState

    return SessionState(built)


def ask(page, fn, data, event=None, state=None):
    """What `fn` answers to a visitor, by the one door that queue and API go through."""
    from gradio.events import EventData

    request = SimpleNamespace(headers={"cookie": "translate-visit=me"}, session_hash="s")
    return page.process_api(fn, data, state=state, request=request, event_data=EventData(None, event))


def test_no_handler_gives_or_tells_anything_of_a_file_that_is_not_the_visitors(built, secret, models):
    """Every handler of the page's own configuration, every way to write a path; the answers are all alike."""
    from translate.ui.values import LOST, UNFIT, Refused

    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / "0123"
    folder.mkdir(parents=True)
    mine, others = folder / "mine.png", folder / "others.png"
    for path, owner in ((mine, "me"), (others, "you")):
        path.write_bytes(secret.read_bytes())
        built.owners.add(str(path), owner)
    (folder / "link.png").symlink_to(secret)
    built.owners.add(str(folder / "link.png"), "you")
    paths = [secret, secret.with_name("absent.png"), models / "sketch" / "config.json", secret.parent, others]
    paths += [os.path.relpath(secret), os.path.relpath(mine), f"{folder}/../../{secret}", folder / "link.png"]
    paths += [
        folder,
        f"file://{secret}",
        f"file://{mine}",
        "http://127.0.0.1:9/a.png",
        f"{mine}\0",
        "",
        "~/a",
    ]
    ways, one = [way for path in paths for way in wrapped(path)], wrapped(secret)[1]
    places = [(fn, place, block) for fn in built.fns.values() for place, block in enumerate(fn.inputs)]

    async def all_of_them():
        tried = 0
        for fn, place, block in places:
            # The server keeps the values of a State; what is sent is not looked at.
            for way in ways if isinstance(block, FILES) else [one] * (not isinstance(block, gr.State)):
                data = [None] * len(fn.inputs)
                data[place] = way
                with pytest.raises(Refused) as refused:
                    await ask(built, fn, data, {"index": 0, "value": None})
                assert refused.value.message in (LOST, UNFIT), (fn.api_name, block, way)
                tried += 1
        return tried

    assert (
        asyncio.run(all_of_them()) > 1000
        and sum(isinstance(b, FILES) for fn in built.fns.values() for b in fn.inputs) >= 5
    )


def test_an_upload_belongs_to_its_visitor(address, visitor, secret):
    given = visitor.upload(secret)
    path = f"{API}/file={given['path']}"
    assert visitor.http.get(path).content == secret.read_bytes()
    stranger = Visitor(address)
    assert stranger.http.get(path).status_code == 403
    same = stranger.upload(secret)  # who has the picture may have it
    assert same["path"] == given["path"] and stranger.http.get(path).status_code == 200
    for other in (secret, os.path.dirname(given["path"]), given["path"] + "/../x", "/etc/passwd", "a", "%00"):
        assert visitor.http.get(f"{API}/file={other}").status_code in (403, 404)
    stranger.close()


def test_results_are_the_visitors_and_the_page_translates_through_this_protocol(visitor, address, tmp_path):
    handler = visitor.handler("go", "click")
    given = visitor.upload(photo(tmp_path / "bird.png", (40, 30)))
    done = visitor.run(handler, visitor.values(handler, model="both-ways", input=given))
    assert done["success"], done
    shown = json.loads(done["output"]["data"][0])["pictures"][0]["after"]
    path = shown.removeprefix("gradio_api/file=")
    assert Image.open(io.BytesIO(visitor.http.get(f"{API}/file={path}").content)).size == (40, 30)
    stranger = Visitor(address)
    assert stranger.http.get(f"{API}/file={path}").status_code == 403
    stranger.close()


def test_memory_comes_back_after_the_largest_pictures(visitor, models, tmp_path):
    """Of ten, each 18 MB as float32; forty megapixels are tried by `benchmarks.load --largest 10`."""
    psutil = pytest.importorskip("psutil")
    server = psutil.Process(int((models.parent / "app.pid").read_text()))
    large, larger = tmp_path / "large.bmp", tmp_path / "larger.bmp"
    Image.linear_gradient("L").resize((1500, 1000)).convert("RGB").save(large)
    Image.new("RGB", (1500, 1001)).save(larger)
    handler, after = next(h for h in visitor.handlers if h["api_name"] == "translate"), []
    for _ in range(10):
        done = visitor.run(handler, [visitor.upload(large), "sketch", "AtoB", "trained", True])
        assert done["success"], done
        after.append(server.memory_info().rss)
    assert after[-1] < 1.15 * after[0], [value >> 20 for value in after]
    refused = visitor.run(handler, [visitor.upload(larger), "sketch", "AtoB", "trained", True])
    assert not refused["success"] and "the most is" in str(refused["output"]), refused


def test_nothing_runs_past_the_queue(visitor):
    body = {"data": [], "session_hash": visitor.session}
    for handler in visitor.handlers:
        assert handler["queue"] is not False
        name, asked = handler["api_name"], {**body, "fn_index": handler["id"]}
        assert visitor.http.post(f"{API}/run/{name}", json=asked).status_code == 404
        if handler["api_visibility"] != "public":
            assert visitor.http.post(f"{API}/call/{name}", json=body).status_code == 400
    for route in ("/api/translate", "/run/predict", "/api/predict/", "/run/translate/", "/call/v2/translate"):
        assert visitor.http.post(API + route, json=body).status_code in (400, 404)


@pytest.mark.parametrize(
    "route",
    [
        *(
            "/gradio_api/vibe-code/",
            "/gradio_api/proxy=http://127.0.0.1:1/x",
            "/gradio_api/runs",
            "/monitoring",
        ),
        *("/gradio_api/file=http://127.0.0.1:1/x", "/gradio_api/dev/reload", "/gradio_api/component_server"),
        *("/gradio_api/stream/a/b/1/playlist.m3u8", "/gradio_api/process_recording", "/gradio_api/token"),
        *("/custom_component/1/client/component/index.js", "/docs", "/redoc", "/openapi.json", "/pwa_icon"),
    ],
)
def test_routes_that_the_page_does_not_need_are_shut(visitor, route):
    assert visitor.http.get(route).status_code in (403, 404)
    assert visitor.http.post(route, json={}).status_code in (403, 404, 405, 422)


ODD = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("both-ways")),
    *(st.just("[[NaN, 1, 1]]"), st.just('{"shapes": [[1e30, 1, 1, 1, Infinity]]}'), st.just("[" * 3000)),
    *(st.just({"path": "/etc/passwd", "meta": None}), st.just({"path": 1}), st.just({"url": "data:,x"})),
)
VALUES = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def test_the_gate_knows_every_control_and_takes_what_it_shows(built):
    """A tab whose control was of no known kind refused all its own requests."""
    from translate.ui import values

    kinds = values.TEXT + values.NUMBER + values.SWITCH + values.CHOICE + values.SEVERAL
    kinds += values.FILES + values.NUMBERED + (gr.State,)
    for block in {block for fn in built.fns.values() for block in fn.inputs}:
        assert isinstance(block, kinds), f"{type(block).__name__} {block.elem_id}"
        if isinstance(block, values.FILES + values.NUMBERED) or callable(getattr(block, "value", None)):
            continue
        values.fit(block, getattr(block, "value", None), built.owners)


def test_several_choices_are_a_list(built):
    from translate.ui.values import Refused, fit

    several = next(b for b in built.blocks.values() if isinstance(b, gr.CheckboxGroup))
    assert fit(several, ["sketch", "both-ways"], built.owners) == ["sketch", "both-ways"]
    for value in ("sketch", [[1]], [None], {"a": 1}, ["x"] * 10_000):
        with pytest.raises(Refused):
            fit(several, value, built.owners)


def test_a_choice_of_one_is_no_list(built):
    from translate.ui.values import Refused, fit

    choice = next(b for b in built.blocks.values() if isinstance(b, gr.Dropdown))
    assert fit(choice, "sketch", built.owners) == "sketch"
    for value in (["sketch"], [], [[1]], {"a": 1}, True):
        with pytest.raises(Refused):
            fit(choice, value, built.owners)


@settings(
    max_examples=int(os.environ.get("FUZZ", 60)),
    deadline=None,
    derandomize="FUZZ" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_wrong_values_give_sentences(built, state, data):
    """FUZZ=20000 pytest tests/test_gate.py -k wrong_values: as many different ones."""
    from translate.ui.values import Refused

    fn = data.draw(st.sampled_from(list(built.fns.values())))
    values = [data.draw(VALUES) for _ in fn.inputs]
    if data.draw(st.integers(0, 9)) == 0:
        values = data.draw(st.lists(VALUES, max_size=12) | VALUES)
    selected = st.fixed_dictionaries({"index": VALUES, "value": VALUES})
    with contextlib.suppress(Refused):  # anything else would be a traceback in the log
        asyncio.run(ask(built, fn, values, data.draw(st.none() | VALUES | selected), state))


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{",
            b"[]",
            b"null",
            b"[" * 100_000,
            b'{"data": 1}',
            b"\xff\xfe",
            b'{"data": [], "fn_index": "a"}',
        ),
        *(b'{"data": [], "fn_index": 1e9, "session_hash": "a"}', b'{"data": [], "fn_index": 0}'),
        *(b'{"data": [], "fn_index": 0, "session_hash": "../a"}', b'{"data": [], "batched": true}'),
        b'{"data": [], "fn_index": 0, "session_hash": "a", "trigger_id": [1]}',
        b" " * (5 << 20),
    ],
)
def test_malformed_requests_are_refused(visitor, body):
    for route in ("queue/join", "call/translate", "cancel", "reset"):
        assert 400 <= visitor.http.post(f"{API}/{route}", content=body, headers=JSON).status_code < 500


def test_odd_requests_for_uploads_and_streams(visitor):
    tries = [(b"", "multipart/form-data"), (b"x", "multipart/form-data; boundary=y"), (b"x", "text/plain")]
    tries += [
        (
            b"--y\r\nContent-Disposition: form-data; name=files\r\n\r\nx\r\n--y--",
            "multipart/form-data; boundary=y",
        )
    ]
    for body, kind in tries:
        answer = visitor.http.post(f"{API}/upload", content=body, headers={"content-type": kind})
        assert answer.status_code < 500 or answer.status_code == 507
    for name in ("../../x.png", "a\nb.png", "\u202egnp.exe", "." * 300, "CON", ""):
        answer = visitor.http.post(f"{API}/upload", files={"files": (name, b"x")})
        assert answer.status_code < 500
    for stream in ("queue/data", "queue/data?session_hash=nobody", "call/translate/0123"):
        assert visitor.http.get(f"{API}/{stream}").status_code == 404


def test_a_browsers_stream_is_open_for_what_it_asks_next(address):
    """Gradio ended it after the first answer, and who asked in that moment never heard the second."""
    one = Visitor(address)
    handler = next(h for h in one.handlers if any(event == "load" for _, event in h["targets"]))

    def ask():
        joined = one.join(handler, one.values(handler), trigger_id=0, event_data=None)
        return joined.json()["event_id"]

    wanted, heard = [ask()], []
    where = f"{API}/queue/data?session_hash={one.session}"
    with one.http.stream("GET", where, headers={"accept": "text/event-stream"}) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            assert message.get("msg") != "close_stream"
            if message.get("msg") == "process_completed":
                assert message["success"]
                heard.append(message["event_id"])
                if len(heard) == 3:
                    break
                wanted.append(ask())
    assert heard == wanted
    one.close()


def test_the_public_endpoints_through_gradios_client(address, tmp_path):
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(address, verbose=False, download_files=tmp_path)
    given = gradio_client.handle_file(photo(tmp_path / "bird.png", (40, 30)))
    assert Image.open(client.predict(given, "both-ways", api_name="/translate")).size == (40, 30)
    pictures = client.predict("noise", 3, 7, api_name="/sample")
    assert [Path(path).name for path in pictures] == ["noise-1.png", "noise-2.png", "noise-3.png"]
    with pytest.raises(Exception, match="there is no model 'absent'"):
        client.predict(given, "absent", api_name="/translate")
    with pytest.raises(Exception, match="count.*must be 1 to 64|number of pictures must be 1 to 64"):
        client.predict("noise", 1000, 7, api_name="/sample")
    public = client.view_api(return_format="dict")["named_endpoints"]
    assert set(public) == {"/translate", "/enhance", "/caption", "/sample"}


def test_wrong_passwords_make_the_next_try_wait():
    from translate.ui.gate import Patience

    patience, now = Patience(), 100.0
    pauses = []
    for _ in range(10):
        patience.note("host", False, now)
        pauses.append(patience.pause("host", now))
    assert pauses[:4] == [0.5, 1, 2, 4] and pauses[-1] == 30
    assert patience.pause("other", now) == 0 == patience.pause("host", now + 31)
    patience.note("host", True, now)
    assert patience.pause("host", now) == 0


def test_tries_of_one_address_wait_for_each_other():
    from translate.ui.gate import MOST_TRIES, Patience

    async def tries():
        patience = Patience()
        patience.note("host", False, time.monotonic())
        under_way, most, refused = 0, 0, 0

        async def one():
            nonlocal under_way, most, refused
            async with patience.turn("host") as first:
                if not first:
                    refused += 1
                    return
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0.001)
                under_way -= 1

        start = time.monotonic()
        await asyncio.gather(*[one() for _ in range(MOST_TRIES + 3)])
        return most, refused, time.monotonic() - start, patience.turns

    most, refused, seconds, left = asyncio.run(tries())
    assert (most, refused, left) == (1, 3, {}) and seconds > 0.4
