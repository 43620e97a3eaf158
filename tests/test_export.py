"""Every method, and every shipped model, as an ONNX file: any batch and size, the same as PyTorch."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import World, build
from translate.config import UserError
from translate.inference.catalog import HERE, entries
from translate.inference.export import Program, mirrored, to_onnx
from translate.inference.pipeline import Pipeline
from translate.task import find, names

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
# One of each network: those of one method and generator differ in their weights alone.
SHIPPED = {
    (
        entry.task,
        json.loads((entry.folder / "config.json").read_text())["config"].get("generator"),
    ): entry.name
    for entry in entries([HERE / "pretrained"])
}
OTHERS = [name for name in names() if name not in {task for task, _ in SHIPPED}]


def run(file, **given):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in given.items()})[0]


@pytest.mark.parametrize("task", OTHERS)
def test_every_method_is_exported(task, tmp_path):
    """`to_onnx` compares other batches, and for translators other sizes, than it traced."""
    method = find(task)
    made = build(method, World(method.data, method.tiny().size)).eval()
    assert to_onnx(made, "AtoB", tmp_path / "m.onnx") < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_operation_that_onnx_lacks_is_named(tmp_path):
    class Sorted(find("gan")):
        def generate(self, noise):
            return super().generate(noise=noise.sort(1).values * torch.searchsorted(noise[0].sort()[0], 0.5))

    task = build(Sorted, World("images", Sorted.tiny().size)).eval()
    with pytest.raises(UserError, match="this model cannot be exported: ONNX has no aten.searchsorted"):
        to_onnx(task, "AtoB", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SHIPPED.values())
def test_every_shipped_model_is_exported(name, tmp_path):
    task = Pipeline.from_pretrained(HERE / "pretrained" / name, "cpu", "fp32").task
    if hasattr(task.config, "sample_steps"):  # each step is the same network again
        object.__setattr__(task.config, "sample_steps", 1)
    assert to_onnx(task, "AtoB", tmp_path / "m.onnx") < 1e-3


def test_an_enlarger_takes_any_size_and_batch(tmp_path):
    """It crashed for lack of a domain called a."""
    method = find("srgan")
    task = build(method, World("lowres", 32)).eval()
    to_onnx(task, "AtoB", tmp_path / "m.onnx")
    for shape in ((1, 3, 9, 13), (4, 3, 20, 8)):
        x = torch.rand(shape) * 2 - 1
        with torch.no_grad():
            assert np.abs(run(tmp_path / "m.onnx", picture=x) - task(image=x).numpy()).max() < 1e-4


def test_sizes_are_mirrored_up_to_the_stride_and_cut_again():
    x = torch.arange(5.0).view(1, 1, 1, 5)
    assert mirrored(x, 3, 4).flatten().tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    task = build(find("cyclegan"), World("unpaired", 16)).eval()
    program = Program(task, "BtoA")
    picture = torch.rand(1, 3, 21, 18) * 2 - 1
    with torch.no_grad():
        made, whole = program(picture), task(image=picture[..., :20, :16], direction="BtoA")
    assert made.shape == picture.shape
    with torch.no_grad():
        assert torch.equal(program(picture[..., :20, :16]), whole)


def test_captions_come_as_pieces_of_the_words_in_the_file(tmp_path):
    task = build(find("gan_cls"), World("captions", find("gan_cls").tiny().size)).eval()
    to_onnx(task, "AtoB", tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    words = json.loads(facts["vocabulary"])
    captions, noise = ["a bird number 3", "a bird"], torch.randn(2, *task.noise_shape)
    rows = [[words.index(word) for word in ["[CLS]", *caption.split()]] for caption in captions]
    pieces = torch.tensor([row + [0] * (48 - len(row)) for row in rows])
    made = run(tmp_path / "m.onnx", pieces=pieces, noise=noise)
    with torch.no_grad():
        assert np.abs(made - task(text=captions, noise=noise).numpy()).max() < 1e-4


def test_a_model_that_draws_inside_is_refused(tmp_path):
    from translate.inference import export

    class Drawing(find("dcgan")):
        def generate(self, noise):
            return super().generate(noise) + torch.rand(())

    task = build(find("dcgan"), World("images", 16)).eval()
    task.__class__ = Drawing
    with pytest.raises(UserError, match="the ONNX file differs from PyTorch"):
        export.to_onnx(task, "AtoB", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
