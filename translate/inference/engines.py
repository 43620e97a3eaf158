"""Faster ways to run a trained translator on a CPU: packed convolutions, OpenVINO; which one is measured.

An engine is called with (pictures, direction) to pictures. Tiles stay with the task itself.
"""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from translate import inputs
from translate.calls import Layer, recorded
from translate.config import UserError
from translate.probe import Choice, Way, choose, shapes
from translate.task import Task

SHAPES = 4  # compiled networks kept in memory


class Packed:
    """Weights laid out once for oneDNN: a U-Net spends most of its time on that otherwise.

    In bfloat16 1.7 to 3.5 times as fast as autocast, in float32 up to 1.3 times as fast as the task itself
    (benchmarks/inference.py), with no warm-up and the same precision. The operators are those that
    torch.compile uses on CPUs.
    """

    def __init__(self, task: Task, dtype: torch.dtype = torch.bfloat16):
        self.task = copy.deepcopy(task)
        for module in list(self.task.modules()):
            if hasattr(module, "heavy"):
                module.heavy = 0
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                    setattr(module, name, PackedConvolution(child, dtype))

    @staticmethod
    def available(dtype: torch.dtype = torch.bfloat16) -> bool:
        """Whether this PyTorch has the operators, and for this processor in `dtype`."""
        ops, names = (
            torch.ops.mkldnn,
            ("_reorder_convolution_weight", "_reorder_convolution_transpose_weight"),
        )
        names += ("_convolution_pointwise", "_convolution_transpose_pointwise", "_is_mkldnn_bf16_supported")
        if not torch.backends.mkldnn.is_available() or not all(hasattr(ops, name) for name in names):
            return False
        return dtype == torch.float32 or ops._is_mkldnn_bf16_supported()

    def __call__(self, x: Tensor, direction: str) -> Tensor:
        # As the convolutions want it: a U-Net keeps the layout in which its picture comes.
        return self.task(image=x.contiguous(memory_format=torch.channels_last), direction=direction)


class PackedConvolution(nn.Module):
    """The forward pass of a convolution, transposed or not, in `dtype` and channels_last."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        c, self.dtype = convolution, dtype
        if c.padding_mode != "zeros" or isinstance(c.padding, str):
            raise ValueError(f"{c} cannot be packed: pad by a layer of its own")
        self.register_buffer("weight", c.weight.detach().to(dtype))
        self.register_buffer("bias", None if c.bias is None else c.bias.detach().to(dtype))
        self.transposed, self.packed = isinstance(c, nn.ConvTranspose2d), None
        shifted = [c.output_padding] if self.transposed else []
        self.geometry = (c.padding, *shifted, c.stride, c.dilation, c.groups)

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        ops = torch.ops.mkldnn
        reorder, convolve = (
            (ops._reorder_convolution_transpose_weight, ops._convolution_transpose_pointwise)
            if self.transposed
            else (ops._reorder_convolution_weight, ops._convolution_pointwise)
        )
        if self.packed is None:  # the layout for the first size serves others too
            self.packed, self.weight = reorder(self.weight, *self.geometry, list(x.shape)), None
        return convolve(x, self.packed, self.bias, *self.geometry, "none", [], "")


# --- which way ---

SMALL = 64  # pixels, side of the picture by which layers are recorded, where the network takes any


def packable(task: Task, dtype: torch.dtype) -> bool:
    """A translator on a CPU whose convolutions all have a layout of oneDNN's."""
    convolutions = [m for m in task.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    plain = all(c.padding_mode == "zeros" and not isinstance(c.padding, str) for c in convolutions)
    on_cpu = next(task.parameters()).device.type == "cpu"
    return task.takes == ("image",) and on_cpu and plain and Packed.available(dtype)


def way_of(task: Task, digits: Sequence[str]) -> Choice:
    """The fastest way to use a model with so many digits: float32, bf16 or either; measured for translators.

    task: in eval mode, on its device.
    """
    ways, device = ways_of(task, digits), next(task.parameters()).device
    if "image" not in task.takes:
        return Choice(ways[0], reason="models of pictures alone are measured")
    key = f"serve {type(task).__module__} {task.config.size} {shapes(task)}"
    return choose(key, lambda: called(task), ways, device, train=False, prepare=prepared)


def ways_of(task: Task, digits: Sequence[str]) -> list[Way]:
    """Those there are, the simplest first."""
    ways = [Way(d) for d in digits]
    if digits[0] == "float32":
        ways.append(Way(channels_last=False))
    return ways + [Way(d, packed=True) for d in digits if packable(task, DTYPES[d])]


DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def prepared(module: nn.Module, way: Way) -> nn.Module:
    """A layer's own copy, its weights laid out where the way says so."""
    if way.packed and isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return PackedConvolution(module, DTYPES[way.digits])
    return copy.deepcopy(module)


@torch.no_grad()
def called(task: Task) -> list[Layer]:
    """The layers of one translation at the size of training, recorded at a smaller one where that can be."""
    size = max(task.config.size // task.enlarges, task.stride)
    size = -(-size // task.stride) * task.stride
    least = -(-SMALL // task.stride) * task.stride
    side = size if "mask" in task.takes else min(size, least)
    picture = torch.zeros(1, task.info.channels[task.sides()[0]], side, side)
    given = inputs.from_seed(task, 1, 0, image=picture.contiguous(memory_format=torch.channels_last))
    given = inputs.on_device(given, next(task.parameters()).device)
    layers = recorded(task, lambda: task(**given))
    for layer in layers:
        layer.grow(size / side)
    return layers


# --- another runtime ---


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
