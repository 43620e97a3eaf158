"""Norms by name for the networks of the GANs, and features that compare the pictures of a batch.

reference  batch norm with the statistics of a fixed batch R, so that a picture's answer does not depend on
           the others in its batch (Goodfellow 2016, arXiv 1701.00160, section 4.3)
virtual    the same with the statistics of R and the picture itself, which overfits R less (Salimans et al.
           2016, arXiv 1606.03498, section 3.4)
spectral   W̄ = W / σ(W), σ(W) = max ‖W h‖ / ‖h‖ by the power method (Miyato et al. 2018, arXiv 1802.05957)
layer      mean and variance of each picture alone (Ba et al. 2016, arXiv 1607.06450), as WGAN-GP's critic
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.common.layers import InstanceNorm

REFERENCES = ("reference", "virtual")


class ReferenceNorm(nn.Module):
    """[R + B, C, ...], the reference batch first, each channel normalised by R (and the entry itself)."""

    def __init__(self, channels: int, references: int, virtual: bool):
        super().__init__()
        self.references, self.virtual = references, virtual
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x, R = x.float(), self.references
            each = x.flatten(2) if x.dim() > 2 else x[:, :, None]
            mean, square = each.mean(2), each.square().mean(2)  # of every entry alone, [R + B, C]
            mean_R, square_R = mean[:R].mean(0), square[:R].mean(0)
            share = 1 / (R + 1) if self.virtual else 0.0
            mine = torch.full((len(x), 1), share, device=x.device)
            mine[:R] = 0  # the reference batch itself: by its own statistics
            mean = torch.lerp(mean_R, mean, mine)
            square = torch.lerp(square_R, square, mine)
            scale = self.weight * (square - mean.square()).clamp(min=0).add(1e-5).rsqrt()
            shape = (*mean.shape, *[1] * (x.dim() - 2))
            return x * scale.view(shape) + (self.bias - mean * scale).view(shape)


class WithReference(nn.Module):
    """A network whose norms need the reference batch: it runs along in front of every batch."""

    def __init__(self, network: nn.Module, reference: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("reference", reference)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(torch.cat([self.reference.to(x.dtype), x]))[len(self.reference) :]

    def choose(self, batch: Tensor) -> None:
        """Take the first of these as the reference batch, those of the first process everywhere."""
        chosen = batch[torch.arange(len(self.reference)) % len(batch)].to(self.reference.dtype).contiguous()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast(chosen, 0)
        self.reference.copy_(chosen)


def referenced(network: nn.Module, kind: str, reference: Tensor) -> nn.Module:
    """The network with its reference batch where its norms of `kind` need one."""
    return WithReference(network, reference) if kind in REFERENCES else network


def norm(kind: str, channels: int, references: int, vectors: bool = False) -> nn.Module:
    """The norm called `kind`, of maps [B, C, H, W] or vectors [B, C]; none for `spectral`: `spectrally`."""
    if kind in REFERENCES:
        return ReferenceNorm(channels, references, virtual=kind == "virtual")
    if kind == "batch":
        return (nn.BatchNorm1d if vectors else nn.BatchNorm2d)(channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    return InstanceNorm() if kind == "instance" else nn.Identity()


def spectrally(network: nn.Module) -> nn.Module:
    """Every convolution and linear layer divided by its largest singular value; call it once initialised."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            spectral_norm(module)
    return network


class MinibatchDiscrimination(nn.Module):
    """Features [B, A] and how near the other pictures' are: [B, A + kernels] (Salimans et al. 2016, 3.2).

    M_i = f(x_i) T,  c_b(i, j) = exp(-‖M_ib - M_jb‖₁),  o(x_i)_b = Σ_j c_b(i, j), the 1 of j = i included.
    """

    def __init__(self, features: int, kernels: int = 50, dimensions: int = 5):
        super().__init__()
        self.T = nn.Parameter(torch.randn(features, kernels, dimensions) * 0.05)
        self.out = features + kernels

    def forward(self, f: Tensor) -> Tensor:
        M = torch.einsum("ba,akd->bkd", f, self.T)
        distances = (M[:, None] - M[None]).abs().sum(3)  # [B, B, kernels]
        return torch.cat([f, torch.exp(-distances).sum(1)], 1)


class MinibatchStddev(nn.Module):
    """Features [B, A] and the mean over A of their deviation over the batch: [B, A + 1] (Karras et al. 2018,
    arXiv 1710.10196, section 3; here over the whole batch)."""

    def __init__(self, features: int):
        super().__init__()
        self.out = features + 1

    def forward(self, f: Tensor) -> Tensor:
        deviation = (f.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([f, deviation.expand(len(f), 1)], 1)


def compared(kind: str, features: int) -> tuple[nn.Module, int]:
    """The minibatch features of that name behind [B, features], and how many there are then."""
    if kind == "none":
        return nn.Identity(), features
    layer = {"discrimination": MinibatchDiscrimination, "stddev": MinibatchStddev}[kind](features)
    return layer, layer.out
