"""A trained model as an ONNX file, for other programs."""

import contextlib
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from translate import inputs
from translate.config import UserError
from translate.inference.engines import require
from translate.task import Task

CLOSE = 1e-3  # of the range -1 to 1: a fifth of a grey level
NAMES = {"image": "picture", "text": "pieces"}  # of inputs, where they are not those of `generate`


class Program(nn.Module):
    """`generate` as a function of tensors alone: in the order of `task.takes`, batch first, to pictures.

    A translator takes any height and width: what is no multiple of the stride is mirrored up to one inside,
    and cut again. Captions come as the numbers of their pieces, [B, 48], padded with 0; where the encoder is
    one of transformers', as its vectors.
    """

    def __init__(self, task: Task, direction: str):
        super().__init__()
        self.task, self.direction = task, direction
        whole = "image" in task.takes and task.stride >= task.config.size
        self.fixed = whole or "shown" in task.takes  # sees a picture as a whole
        self.names = [NAMES.get(name, name) for name in task.takes]
        if self.frozen:
            self.names = ["sentences" if name == "pieces" else name for name in self.names]

    @property
    def frozen(self) -> bool:
        return bool(getattr(self.task, "frozen", None))

    def forward(self, *given: Tensor) -> Tensor:
        values = dict(zip(self.task.takes, given, strict=True))
        if "text" in values:
            text = values["text"] if self.frozen else self.task.embed(values["text"])
            return self.task.paint(values["noise"], text)
        given = next((values[name] for name in ("image", "frames") if name in values), None)
        if given is None or self.fixed:
            return self.task(direction=self.direction, **values)
        (height, width), stride = given.shape[-2:], self.task.stride
        for name in {"image", "mask", "frames"} & {*values}:
            down = values[name].ndim - 2
            values[name] = mirrored(mirrored(values[name], down, stride), down + 1, stride)
        made, grow = self.task(direction=self.direction, **values), self.task.enlarges
        return made[:, :, : grow * height, : grow * width]

    def example(self, batch: int = 2, more: int = 0) -> tuple[Tensor, ...]:
        """Random inputs; `more`: pixels of height beyond the usual size, and twice as many of width."""
        task, generator = self.task, torch.Generator().manual_seed(batch)
        given = []
        for name in task.takes:
            if name == "text":
                captions = inputs.INPUTS["text"].draw(task, batch, generator)
                given.append(task.sentences(captions) if self.frozen else task.tokenizer(captions))
            elif name in ("image", "shown", "frames"):
                colours = task.info.channels[task.sides(self.direction)[0]]
                frames = [task.frames_in] if name == "frames" else []
                shape = (batch, *frames, colours, self.side + more, self.side + 2 * more)
                given.append(torch.rand(shape, generator=generator) * 2 - 1)
            elif name == "mask":
                given.append(torch.zeros(batch, 1, self.side + more, self.side + 2 * more))
                given[-1][..., : self.side // 2, : self.side // 2] = 1
            else:
                given.append(inputs.INPUTS[name].draw(task, batch, generator))
        return tuple(given)

    @property
    def side(self) -> int:
        """Height and width of an example, a multiple of the stride."""
        task = self.task
        size = task.config.size // (task.enlarges if task.data == "lowres" else 1)
        return size if self.fixed else task.stride * -(-min(size, 64) // task.stride)

    def shapes(self) -> tuple[dict[int, object], ...]:
        """Which sides of each input may change."""
        batch, height, width = (
            torch.export.Dim(name, min=1, max=2**16) for name in ("batch", "height", "width")
        )
        free = {0: batch}
        sided = {"image": (2, 3), "mask": (2, 3), "frames": (3, 4)}
        sizes = {name: {down: height, across: width} for name, (down, across) in sided.items()}
        sizes = {} if self.fixed else sizes
        return tuple(free | sizes.get(name, {}) for name in self.task.takes)


def mirrored(x: Tensor, axis: int, stride: int) -> Tensor:
    """One side made a multiple of the stride, its end mirrored, in operations whose sizes may be unknown."""
    if stride == 1:
        return x
    length = x.shape[axis]
    places = torch.arange((length + stride - 1) // stride * stride, device=x.device)
    places = torch.where(places < length, places, 2 * (length - 1) - places).clamp(min=0)
    return x.index_select(axis, places)


def to_onnx(task: Task, direction: str, path: Path) -> float:
    """Write an ONNX file of any batch and, for translators, any height and width (a U-Net, which takes a
    picture as a whole: of its training size), checked against PyTorch in other sizes than it was traced at.

    The vocabulary, the classes and the human names are in its metadata. Returns the largest difference found,
    in the range [-1, 1]. Raises UserError where a package is missing, the model cannot be exported, or the
    two disagree; then nothing is left at `path`.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "an ONNX file")
    program = Program(task, direction).eval()
    partial = path.with_name(f".{path.name}.partial")
    try:
        with traceable():
            try:
                exported = torch.onnx.export(
                    program, program.example(), dynamo=True, dynamic_shapes=(program.shapes(),),
                    input_names=program.names, verbose=False,
                    output_names=["translation" if "image" in task.takes else "picture"],
                )  # fmt: skip
            except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
                why = re.search(r"(?:No ONNX function found for|target) .*?(aten[.:\w]+)", str(error))
                what = f"ONNX has no {why[1]}" if why else " ".join(str(error).split())[:200]
                raise UserError(f"this model cannot be exported: {what}") from None
        exported.model.metadata_props.update(facts(task))
        path.parent.mkdir(parents=True, exist_ok=True)
        exported.save(partial, external_data=False)
        checks = [program.example()] if program.fixed else [program.example(), program.example(1, more=5)]
        checks += [program.example(3)]
        worst = max(difference(program, partial, given) for given in checks)
        if not worst <= CLOSE:
            raise UserError(
                f"the ONNX file differs from PyTorch by {worst:.2g} in [-1, 1]; it is not written"
                + ("; the model draws noise inside" if getattr(task.config, "noise_in_use", False) else "")
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


@contextlib.contextmanager
def traceable() -> Iterator[None]:
    """Inside, attention is made of plain operations, and tracing is silent."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its operator is in no ONNX
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def facts(task: Task) -> dict[str, str]:
    """What another program must know, as ONNX metadata: text, or JSON."""
    info = task.info
    found = {"classes": info.classes, "vocabulary": info.vocabulary, "names": info.names}
    found["label_colours"] = info.label_colours
    return {"data": info.name} | {name: json.dumps(value) for name, value in found.items() if value}


def difference(program: Program, path: Path, given: tuple[Tensor, ...]) -> float:
    """The largest difference between ONNX Runtime and PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    named = {name: value.numpy() for name, value in zip(program.names, given, strict=True)}
    (theirs,) = session.run(None, named)
    with torch.no_grad():
        ours = program(*given).numpy()
    return float(np.abs(theirs - ours).max())
