"""Layers that generators and discriminators share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def leaving() -> bool:
    """Whether the network is being traced for another runtime, which has its own fast plain layers."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


class InstanceNorm(nn.Module):
    """Each channel of each picture to mean 0, variance 1; no parameters (Ulyanov et al. 2016, 1607.08022)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or leaving():
            return F.instance_norm(x)
        # The batch norm of one picture is the same formula; its kernels keep channels_last and are several
        # times faster, forward and backward, than instance or group norm's (benchmarks/layers.py).
        pictures = [F.batch_norm(picture, None, None, training=True) for picture in x.split(1)]
        return pictures[0] if len(pictures) == 1 else torch.cat(pictures)


def norm(kind: str, channels: int) -> nn.Module:
    """`instance`, `batch` or `none`."""
    if kind == "instance":
        return InstanceNorm()
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


def in_one_pass(network: nn.Module, kind: str, *batches: Tensor) -> list[Tensor]:
    """The network on several batches: in one pass, unless `batch` norm would mix their statistics."""
    if kind == "batch":
        return [network(batch) for batch in batches]
    return list(network(torch.cat(batches)).split([len(batch) for batch in batches]))


class ReflectionPad(nn.Module):
    """Mirror `width` pixels at every side, in the dtype that comes: CPU autocast would go to float32."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.pad(x, [self.width] * 4, mode="reflect")


def upsample(kind: str, channels: int, out: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """Double height and width. `transposed`: as published. `resize`: nearest neighbour, then a 3x3
    convolution, which cannot leave a checkerboard (Odena et al. 2016, Distill).
    """
    if kind == "transposed":
        padding = {3: dict(padding=1, output_padding=1), 4: dict(padding=1)}[kernel]
        return nn.ConvTranspose2d(channels, out, kernel, 2, bias=bias, **padding)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, out, 3, padding=1, bias=bias))


class ToPicture(nn.Conv2d):
    """A stride-1 convolution to a few channels, H and W even. Same weights and result as nn.Conv2d.

    CPU kernels compute 16 output channels at a time; for 3 most of the work is wasted. Here each 2x2 block
    of output pixels becomes 4 channels of a stride-2 convolution whose kernels are the shifted originals:
    twice as fast, forward and backward (benchmarks/layers.py).
    """

    def forward(self, x: Tensor) -> Tensor:
        odd = any((side - self.kernel_size[0]) % 2 == 0 for side in x.shape[2:])
        if odd or x.device.type != "cpu" or leaving():
            return super().forward(x)
        shifts = [F.pad(self.weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)]
        weight = torch.stack(shifts, 1).flatten(0, 1)  # [4 C, inputs, k + 1, k + 1]
        return F.pixel_shuffle(F.conv2d(x, weight, self.bias.repeat_interleave(4), stride=2), 2)


class LowPass(nn.Module):
    """h = [-1 4 10 4 -1] / 16 along rows and columns: gain 0 at a period of two pixels, 3/4 at four."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tensor([-1.0, 4.0, 10.0, 4.0, -1.0], dtype=x.dtype, device=x.device) / 16
        kernel = (h[:, None] * h).expand(x.shape[1], 1, 5, 5)
        return F.conv2d(F.pad(x, [2] * 4, mode="reflect"), kernel, groups=x.shape[1])


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Weights ~ N(0, 0.02²), biases 0, batch norm scales ~ N(1, 0.02²): DCGAN, pix2pix and CycleGAN."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(m.weight, 0.0, std)
        elif isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight, 1.0, std)
        if getattr(m, "bias", None) is not None:
            nn.init.zeros_(m.bias)
