"""Films and zips: frames of GIFs and videos, colours that hold still, archives that are read with care."""

# ruff: noqa: F811  fixtures come from the other file

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_page import models, photo  # noqa: F401
from translate.config import UserError
from translate.inference import clips, images
from translate.inference.pipeline import Pipeline


def moving(path, count=4, size=(48, 32), **options):
    """A still picture into whose right edge something bright comes."""
    random = np.random.default_rng(0)
    still = random.integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    frames = []
    for number in range(count):
        frame = still.copy()
        frame[:, size[0] - 2 * number :] = 255
        frames.append(Image.fromarray(frame))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, loop=0, **options)
    return path


@pytest.fixture(scope="module")
def pipeline(models):
    return Pipeline.from_pretrained(models / "both-ways")


def test_a_gif_comes_out_as_a_gif_with_its_frames_and_times(pipeline, tmp_path):
    told = []
    clip = clips.Clip(moving(tmp_path / "a.gif"), 10**6)
    data, suffix = clip.translated(pipeline.task, pipeline.translate, lambda *at: told.append(at))
    made = Image.open(io.BytesIO(data))
    assert (suffix, made.format, made.n_frames, made.size) == (".gif", "GIF", 4, (48, 32))
    assert made.info["duration"] == 80 and told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert clips.is_clip(tmp_path / "a.gif") and not clips.is_clip(photo(tmp_path / "b.png"))


def test_held_statistics_keep_what_stands_still_still(pipeline, tmp_path):
    """What comes in on the right changes the left by instance norm alone: held, not at all."""
    frames = list(clips.Clip(moving(tmp_path / "a.webp", size=(96, 32), lossless=True), 10**6))
    steady = clips.Steady()
    for frame in frames[::3]:
        with steady.frame(pipeline.task):
            pipeline.translate(frame)
    steady.hold()

    def flicker(held):
        made = []
        for frame in frames:
            if held:
                with steady.frame(pipeline.task):
                    made.append(pipeline.translate(frame).tensor[..., :8])
            else:
                made.append(pipeline.translate(frame).tensor[..., :8])
        return float((torch.cat(made[1:]) - torch.cat(made[:-1])).abs().mean())

    own, held = flicker(False), flicker(True)
    assert own > 1e-3 and held < own / 20
    again = pipeline.translate(frames[0]).tensor
    assert torch.equal(again, pipeline.translate(frames[0]).tensor), "outside, the network is as it was"


def test_a_video_comes_out_as_a_video(pipeline, tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in (10, 90, 170):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data, suffix = clips.Clip(path, 10**6).translated(pipeline.task, pipeline.translate)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (suffix, stream.codec_context.name, stream.average_rate) == (".mp4", "h264", 12)
        assert [(f.width, f.height) for f in container.decode(stream)] == [(48, 32)] * 3
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="b.mp4 cannot be read as a video"):
        clips.Clip(tmp_path / "b.mp4", 10**6)
    with pytest.raises(UserError, match="too large"):
        clips.Clip(path, 1000)


def packed(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return path


def test_a_zip_is_read_with_care(tmp_path, monkeypatch):
    picture = photo(tmp_path / "p.png").read_bytes()
    names = {"../../up.png": picture, "/abs.png": picture, "a\\b.png": picture, "notes.txt": b"x"}
    names |= {"__MACOSX/._a.png": b"x", ".hidden.png": b"x", "deep/a.png": picture, "deep/er/a.png": picture}
    found = clips.unpacked(packed(tmp_path / "a.zip", **names), tmp_path / "out", 9)
    assert [path.name for path in found] == ["up.png", "abs.png", "b.png", "a.png", "a.png"]
    assert all((tmp_path / "out") in path.resolve().parents for path in found)
    assert not (tmp_path.parent / "up.png").exists()
    for data, most, sentence in (
        (names, 3, "more than 3 pictures"),
        ({"notes.txt": b"x"}, 9, "holds no pictures"),
        ({"bomb.png": bytes(5 << 20)}, 9, "unpacks to more than"),
    ):
        monkeypatch.setattr(clips, "MOST_PACKED", 4 << 20)
        with pytest.raises(UserError, match=sentence):
            clips.unpacked(packed(tmp_path / "b.zip", **data), tmp_path / f"out-{most}{len(data)}", most)
    (tmp_path / "c.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:300])
    with pytest.raises(UserError, match="c.zip cannot be unpacked"):
        clips.unpacked(tmp_path / "c.zip", tmp_path / "out-c", 9)


def test_the_tab_takes_zips_and_films_and_tells_how_far_it_is(shelf, tmp_path):
    from translate.ui.several import translate_all

    picture = photo(tmp_path / "p.png").read_bytes()
    files = [packed(tmp_path / "a.zip", **{"one.png": picture, "two.png": picture, "bad.png": b"text"})]
    files += [moving(tmp_path / "film.gif"), photo(tmp_path / "last.png")]
    told = []
    batch = translate_all(
        shelf, "both-ways", [str(path) for path in files], report=lambda share, words: told.append(words)
    )
    names = ["one-both-ways.png", "two-both-ways.png", "film-both-ways.gif", "last-both-ways.png"]
    assert [name for _, name in batch.pictures] == names and batch.note.startswith("4 of 5 pictures in")
    assert "bad.png" in batch.note and str(tmp_path) not in batch.note
    with zipfile.ZipFile(batch.archive) as archive:
        assert Image.open(archive.open(names[2])).n_frames == 4
        assert images.decode(archive.read(names[0])).size == (90, 60)
    assert any("picture 4 of 5, frame 3 of 4" in words for words in told)
