"""Translators in other runtimes give the same pictures; what cannot be exported is said."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_pipeline import folder  # noqa: F401  the fixture of small models
from translate.commands.export import export
from translate.config import UserError
from translate.inference.engines import DTYPES, Packed
from translate.inference.pipeline import Pipeline
from translate.probe import Choice, Way


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "direction"), [("both-ways", "BtoA"), ("grey-to-rgb", "AtoB"), ("unet", "AtoB")]
)
def test_onnx_files_translate_like_pytorch(name, direction, folder, tmp_path, capsys):  # noqa: F811
    """At other sizes too, where the network takes any."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "model.onnx"
    export(model=str(folder / name), output=str(file), direction=direction)
    assert "away from PyTorch" in capsys.readouterr().out
    task = Pipeline.from_pretrained(folder / name, precision="fp32").task
    side = (128, 128) if name == "unet" else (44, 64)
    picture = torch.rand(1, 1 if name == "grey-to-rgb" else 3, *side) * 2 - 1
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"picture": picture.numpy()})
    with torch.no_grad():
        ours = task(image=picture, direction=direction).numpy()
    assert np.abs(theirs - ours).max() < 1e-3
    with pytest.raises(UserError, match="model.onnx exists; --overwrite replaces it"):
        export(model=str(folder / name), output=str(file), direction=direction)


@pytest.mark.parametrize(
    ("name", "output", "sentence"),
    [
        ("rgb", "x", "x must end in .onnx"),
        ("rgb", "x.pt", "x.pt must end in .onnx"),
        ("absent", "x.onnx", "no model named"),
    ],
)
def test_what_cannot_be_exported(name, output, sentence, folder, tmp_path):  # noqa: F811
    place = folder / name if name != "absent" else name
    with pytest.raises(UserError, match=sentence):
        export(model=str(place), output=str(tmp_path / output))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["both-ways", "unet"])
def test_openvino_translates_like_pytorch(name, folder, photo):  # noqa: F811
    """And again from its cache, at two sizes; the picture keeps its own."""
    pytest.importorskip("openvino")
    slow = Pipeline.from_pretrained(folder / name, precision="fp32")
    fast = Pipeline.from_pretrained(folder / name, precision="fp32", engine="openvino")
    for picture in (photo, photo.resize((33, 44)), photo):
        [ours], [theirs] = slow(image=picture), fast(image=picture)
        assert theirs.size == picture.size
        assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).max() <= 1
    assert len(fast.engine.compiled) == (1 if name == "unet" else 2)


def test_openvino_takes_models_that_hold_bf16(folder, photo):  # noqa: F811
    """Tracing must not meet autocast."""
    pytest.importorskip("openvino")
    slow = Pipeline.from_pretrained(folder / "rgb", precision="fp32")
    fast = Pipeline.from_pretrained(folder / "rgb", precision="bf16", engine="openvino")
    ours, theirs = (np.asarray(pipeline(image=photo)[0], int) for pipeline in (slow, fast))
    assert np.abs(ours - theirs).mean() < 3


@pytest.mark.parametrize(("digits", "most"), [("float32", 0.1), ("bf16", 6.5)])  # 6.5: 40 dB
@pytest.mark.parametrize(("name", "direction"), [("both-ways", "BtoA"), ("unet", "AtoB"), ("rgb", "AtoB")])
def test_packed_convolutions_are_as_exact_as_others(name, direction, digits, most, folder, photo):  # noqa: F811
    """At the size they were packed for and at others."""
    if not Packed.available(DTYPES[digits]):
        pytest.skip(f"this processor or PyTorch has no {digits} for packed convolutions")
    task = Pipeline.from_pretrained(folder / name, precision="fp32").task
    exact, fast = Pipeline(task), Pipeline(task, choice=Choice(Way(digits, packed=True)))
    assert isinstance(fast.engine, Packed) and exact.engine is None
    for picture in (photo, photo.resize((33, 44)), photo):
        [ours] = fast(image=picture, direction=direction)
        [theirs] = exact(image=picture, direction=direction)
        error = np.asarray(ours, float) - np.asarray(theirs, float)
        assert ours.size == picture.size and np.square(error).mean() < most


def test_a_convolution_that_pads_otherwise_cannot_be_packed():
    task = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ValueError, match="cannot be packed"):
        Packed(task)


def test_openvino_is_for_translators_and_optional(folder, monkeypatch):  # noqa: F811
    with pytest.raises(UserError, match="--engine openvino translates pictures on a CPU; noise needs torch"):
        Pipeline.from_pretrained(folder / "noise", engine="openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="needs openvino, which is not installed: pip install openvino"):
        Pipeline.from_pretrained(folder / "rgb", engine="openvino")
