"""Why the layers are written as they are, each against PyTorch's own: python -m benchmarks.layers"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common.layers import InstanceNorm, ReflectionPad, ToPicture
from translate import machine


def both_passes(layer, x: Tensor) -> float:
    """Milliseconds of forward and backward, the best of 10."""
    towards = torch.randn_like(layer(x))
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        torch.autograd.grad(layer(x), x, towards)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def compare(name: str, shape: tuple[int, ...], ours, others: dict) -> None:
    x = torch.randn(shape).bfloat16().to(memory_format=torch.channels_last).requires_grad_()
    mine = both_passes(ours, x)
    for other, layer in others.items():
        theirs = both_passes(layer, x)
        print(
            f"| {name} {list(shape)} | {mine:.2f} | {other} | {theirs:.2f} | {theirs / mine:.1f} |",
            flush=True,
        )


def main() -> None:
    machine.tune()
    print("| layer, bfloat16, channels_last | ours, ms | against | ms | ratio |\n|---|---|---|---|---|")
    for shape in ((1, 256, 64, 64), (2, 256, 64, 64), (2, 64, 256, 256)):
        compare(
            "InstanceNorm",
            shape,
            InstanceNorm(),
            {"F.instance_norm": F.instance_norm, "F.group_norm": lambda x: F.group_norm(x, x.shape[1])},
        )
    ours = ToPicture(64, 3, 7).bfloat16()
    plain = nn.Conv2d(64, 3, 7).bfloat16()
    compare("ToPicture 64 -> 3, 7x7", (1, 64, 262, 262), ours, {"nn.Conv2d": plain})
    with torch.autocast("cpu", torch.bfloat16):
        compare(
            "ReflectionPad", (1, 256, 64, 64), ReflectionPad(1), {"nn.ReflectionPad2d": nn.ReflectionPad2d(1)}
        )


if __name__ == "__main__":
    main()
