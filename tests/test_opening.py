"""Opening the page: worked out once, kept in memory, nobody's login passed by."""

# ruff: noqa: F811  fixtures come from the other files

import asyncio
import json
import os
import shutil

import httpx
import pytest

from tests.test_page import models  # noqa: F401
from tests.visitor import API, Visitor


@pytest.fixture
def built(shelf):
    from translate.ui.opening import Opening
    from translate.ui.page import build

    page = build(shelf)
    return page, Opening(page, shelf.stamp)


def part(config, elem_id):
    return next(c for c in config["components"] if c["props"].get("elem_id") == elem_id)


def names(config):
    """Of the models that tab Translate offers."""
    return [card["name"] for card in json.loads(part(config, "model")["props"]["props"]["cards"])]


def loads(page, config):
    calls = config["dependencies"]
    return [call for call in calls if (page._id, "load") in [tuple(t) for t in call["targets"]]]


def test_an_opening_is_what_a_browser_would_have_after_its_load_and_change_events(built, shelf):
    page, opening = built
    before = page.get_config_file()
    assert loads(page, before) and not names(before)
    asked = len(loads(page, before))
    assert asyncio.run(opening.ready()) == 1 and len(loads(page, page.config)) < asked / 2
    assert set(names(page.config)) == {entry.name for entry in shelf.translators()}
    assert part(page.config, "model")["props"]["value"] == names(page.config)[0]
    assert part(page.config, "model")["props"]["props"]["heading"], "what was not told stays"
    assert part(page.config, "description")["props"]["value"], "the change of the model was followed, too"
    several = part(page.config, "several-model")
    assert opening.session()[several["id"]].choices == [tuple(c) for c in several["props"]["choices"]] != []
    assert len(page.config["dependencies"]) == len(before["dependencies"]), "numbers stay"


def test_a_new_model_makes_a_new_opening_and_nothing_else_does(built, models, shelf, tmp_path):
    page, opening = built
    root = tmp_path / "models"
    shutil.copytree(models / "sketch", root / "one")
    shelf.folders = [root]

    async def openings():
        numbers = [await opening.ready(), await opening.ready()]
        shutil.copytree(models / "sketch", root / "two")
        return [*numbers, await opening.ready()]

    assert asyncio.run(openings()) == [1, 1, 2]
    assert names(page.config) == ["one", "two"]


def test_handlers_that_compute_or_ask_who_is_there_are_left_to_browsers(built):
    from translate.ui.opening import same_for_all

    page, _ = built
    fns = page.fns.values()
    assert not any(same_for_all(fn) for fn in fns if fn.concurrency_id == "work")
    assert {same_for_all(fn) for fn in fns if fn.concurrency_id == "quick"} == {True, False}


@pytest.fixture(scope="module")
def served(models, tmp_path_factory):
    """serve(**how): the address of an open page in this process."""
    from translate.ui.opening import Opening, Sessions
    from translate.ui.page import Guarded, build
    from translate.ui.shelf import Shelf

    root = tmp_path_factory.mktemp("some")
    for name, copied in (("a", "sketch"), ("b", "noise")):
        shutil.copytree(models / copied, root / name)
    pages, before = [], os.environ.get("GRADIO_TEMP_DIR")

    def serve(**how):
        os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
        shelf = Shelf([root])
        page = build(shelf)
        opening = Opening(page, shelf.stamp)
        guarded = Guarded(page, opening)
        _, address, _ = page.launch(
            prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False, _app=guarded, **how
        )
        page.app.state_holder = Sessions(page, opening)
        pages.append(page)
        return address.rstrip("/")

    yield serve
    for page in pages:
        page.close(verbose=False)
    os.environ.pop("GRADIO_TEMP_DIR") if before is None else os.environ.update(GRADIO_TEMP_DIR=before)


@pytest.fixture(scope="module")
def address(served):
    return served()


def test_the_second_answer_comes_from_memory_in_each_encoding(address):
    with httpx.Client(base_url=address) as client:
        whole = client.get("/", headers={"accept-encoding": "identity"})
        for encoding in ("br", "gzip"):
            again = client.get("/", headers={"accept-encoding": encoding})
            assert again.headers["content-encoding"] == encoding and again.text == whole.text
            assert again.headers["vary"] == "Accept-Encoding" and len(again.content) > 10 * int(
                again.headers["content-length"]
            )
        known = client.get("/", headers={"if-none-match": whole.headers["etag"]})
        assert known.status_code == 304 and not known.content
        assert client.get("/?deep_link=x&a=b").text == whole.text
        script = whole.text.partition('src="./assets/')[2].partition('"')[0]
        assert "immutable" in client.get(f"/assets/{script}").headers["cache-control"]
        assert client.get("/assets/absent-01234567.js").status_code == 404
        assert client.get("/static/../../app.py").status_code == 404
        other = client.get("/", headers={"host": "example.org"})
        assert "example.org" in other.text and "example.org" not in whole.text, "each name has its own"


def test_each_browser_gets_a_cookie_of_its_own_beside_the_kept_answer(address):
    cookies = {httpx.get(address).headers["set-cookie"].partition(";")[0] for _ in range(3)}
    assert len(cookies) == 3
    assert "set-cookie" not in httpx.get(address, headers={"cookie": cookies.pop()}).headers
    mine = httpx.get(address, headers={"cookie": "translate-visit=everybody"})
    assert "set-cookie" in mine.headers, "nobody is everybody"


def test_a_visitor_works_with_what_the_opening_gave(address):
    visitor = Visitor(address).load()
    handler, name = visitor.handler("several-model", "change"), "several-model"
    assert visitor.run(handler, visitor.values(handler, **{name: "a"}))["success"], "a choice that it gave"
    assert not visitor.run(handler, visitor.values(handler, **{name: "absent"}))["success"]
    shown = next(iter(visitor.components[visitor.named("examples")]["props"]["value"]))["image"]["path"]
    stranger = httpx.Client(base_url=address)
    assert stranger.get(f"{API}/file={shown}").status_code == 200, "thumbnails are everybody's"
    stranger.close()
    visitor.close()


def test_what_is_kept_is_not_given_to_who_has_not_signed_in(served):
    address = served(auth=("me", "secret"))
    with httpx.Client(base_url=address) as me, httpx.Client(base_url=address) as stranger:
        assert "auth_required" in me.get("/").text
        assert me.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
        page, config = me.get("/"), me.get("/config")
        assert "auth_required" not in page.text and config.json()["username"] == "me"
        file = next(iter(part(config.json(), "examples")["props"]["value"]))["image"]["path"]
        assert me.get(f"{API}/file={file}").status_code == 200 == me.get(f"{API}/file={file}").status_code
        assert "auth_required" in stranger.get("/").text
        assert stranger.get("/config").status_code == 401 == stranger.get(f"{API}/file={file}").status_code
        me.cookies.clear()
        assert me.get("/config").status_code == 401
