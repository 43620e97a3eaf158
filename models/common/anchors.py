"""Noise near such as gave good pictures.

A generator has noise of which it never makes anything, whatever the caption: two bodies, no head. Instead of
drawing noise anywhere, draw it near one of a table of noise whose pictures were found to look real
(`python -m recipes.good_noise`). Like truncation this gives up variety for quality, but keeps postures that
work instead of the mean one. Rating noise by a discriminator's features: after Issenhuth et al. 2022, arXiv
2110.09803, who learn weights of all noise instead.
"""

import torch
from torch import Tensor, nn


class Anchors(nn.Module):
    """z = √(1 - s²) a + s n: a any row of the table, n normal, s the spread, 0 to 1 (1: all noise)."""

    def __init__(self, count: int, noise_shape: tuple[int, ...], spread: float):
        super().__init__()
        self.spread = spread
        self.register_buffer("noise", torch.zeros(count, *noise_shape))

    def forward(self, n: Tensor, generator: torch.Generator) -> Tensor:
        """n [*noise_shape], normal, on the CPU, to z; n itself where the table was never filled."""
        if not self.noise.any():
            return n
        row = int(torch.randint(len(self.noise), (), generator=generator))
        return (1 - self.spread**2) ** 0.5 * self.noise[row].to(n) + self.spread * n
