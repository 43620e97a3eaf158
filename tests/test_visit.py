"""A visit's results: kept as they are, given to nobody else, the oldest forgotten."""

import asyncio
import json
import zipfile
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from tests.test_page import models  # noqa: F401
from translate.config import UserError
from translate.inference import images
from translate.inference.images import Picture


def picture(channels=3, bits=8, alpha=False, size=(20, 30)):
    """Values that a file of so many bits can hold."""
    levels = 2**bits - 1
    x = torch.randint(levels + 1, (1, channels, *size)).float() / levels
    cover = (torch.rand(1, 1, *size) * 3).clamp(0.5, 1) if alpha else None
    tensor = x * 2 - 1 if cover is None else images.over_white(x * 2 - 1, cover)
    return Picture(tensor=tensor, bits=bits, alpha=cover)


@pytest.fixture
def visits(shelf):
    from translate.ui.visit import Visits

    return Visits()


def made(*pictures, **more):
    from translate.ui.visit import Made

    return Made(pictures, "a note", "a stem", "A title", **more)


@pytest.mark.parametrize(
    "about", [{}, dict(channels=1), dict(bits=16), dict(alpha=True), dict(bits=16, alpha=True)]
)
def test_results_are_kept_as_they_are(visits, about):
    given = picture(**about)
    kept = visits.keep("me", made(given, before=given), "here")
    found = visits.find("me", kept.token).picture(0)
    assert (found.bits, found.alpha is None, found.size) == (given.bits, given.alpha is None, given.size)
    assert (found.tensor - given.tensor).abs().max() <= 2.1 / (2**given.bits - 1)
    if not about.get("alpha"):
        assert torch.equal(found.tensor, given.tensor)
    assert images.decode(kept.file(0)).bits == given.bits
    assert Image.open(kept.file(0, "WEBP", 50)).format == "WEBP" and kept.file(0, "JPEG").suffix == ".jpg"
    assert Image.open(kept.shown(0)).size == Image.open(kept.before).size == given.size


def test_several_pictures_are_a_sheet_or_one_of_them(visits):
    kept = visits.keep("me", made(*(picture() for _ in range(4))), "here")
    assert Image.open(kept.file(-1)).size == (62, 42) and kept.file(2).name == "a stem-3.png"
    for number, format, said in ((4, "PNG", "no such picture"), (0, "EXE", "a download is one of")):
        with pytest.raises(UserError, match=said):
            kept.file(number, format)


def test_results_are_the_visitors_own_and_the_oldest_go(visits, monkeypatch):
    import translate.ui.visit as module

    monkeypatch.setattr(module, "MOST", 3)
    mine = [visits.keep("me", made(picture()), "here") for _ in range(4)]
    assert [kept.token for kept in visits.of("me")] == [kept.token for kept in mine[1:]]
    assert not mine[0].folder.exists() and mine[1].folder.exists()
    for visitor, token in (("you", mine[1].token), ("me", mine[0].token), ("me", None), ("me", "../x")):
        with pytest.raises(UserError, match="not there any more"):
            visits.find(visitor, token)
    with pytest.raises(UserError, match="nothing|no result"):
        visits.archive("you", [mine[1].token])
    monkeypatch.setattr(module, "ALL_BYTES", mine[1].bytes * 2)
    visits.keep("you", made(picture()), "here")
    assert visits.of("me") == [] and len(visits.of("you")) == 1 and not mine[3].folder.exists()


def test_an_event_can_name_all_results(visits):
    from types import SimpleNamespace

    from translate.ui.values import plain
    from translate.ui.visit import MOST

    tokens = [visits.keep("me", made(picture(size=(2, 2))), "here").token for _ in range(MOST)]
    assert len(set(tokens)) == MOST and plain(SimpleNamespace(_data={"ids": " ".join(tokens)}))
    with zipfile.ZipFile(visits.archive("me", tokens)) as archive:
        assert len(archive.namelist()) == MOST and archive.namelist()[1] == "a stem-2.png"


def test_of_a_drawing_in_progress_the_last_result_stays(visits):
    kept = [
        visits.keep("me", made(picture()), "here", live=live) for live in (False, True, True, True, False)
    ]
    assert [one.token for one in visits.of("me")] == [kept[at].token for at in (0, 3, 4)]
    visits.keep("me", made(picture()), "elsewhere", live=True)
    assert len(visits.of("me")) == 4


def test_what_the_viewer_is_told(shelf):
    import gradio as gr

    from translate.ui.result import Studio
    from translate.ui.values import VISITOR, Page

    VISITOR.set("me")
    with Page() as page:
        studio = Studio(shelf, page)
        source = gr.Image()
        studio.receive("large", "Larger", "enhance", source, lambda kept: kept.sizes[0][0] > 25)
    kept = studio.visits.keep("me", made(picture(), before=picture(), alt=("words",)), "here")
    told = json.loads(studio.described(kept))
    shown = told["pictures"][0]
    assert told["title"] == "A title" and (shown["width"], shown["height"], shown["alt"]) == (30, 20, "words")
    assert told["onward"] == [["large", "Larger", ""]]
    for address in (shown["after"], shown["before"]):
        path = address.removeprefix("gradio_api/file=")
        assert page.owners.allow(path, "me") and not page.owners.allow(path, "you")
    small = studio.visits.keep("me", made(picture(size=(9, 9))), "here")
    assert json.loads(studio.described(small))["onward"] == []
    assert [one["id"] for one in json.loads(studio.listed("me"))] == [small.token, kept.token]


@pytest.mark.parametrize("gone", (True, False))
def test_a_file_that_went_while_it_was_asked_for_is_no_fault(tmp_path, monkeypatch, gone):
    """The newest of two like results deletes the other just when a browser asks for its picture."""
    import httpx
    from starlette.applications import Starlette
    from starlette.responses import FileResponse
    from starlette.routing import Route

    from translate.ui.gate import Gate
    from translate.ui.values import Owners

    file = tmp_path / "0-after.png"
    file.write_bytes(b"picture")

    def found(request):
        if gone:
            file.unlink()
            return FileResponse(file)
        raise RuntimeError("a fault of ours")

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    owners = Owners()
    owners.add(str(file), "me")
    page = SimpleNamespace(owners=owners, app=SimpleNamespace(auth=None))
    gate = Gate(Starlette(routes=[Route("/gradio_api/file={path:path}", found)]), page, None)

    async def answered():
        client = httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://page")
        async with client:
            return await client.get(f"/gradio_api/file={file}", headers={"cookie": "translate-visit=me"})

    if gone:
        answer = asyncio.run(answered())
        assert answer.status_code == 404 and "detail" in answer.json()
    else:
        with pytest.raises(RuntimeError, match="fault of ours"):
            asyncio.run(answered())
