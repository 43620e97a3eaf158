"""Faster ways to run a trained translator on a CPU: packed convolutions, OpenVINO.

An engine is called with (pictures, direction) to pictures. Tiles stay with the task itself.
"""

import copy
import warnings
from collections import OrderedDict
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from translate.config import UserError
from translate.machine import bf16_is_fast
from translate.task import Task

SHAPES = 4  # compiled networks kept in memory


class Packed:
    """bfloat16 with weights laid out once for oneDNN: a U-Net spends most of its time on that otherwise.

    1.7 to 3.5 times as fast as autocast (benchmarks/inference.py), with no warm-up; the same precision. The
    operators are those that torch.compile uses on CPUs.
    """

    def __init__(self, task: Task):
        self.task = copy.deepcopy(task)
        for module in list(self.task.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                    setattr(module, name, PackedConvolution(child))

    @staticmethod
    def available() -> bool:
        """Whether this processor has bfloat16 and this PyTorch the operators."""
        names = ("_reorder_convolution_weight", "_reorder_convolution_transpose_weight")
        names += ("_convolution_pointwise", "_convolution_transpose_pointwise")
        fast = torch.backends.mkldnn.is_available() and bf16_is_fast(torch.device("cpu"))
        return fast and all(hasattr(torch.ops.mkldnn, name) for name in names)

    def __call__(self, x: Tensor, direction: str) -> Tensor:
        return self.task(image=x, direction=direction)


class PackedConvolution(nn.Module):
    """The forward pass of a convolution, transposed or not, in bfloat16 and channels_last."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d):
        super().__init__()
        c = convolution
        if c.padding_mode != "zeros" or isinstance(c.padding, str):
            raise ValueError(f"{c} cannot be packed: pad by a layer of its own")
        self.register_buffer("weight", c.weight.detach().to(torch.bfloat16))
        self.register_buffer("bias", None if c.bias is None else c.bias.detach().to(torch.bfloat16))
        self.transposed, self.packed = isinstance(c, nn.ConvTranspose2d), None
        shifted = [c.output_padding] if self.transposed else []
        self.geometry = (c.padding, *shifted, c.stride, c.dilation, c.groups)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        ops = torch.ops.mkldnn
        reorder, convolve = (
            (ops._reorder_convolution_transpose_weight, ops._convolution_transpose_pointwise)
            if self.transposed
            else (ops._reorder_convolution_weight, ops._convolution_pointwise)
        )
        if self.packed is None:  # the layout for the first size serves others too
            self.packed, self.weight = reorder(self.weight, *self.geometry, list(x.shape)), None
        return convolve(x, self.packed, self.bias, *self.geometry, "none", [], "")


class Translation(nn.Module):
    """`generate` of one direction as a module: [1, C, H, W] to [1, C', H', W'], both in [-1, 1]."""

    def __init__(self, task: Task, direction: str):
        super().__init__()
        self.task, self.direction = task, direction

    def forward(self, picture: Tensor) -> Tensor:
        return self.task(image=picture, direction=self.direction)


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

        with warnings.catch_warnings(), torch.no_grad(), torch.autocast("cpu", enabled=False):
            warnings.simplefilter("ignore")  # tracing tells of branches on the shape, which is fixed here
            traced = Translation(self.task, direction)
            model = openvino.convert_model(traced, example_input=x.contiguous(), input=list(x.shape))
        precision = "bf16" if self.bf16 else "f32"
        hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        hints["INFERENCE_NUM_THREADS"] = torch.get_num_threads()
        return openvino.Core().compile_model(model, "CPU", hints)
