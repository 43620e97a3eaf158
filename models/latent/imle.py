"""Implicit maximum likelihood estimation, IMLE (Li & Malik 2018, arXiv 1809.09087).

    min_G E_{z_1 ... z_m}  Σ_i  min_j ‖G(z_j) - x_i‖²                                             (eq. 2)

Algorithm 1: draw m codes, find the nearest picture G(z_j) for every real x_i of a set S, then descend
‖G(z_σ(i)) - x_i‖² for some updates. Every real picture pulls something towards it, so no mode is dropped;
that the nearest is taken by squared error blurs. Here S are the pictures of the next `--refresh` updates,
and m is `--candidates` for each of them; G(z_j) is kept in half precision, enough to find neighbours by.
Deviation: DCGAN's G where the authors' has a hidden layer of 1,024 before the convolutions; two dense layers
for points.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.options import Images
from models.gan import dcgan, gan
from translate.config import RunConfig
from translate.task import DataInfo, Task


def nearest(x: Tensor, candidates: Tensor) -> Tensor:
    """For each row of [N, D] the number of the nearest of [M, D], by squared distance: [N], int64."""
    with torch.autocast(x.device.type, enabled=False):
        x, candidates = x.float(), candidates.float()
        return (candidates.square().sum(1) - 2 * x @ candidates.T).argmin(1)


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """IMLE (Li & Malik 2018)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    latent: int = 64  # dimensions of z
    channels: int = 64  # width of G beside the picture; of its two layers for points
    candidates: int = 10  # m over the number of pictures in S
    refresh: int = 10  # updates between two draws of candidates
    jitter: float = 0.01  # noise on the chosen z
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5  # of Adam
    batch_size: int = 64
    steps: int = 25_000


class IMLE(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G",)
    also = ("points",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, channels = config, info.channels["image"]
        self.noise_shape = (c.latent,)
        points = info.kind == "points"
        shape = (channels,) if points else (channels, c.size, c.size)
        if points:
            self.G = gan.Generator(gan.Config(latent=c.latent, hidden=c.channels), shape)
        else:
            self.G = dcgan.Generator(c.latent, c.channels, c.size, channels)
        m = c.candidates * c.refresh * c.batch_size
        self.register_buffer("z", torch.zeros(m, c.latent))
        self.register_buffer("made", torch.zeros(m, math.prod(shape), dtype=torch.float16))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        adam = dict(betas=(0.5, 0.999), weight_decay=c.weight_decay, fused=True)
        return {"G": torch.optim.Adam(self.G.parameters(), lr=c.learning_rate, **adam)}

    @torch.no_grad()
    def draw_candidates(self) -> None:
        """New z_j and G(z_j), in batches like those of training, whose statistics batch norm knows."""
        self.z.normal_()
        for z, made in zip(*(b.split(self.config.batch_size) for b in (self.z, self.made)), strict=True):
            made.copy_(self.G(z).flatten(1))

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t % c.refresh == 0:
            self.draw_candidates()
        chosen = self.z[nearest(x.flatten(1), self.made)]
        z = chosen + c.jitter * torch.randn_like(chosen)
        error = (self.G(z).float() - x).square().mean()
        update("G", error)
        return {"MSE": error.detach()}

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(noise)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, latent=8, channels=4, candidates=2, refresh=2, batch_size=4, steps=2,
            mixed_precision="no",
        )  # fmt: skip
