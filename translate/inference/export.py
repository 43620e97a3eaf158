"""A trained translator as an ONNX file, for other programs."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from translate.config import UserError
from translate.inference.engines import Translation, require
from translate.task import Task

CLOSE = 1e-3  # of the range -1 to 1: a fifth of a grey level


def to_onnx(task: Task, direction: str, path: Path) -> tuple[float, tuple[int, ...]]:
    """Write an ONNX file of any height and width (a U-Net: of its training size), checked against PyTorch.

    Returns the largest difference found, in the range [-1, 1], and the shape it was exported at. Raises
    UserError where a package is missing or the two disagree; then nothing is left at `path`.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "an ONNX file")
    channels = task.info.channels[task.sides(direction)[0]]
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
        ours = task(image=picture, direction=direction).numpy()
    return float(np.abs(theirs - ours).max())
