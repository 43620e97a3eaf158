"""A trained translator in other runtimes: OpenVINO for speed on CPUs, ONNX files for other programs."""

import warnings
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from translate.config import UserError
from translate.task import Task

SHAPES = 4  # compiled networks kept in memory
CLOSE = 1e-3  # of the range -1 to 1: a fifth of a grey level


class Translation(nn.Module):
    """`generate` of one direction as a module: [1, C, H, W] to [1, C', H', W'], both in [-1, 1]."""

    def __init__(self, task: Task, direction: str):
        super().__init__()
        self.task, self.direction = task, direction

    def forward(self, picture: Tensor) -> Tensor:
        return self.task.generate(picture, direction=self.direction)


def require(package: str, purpose: str) -> None:
    """Raises UserError where an optional package is not installed."""
    if find_spec(package) is None:
        raise UserError(f"{purpose} needs {package}, which is not installed: pip install {package}")


class OpenVINO:
    """`task.generate` compiled for this CPU, one shape at a time. Raises UserError without the package."""

    def __init__(self, task: Task, bf16: bool):
        require("openvino", "--engine openvino")
        self.task, self.bf16 = task, bf16
        self.compiled: OrderedDict[tuple, object] = OrderedDict()

    def __call__(self, x: Tensor, direction: str) -> Tensor:
        key = (direction, *x.shape)
        if key not in self.compiled:
            self.compiled[key] = self.compile(x, direction)
            if len(self.compiled) > SHAPES:
                self.compiled.popitem(last=False)
        self.compiled.move_to_end(key)
        return torch.from_numpy(self.compiled[key](x.contiguous().numpy())[0].copy())

    def compile(self, x: Tensor, direction: str):
        import openvino

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing tells of branches on the shape, which is fixed here
            traced = Translation(self.task, direction)
            model = openvino.convert_model(traced, example_input=x.contiguous(), input=list(x.shape))
        precision = "bf16" if self.bf16 else "f32"
        hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        hints["INFERENCE_NUM_THREADS"] = torch.get_num_threads()
        return openvino.Core().compile_model(model, "CPU", hints)


def to_onnx(task: Task, direction: str, path: Path) -> tuple[float, tuple[int, ...]]:
    """Write an ONNX file of any height and width (a U-Net: of its training size), checked against PyTorch.

    Returns the largest difference found, in the range [-1, 1], and the shape it was exported at. Raises
    UserError where a package is missing or the two disagree; then nothing is left at `path`.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "an ONNX file")
    channels = task.info.channels["a" if direction == "AtoB" else "b"]
    fixed = task.stride >= task.config.size
    side = task.config.size if fixed else task.stride * -(-min(task.config.size, 128) // task.stride)
    example = random_picture((1, channels, side, side))
    shapes = None
    if not fixed:
        height, width = (task.stride * torch.export.Dim(name, min=4) for name in ("h", "w"))
        shapes = {"picture": {2: height, 3: width}}
    partial = path.with_name(f".{path.name}.partial")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Translation(task, direction), (example,), partial, dynamo=True, dynamic_shapes=shapes,
                input_names=["picture"], output_names=["translation"], external_data=False, verbose=False,
            )  # fmt: skip
        other = (
            example if fixed else random_picture((1, channels, side + task.stride, side + 2 * task.stride))
        )
        worst = max(difference(task, direction, partial, picture) for picture in (example, other))
        if not worst <= CLOSE:
            raise UserError(
                f"the ONNX file differs from PyTorch by {worst:.2g} in [-1, 1]; it is not written"
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return worst, tuple(example.shape)


def random_picture(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def difference(task: Task, direction: str, path: Path, picture: Tensor) -> float:
    """The largest difference between ONNX Runtime and PyTorch on one picture."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"picture": picture.numpy()})
    with torch.no_grad():
        ours = task.generate(picture, direction=direction).numpy()
    return float(np.abs(theirs - ours).max())
