"""translate.inference.pipeline, .catalog and .tiling on real (tiny) model folders."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import World
from translate.config import UserError
from translate.inference import images, sixteen, tiling
from translate.inference.catalog import Entry, entries, locate
from translate.inference.pipeline import Pipeline
from translate.inference.tiling import pad, reflect
from translate.probe import Choice
from translate.task import DataInfo, find
from translate.training.checkpoint import write_model
from translate.training.observers import preview_batch


def model(folder, task="pix2pix", a=3, b=3, kind="paired", **settings):
    """A small untrained model folder."""
    torch.manual_seed(0)
    Task = find(task)
    channels = {"image": a} if kind == "images" else {"a": a, "b": b}
    names = {} if kind == "images" else {"a": "line", "b": "emoji"}
    info = DataInfo(kind=kind, name="somewhere", count=3, channels=channels, names=names)
    write_model(folder, Task(dataclasses.replace(Task.tiny(), **settings), info), 7)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model(root / "rgb")
    model(root / "grey-to-rgb", a=1)
    model(root / "rgb-to-grey", b=1)
    model(root / "both-ways", "cyclegan", kind="unpaired")
    model(root / "unet", generator="unet128", size=128)
    model(root / "noise", "dcgan", kind="images")
    return root


def noise(width, height, mode="RGB"):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)


def test_reflect_mirrors_as_often_as_needed():
    assert reflect(4, 0, 4).tolist() == [0, 1, 2, 3]
    assert reflect(3, 2, 9).tolist() == [2, 1, 0, 1, 2, 1, 0, 1, 2]
    assert reflect(1, 3, 6).tolist() == [0] * 6
    x = torch.rand(1, 2, 20, 30)
    expected = torch.nn.functional.pad(x, (1, 1, 6, 6), mode="reflect")
    padded, window = pad(x, 32)
    assert torch.equal(padded, expected) and torch.equal(padded[(..., *window)], x)
    assert pad(torch.rand(1, 3, 200, 300), 256)[0].shape == (1, 3, 256, 512)


@pytest.mark.parametrize("name", ["rgb", "unet"])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (1, 300), (33, 65), (128, 128)])
def test_any_size_comes_back_at_that_size(folder, name, size):
    [out] = Pipeline.from_pretrained(folder / name)(image=noise(*size))
    assert out.size == size and out.mode == "RGB"


@pytest.mark.parametrize(
    "name,mode,out",
    [("grey-to-rgb", "RGB", "RGB"), ("rgb-to-grey", "RGB", "L"), ("rgb", "L", "RGB"), ("rgb", "LA", "RGBA")],
)
def test_channels_follow_the_model_and_alpha_the_picture(folder, name, mode, out):
    image = noise(20, 24, mode)
    [result] = Pipeline.from_pretrained(folder / name)(image=image)
    assert result.mode == out and result.size == (20, 24)
    if mode == "LA":
        assert np.array_equal(np.asarray(result)[..., 3], np.asarray(image)[..., 1])
        [flat] = Pipeline.from_pretrained(folder / name)(image=image, keep_alpha=False)
        assert flat.mode == "RGB"


def test_result_equals_the_network_on_a_fitting_picture(folder):
    pipeline = Pipeline.from_pretrained(folder / "rgb")
    picture = images.decode(noise(64, 32))
    with torch.no_grad():
        expected = pipeline.task(image=picture.tensor)
    assert (pipeline.translate(picture).tensor - expected).abs().max() < 1e-5


def test_sixteen_bits_stay_sixteen(folder):
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 30, 3)).astype(np.uint16)
    picture = images.decode(sixteen.png(pixels, None))
    result = Pipeline.from_pretrained(folder / "rgb").translate(picture)
    data = images.encode(result.tensor, result, result.format)
    assert data[24] == 16, "the PNG header says 16 bits"
    assert len(np.unique(images.decode(data).tensor)) > 300, "more values than 8 bits have"


def test_several_pictures_and_both_directions(folder):
    pipeline = Pipeline.from_pretrained(folder / "both-ways")
    assert pipeline.directions == {"line → emoji": "AtoB", "emoji → line": "BtoA"}
    there = pipeline(image=[noise(40, 40), noise(50, 30)])
    back = pipeline(image=[noise(40, 40), noise(50, 30)], direction="BtoA")
    assert [i.size for i in there] == [(40, 40), (50, 30)] and there[0].tobytes() != back[0].tobytes()
    with pytest.raises(UserError, match="did you mean AtoB"):
        pipeline(image=noise(9, 9), direction="AtoC")
    with pytest.raises(UserError, match="no direction"):
        Pipeline.from_pretrained(folder / "rgb")(image=noise(9, 9), direction="BtoA")


def test_samples_follow_from_the_seed(folder):
    pipeline = Pipeline.from_pretrained(folder / "noise")
    first, again = pipeline(n=3, seed=5), pipeline(n=3, seed=5)
    assert [i.tobytes() for i in first] == [i.tobytes() for i in again]
    assert pipeline(n=3, seed=6)[0].tobytes() != first[0].tobytes()
    longer = pipeline.sample(20, seed=5)
    close = [
        (a.tensor - b.tensor).abs().max() < 1e-4
        for a, b in zip(pipeline.sample(3, seed=5), longer, strict=False)
    ]
    assert all(close) and len(longer) == 20
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    pipeline(n=1)
    assert torch.equal(torch.rand(1), expected), "the caller's random state is left alone"


def test_noise_in_use_is_reproducible(tmp_path):
    pipeline = Pipeline.from_pretrained(
        model(tmp_path / "m", generator="unet256", size=256, channels=2, noise_in_use=True)
    )
    one, two = (pipeline(image=noise(64, 64), seed=3)[0].tobytes() for _ in range(2))
    assert one == two and pipeline(image=noise(64, 64), seed=4)[0].tobytes() != one


def test_wrong_use_is_a_sentence(folder):
    with pytest.raises(UserError, match="noise"):
        Pipeline.from_pretrained(folder / "noise")(image=noise(8, 8))
    with pytest.raises(UserError, match="give image="):
        Pipeline.from_pretrained(folder / "rgb")()
    with pytest.raises(UserError, match="translate sample"):
        Pipeline.from_pretrained(folder / "noise").translate(images.decode(noise(8, 8)))
    with pytest.raises(UserError, match="device"):
        Pipeline.from_pretrained(folder / "rgb", device="nonsense")


def test_a_model_gone_wrong_says_so(folder):
    pipeline = Pipeline.from_pretrained(folder / "rgb")
    next(pipeline.task.parameters()).data.fill_(float("nan"))
    with pytest.raises(UserError, match="no numbers"):
        pipeline(image=noise(8, 8))


def test_work_size(folder):
    pipeline = Pipeline(Pipeline.from_pretrained(folder / "unet").task)
    seen = []
    generate = pipeline.task.generate
    pipeline.task.generate = lambda image: seen.append(image.shape) or generate(image=image)
    for work_size in (None, 0, 200):
        [out] = pipeline(image=noise(300, 200), work_size=work_size)
        assert out.size == (300, 200)
    assert [tuple(shape[-2:]) for shape in seen] == [(128, 128), (256, 384), (256, 256)]
    assert pipeline.usual_size == 128 and Pipeline.from_pretrained(folder / "rgb").usual_size == 0


@pytest.mark.parametrize(("measured", "fast"), [(39.9, False), (40.1, True)])
def test_bf16_needs_40_decibels(measured, fast, folder, tmp_path, monkeypatch):
    def choose(key, record, ways, *_, **__) -> Choice:
        return Choice(next((way for way in ways if way.bf16), ways[0]))  # it is the fastest, where allowed

    monkeypatch.setattr("translate.inference.engines.choose", choose)
    model(tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(facts | {"bf16_psnr": measured}))
    assert Pipeline.from_pretrained(tmp_path / "run").bf16 == fast


def test_a_finished_run_has_measured_its_bf16(learn, folder):
    """PSNR of the same pictures in both precisions, of the worse direction; nothing for noise."""
    Task, world = find("cyclegan"), World("unpaired", 16)
    run = learn(Task, world, steps=1).config.output
    facts = json.loads((run / "config.json").read_text())
    exact, fast = (Pipeline.from_pretrained(run, precision=p) for p in ("fp32", "bf16"))
    found = []
    batch = preview_batch(world, 4)
    for key, direction in (("a", "AtoB"), ("b", "BtoA")):
        image = batch[key].contiguous(memory_format=torch.channels_last)  # as served: kernels round alike
        with torch.no_grad():
            slow = exact.task(image=image, direction=direction)
            with torch.autocast("cpu", torch.bfloat16):
                quick = fast.task(image=image, direction=direction).float()
        found.append(-10 * float(((slow - quick) / 2).square().mean().log10()))
    assert facts["bf16_psnr"] == pytest.approx(min(found), abs=0.1) and 20 < min(found) < 90
    run = learn(find("dcgan"), World("images", 16), steps=1, output=run.parent / "noise").config.output
    assert "bf16_psnr" not in json.loads((run / "config.json").read_text())


def test_bf16_is_close_to_fp32(folder):
    image = noise(64, 64)
    [exact] = Pipeline.from_pretrained(folder / "rgb", precision="fp32")(image=image)
    [fast] = Pipeline.from_pretrained(folder / "rgb", precision="bf16")(image=image)
    error = (np.asarray(exact).astype(float) - np.asarray(fast)) / 255
    assert 0 < (error**2).mean() < 1e-3
    assert not Pipeline.from_pretrained(folder / "rgb").bf16, "auto needs a measurement"


@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(upsample="resize"),
        dict(norm="batch"),
        dict(generator="unet128", size=128),
        dict(norm="none"),
    ],
)
def test_tiles_equal_the_whole(tmp_path, settings):
    pipeline = Pipeline.from_pretrained(model(tmp_path / "m", **settings))
    picture = images.decode(noise(300, 200))
    whole = pipeline.translate(picture, work_size=0).tensor
    seen = []
    pipeline.whole_pixels, pipeline.core = 0, 64
    tiles = pipeline.translate(picture, work_size=0, progress=lambda *at: seen.append(at)).tensor
    assert tiles.shape == whole.shape and len(seen) > 5 and seen[-1][0] == seen[-1][1] == len(seen)
    assert (tiles - whole).abs().max() < 1 / 255 / 4


def test_tiles_beyond_one_group_equal_the_whole_under_the_same_statistics(folder, monkeypatch):
    groups = []

    class Recorded(tiling.InStep):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            groups.append(self)

    monkeypatch.setattr(tiling, "InStep", Recorded)
    pipeline = Pipeline.from_pretrained(folder / "rgb")
    generate, x = pipeline.task.generate, images.decode(noise(256, 192)).tensor
    everything = (slice(0, 192), slice(0, 256))
    with torch.no_grad():
        tiles = tiling.tiled(pipeline.task, generate, x, stride=4, margin=60, core=64, group_pixels=90_000)
        statistics = groups[0].pooled
        alone = tiling.InStep([tiling.Tile(everything, everything)], statistics)
        with tiling.shared_norms(pipeline.task):
            [(_, whole)] = alone.run(lambda _: generate(x))
        assert len(groups[0].tiles) == 2 and len(groups) > 10
        assert (tiles - whole).abs().max() < 1e-3 < (tiles - generate(x)).abs().max()


def test_a_failing_tile_is_reported_and_leaves_the_network_usable(folder):
    pipeline = Pipeline.from_pretrained(folder / "rgb")
    calls = []

    def generate(x):
        calls.append(1)
        if len(calls) == 3:
            raise UserError("third tile")
        return pipeline.task(image=x)

    x = torch.rand(1, 3, 128, 128)
    with pytest.raises(UserError, match="third tile"), torch.no_grad():
        tiling.tiled(pipeline.task, generate, x, stride=4, margin=16, core=32)
    assert pipeline(image=noise(16, 16))[0].size == (16, 16)


def test_catalog_finds_names_folders_and_suggests(folder, tmp_path):
    assert [e.name for e in entries([folder])] == [
        "both-ways",
        "grey-to-rgb",
        "noise",
        "rgb",
        "rgb-to-grey",
        "unet",
    ]
    assert locate("rgb", [folder]) == folder / "rgb" and locate(folder / "rgb", []) == folder / "rgb"
    with pytest.raises(UserError, match="did you mean both-ways.*available here: both-ways, grey-to-rgb"):
        locate("both-way", [folder])
    with pytest.raises(UserError, match="none is here yet"):
        locate("anything", [tmp_path])
    with pytest.raises(UserError, match="no config.json"):
        Pipeline.from_pretrained(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        locate(tmp_path / "file")


def test_hub_ids_without_a_network_are_one_sentence(folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        UserError, match="somebody/something could not be fetched.*available here: both-ways"
    ) as caught:
        locate("somebody/something", [folder])
    assert "\n" not in str(caught.value)


def test_cards_describe_models(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\ntags: [x]\n---\n# Name\n\n![preview](preview.png)\n\nTurns **lines** into [emoji](x.md). More."
    )
    entry = Entry("m", tmp_path, {"task": "pix2pix", "info": {"names": {"a": "line", "b": "emoji"}}})
    assert entry.description == "Turns lines into emoji." and entry.card.startswith("![preview]")
    (tmp_path / "README.md").unlink()
    assert entry.description == "pix2pix: line to emoji" and entry.preview is None and entry.examples == []
    told = Entry("m", tmp_path, entry.facts | {"method": "FastCUT"})
    assert told.method == "FastCUT" and told.task == entry.method == "pix2pix"
    (tmp_path / "previews").mkdir()
    for step in (5, 10):
        (tmp_path / "previews" / f"step-{step:08d}.png").touch()
    assert entry.preview.name == "step-00000010.png"


def test_broken_folders_are_left_out_of_the_list(tmp_path):
    good = model(tmp_path / "good")
    for name, text in (("half", "{"), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
        (tmp_path / name / "weights.safetensors").write_bytes(b"x")
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "config.json").write_text((good / "config.json").read_text())
    assert [e.name for e in entries([tmp_path])] == ["good"]
    assert json.loads((good / "config.json").read_text())["steps"] == entries([tmp_path])[0].steps == 7
