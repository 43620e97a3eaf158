"""What D sees of pictures: differentiable augmentation and instance noise, on real and fake alike.

DiffAugment (Zhao et al. 2020, arXiv 2006.10738, section 3): D only ever sees T(x), and G's gradient goes
through T. Instance noise (Arjovsky & Bottou 2017, arXiv 1701.04862; Sønderby et al. 2017, arXiv 1610.04490):
x + σ ε, whose σ falls to 0 over the training, so that the two distributions overlap from the start.
"""

from functools import lru_cache

import torch
from torch import Tensor


def coloured(x: Tensor) -> Tensor:
    """Brightness + U(-½, ½) of [0, 1], saturation x U(0, 2), contrast x U(½, 3/2); not clipped, as a clipped
    pixel has no gradient (kornia clips)."""
    brightness, saturation, contrast = torch.rand(3, len(x), 1, 1, 1, device=x.device, dtype=x.dtype)
    x = x + 2 * (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (x - mean)


@lru_cache(maxsize=2)
def moved(shift: float) -> torch.nn.Module:
    """Shifts by up to `shift` of the side each way, black behind."""
    from kornia.augmentation import RandomTranslate

    return RandomTranslate((-shift, shift), (-shift, shift), p=1.0, align_corners=True)


@lru_cache(maxsize=1)
def cut() -> torch.nn.Module:
    """Half of each side, a quarter of the picture, grey."""
    from kornia.augmentation import RandomErasing

    return RandomErasing(scale=(0.25, 0.25), ratio=(1.0, 1.0), value=0.0, p=1.0)


def shifted(x: Tensor, shift: float) -> Tensor:
    """Pictures [B, C, H, W] in [-1, 1], moved; what comes in from outside is black (-1)."""
    return moved(shift)(x + 1) - 1


def augmented(x: Tensor, policy: tuple[str, ...]) -> Tensor:
    """T(x) of pictures [B, C, H, W] in [-1, 1] by `color`, `translation` (an eighth), `cutout`."""
    if not policy:
        return x
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        if "color" in policy:
            x = coloured(x)
        if "translation" in policy:
            x = shifted(x, 1 / 8)
        return cut()(x) if "cutout" in policy else x


def noisy(x: Tensor, sigma: float) -> Tensor:
    """x + σ ε; σ = 0 leaves x."""
    return x + sigma * torch.randn_like(x) if sigma else x
