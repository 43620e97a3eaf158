"""Scores of pictures, each with the protocol it was computed by.

A metric takes pictures and truths as iterables of [C, H, W] or [B, C, H, W] in [-1, 1], compared in order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Score:
    """A number that means nothing without its protocol."""

    value: float
    unit: str
    protocol: str
    count: int
    note: str = ""  # what else was seen

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit}".strip()


def pairs(pictures: Iterable[Tensor], truths: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of both, [B, C, H, W]. Raises ValueError where their number or shape differs."""
    for ours, theirs in zip(pictures, truths, strict=True):
        if ours.shape != theirs.shape:
            raise ValueError(f"pictures are {tuple(ours.shape)}, their truths {tuple(theirs.shape)}")
        yield tuple(x.float().clamp(-1, 1).reshape(-1, *x.shape[-3:]) for x in (ours, theirs))


def mae(pictures: Iterable[Tensor], truths: Iterable[Tensor]) -> Score:
    """Mean absolute error over all pixels and channels, in grey levels of 255 (torchmetrics)."""
    from torchmetrics import MeanAbsoluteError

    metric, count = MeanAbsoluteError(), 0
    for ours, theirs in pairs(pictures, truths):
        metric.update(ours.reshape(-1), theirs.reshape(-1))
        count += len(ours)
    return Score(127.5 * float(metric.compute()), "", "mean absolute error, RGB, grey levels of 255", count)


def psnr(pictures: Iterable[Tensor], truths: Iterable[Tensor]) -> Score:
    """10 log10(2² / mean squared error) in dB; one error over all pictures, since some are copied exactly."""
    from torchmetrics.image import PeakSignalNoiseRatio

    metric, count = PeakSignalNoiseRatio(data_range=(-1.0, 1.0)), 0
    for ours, theirs in pairs(pictures, truths):
        metric.update(ours, theirs)
        count += len(ours)
    return Score(float(metric.compute()), "dB", "PSNR of the error pooled over all pictures, RGB", count)


def laplacian_variance(pictures: Tensor) -> Tensor:
    """Variance of the 4-neighbour Laplacian of the luma (BT.601) of [B, 1 or 3, H, W], in grey levels²: [B].

    The usual measure of focus (Pech-Pacheco et al. 2000): edges give large values, blur small ones.
    """
    weights = pictures.new_tensor([0.299, 0.587, 0.114] if pictures.shape[1] == 3 else [1.0])
    luma = 127.5 * (pictures * weights.view(1, -1, 1, 1)).sum(1, keepdim=True)
    kernel = luma.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return F.conv2d(luma, kernel).flatten(1).var(1)


def sharpness(pictures: Iterable[Tensor], truths: Iterable[Tensor]) -> Score:
    """Laplacian variance of the pictures over that of their truths: below 1 is blurred, above 1 noisy."""
    ours, theirs = zip(*[map(laplacian_variance, both) for both in pairs(pictures, truths)], strict=True)
    ratio = float(torch.cat(ours).mean() / torch.cat(theirs).mean())
    return Score(ratio, "of the truth's", "mean Laplacian variance of the luma", sum(map(len, ours)))
