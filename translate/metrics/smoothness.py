"""How evenly pictures change as the noise does: perceptual path length."""

from collections.abc import Callable

import torch
from torch import Tensor

from translate.metrics import Score
from translate.metrics.features import FeatureNetwork

STEP = 1e-4  # ε of the published measure


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the great circle from directions a [B, ...] to b, at t [B] (Shoemake 1985); unit vectors."""
    shape, (a, b) = a.shape, (torch.nn.functional.normalize(x.flatten(1), dim=1) for x in (a, b))
    t, cosine = t[:, None], (a * b).sum(1, keepdim=True)
    aside = torch.nn.functional.normalize(b - cosine * a, dim=1)
    angle = t * cosine.clamp(-1, 1).acos()
    return (a * angle.cos() + aside * angle.sin()).view(shape)


@torch.inference_mode()
def path_length(
    generate: Callable[[Tensor], Tensor],
    noise: Tensor,
    net: FeatureNetwork,
    batch: int = 16,
    seed: int = 0,
    step: float = STEP,
) -> Score:
    """E |f(G(z(t))) - f(G(z(t + ε)))|² / ε² of features f (Karras et al. 2019, arXiv 1812.04948, eq. 2).

    noise: [2 N, ...], the ends of N paths on the sphere of the noise's usual length, t uniform; generate:
    noise [B, ...] to pictures [B, C, H, W] in [-1, 1], the same for the same noise. Published with VGG-16 and
    learned weights, so values compare within one network alone. The outer 1 % on both sides are left out, as
    in the authors' code.
    """
    generator = torch.Generator().manual_seed(seed)
    starts, ends = noise.chunk(2)
    length = noise[0].numel() ** 0.5
    t, found = torch.rand(len(starts), generator=generator), []
    for places in torch.arange(len(starts)).split(batch):
        ways = starts[places], ends[places]
        z = torch.cat([slerp(*ways, t[places]), slerp(*ways, t[places] + step)]) * length
        pictures = 127.5 * (generate(z).float().clamp(-1, 1) + 1)
        here, there = net(pictures.expand(-1, 3, -1, -1)).double().chunk(2)
        found.append((here - there).square().sum(1) / step**2)
    lengths = torch.cat(found)
    low, high = torch.quantile(lengths, torch.tensor([0.01, 0.99], dtype=lengths.dtype))
    kept = lengths[(lengths >= low) & (lengths <= high)]
    protocol = (
        f"perceptual path length, {net.title}, squared distance; slerp, ε {step:g}, {len(lengths)} paths"
    )
    return Score(float(kept.mean()), "", protocol, len(lengths))
