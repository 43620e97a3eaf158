"""An autoencoder of pictures for generators of latents (Rombach et al. 2022, arXiv 2112.10752).

    h = E(x), of mean 0 and variance 1;  L_AE = |x - D(h + ς ε)|,  ε ~ N(0, I)
    L_D = L_AE + λ ‖φ(x) - φ(D(h + ς ε))‖² / ‖φ(x)‖²

E and D learn L_AE first; at last D alone goes on with L_D, by features φ of a network that knows pictures, to
which thin lines count more than they do in pixels. Noise ς on the latents keeps slips of what draws them from
showing. Deviations: small, and without a game (against patches it gave grain, docs/captions.md); a batch norm
of the latents in place of a divergence.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 16  # of the latents
SIZES = (32, 64, 128, 256)  # of pictures


class Residual(nn.Module):
    """x + two convolutions [B, C, H, W]; starts as little more than x."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), nn.LeakyReLU(0.2), conv(channels, channels))
        nn.init.normal_(self.body[-1].weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.body(x), 0.2)


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]; He's initialisation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2)
    nn.init.kaiming_normal_(layer.weight, 0.2)
    nn.init.zeros_(layer.bias)
    return layer


def widths(size: int, channels: int, most: int) -> list[int]:
    """Channels of the layers at size / 2, size / 4, ..., 16 pixels, from `channels`, doubled up to `most`."""
    return [min(most, channels * 2**i) for i in range((size // SIDE).bit_length() - 1)]


class Encoder(nn.Module):
    """Pictures [B, 3, size, size] in [-1, 1] to latents [B, C, 16, 16]; channels have mean 0, variance 1."""

    def __init__(self, colours: int, size: int, channels: int, most: int, latent: int):
        super().__init__()
        layers, inputs = [], colours
        for width in widths(size, channels, most):
            layers += [conv(inputs, width, 4, 2), nn.LeakyReLU(0.2)]
            inputs = width
        self.layers = nn.Sequential(*layers, Residual(inputs), conv(inputs, latent))
        self.norm = nn.BatchNorm2d(latent, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layers(x.contiguous(memory_format=torch.channels_last)).float())


class Decoder(nn.Module):
    """Latents [B, C, 16, 16] to pictures [B, 3, size, size]."""

    def __init__(self, colours: int, size: int, channels: int, most: int, latent: int):
        super().__init__()
        up = widths(size, channels, most)[::-1]
        layers = [conv(latent, up[0]), nn.LeakyReLU(0.2), Residual(up[0]), Residual(up[0])]
        for inputs, width in pairwise(up):
            layers += [nn.Upsample(scale_factor=2), conv(inputs, width), nn.LeakyReLU(0.2), Residual(width)]
        self.layers = nn.Sequential(*layers, conv(up[-1], 4 * colours), nn.PixelShuffle(2))

    def forward(self, h: Tensor) -> Tensor:
        return self.layers(h.contiguous(memory_format=torch.channels_last)).float()


def learn(encoder: Encoder, decoder: Decoder, x: Tensor, noise: float, update: Callable) -> Tensor:
    """Updates `autoencoder` by L_AE of pictures [B, C, size, size], noise ς; returns its mean.

    Many small updates: 0.084 after 4,800 birds in fours, 0.110 after 6,400 in batches of 32.
    """
    errors = []
    for part in x.split(4):
        h = encoder(part)
        errors.append((part - decoder(h + noise * torch.randn_like(h))).abs().mean())
        update("autoencoder", errors[-1])
    return torch.stack(errors).mean().detach()


def sharpen(
    decoder: Decoder, x: Tensor, h: Tensor, noise: float, content: Callable | None, weight: float, update
) -> dict[str, Tensor]:
    """The decoder's own updates, by L_D, from pictures [B, C, size, size] and their latents; what to log.

    content: of drawn and real pictures, e.g. `features.Content`; None: L_AE alone. weight: λ.
    """
    logs = []
    for real, latent in zip(x.split(8), h.split(8), strict=True):
        drawn = decoder(latent + noise * torch.randn_like(latent))
        error = (real - drawn).abs().mean()
        features = content(drawn, real) if content else torch.zeros_like(error)
        update("autoencoder", error + weight * features)
        logs.append(torch.stack([error, features]).detach())
    return dict(zip(("error", "content"), torch.stack(logs).mean(0), strict=True))
