"""Maximum mean discrepancy between samples (Gretton et al. 2012, JMLR 13).

MMD²(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y),  x, x' ~ P,  y, y' ~ Q
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

Kernel = Callable[[Tensor], Tensor]  # of squared distances


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x_i - y_j‖²: [N, D], [M, D] to [N, M], never negative, with a gradient also at 0."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp_min(0)


def inverse_multiquadratic(scales: list[float]) -> Kernel:
    """k = Σ_C C / (C + ‖x - y‖²): its tails are heavy, so that codes far out are pulled, too."""
    return lambda d: sum(C / (C + d) for C in scales)


def rbf(variances: list[float]) -> Kernel:
    """k = Σ_s exp(-‖x - y‖² / (2 s)); s is a variance."""
    return lambda d: sum((-d / (2 * s)).exp() for s in variances)


def mmd2(
    x: Tensor, y: Tensor, kernel: Kernel, estimate: Literal["unbiased", "biased"] = "unbiased"
) -> Tensor:
    """MMD² of samples [N, D] and [M, D]. unbiased: pairs of one with itself are left out, so that it may be
    below 0 (eq. 3); biased: they are not, so that it has a root (eq. 5)."""
    within = []
    for z in (x, y):
        k, n = kernel(squared_distances(z, z)), len(z)
        within.append(k.mean() if estimate == "biased" else (k.sum() - k.diagonal().sum()) / (n * (n - 1)))
    return within[0] + within[1] - 2 * kernel(squared_distances(x, y)).mean()
