"""Generative latent optimisation, GLO (Bojanowski et al. 2018, arXiv 1707.05776).

    min_G (1/N) Σ_i  min_{‖z_i‖ ≤ 1}  ℓ(G(z_i), x_i)                                              (eq. 2)
    ℓ(x', x) = ‖x' - x‖² + Σ_j 2^{2j} |L_j(x') - L_j(x)|_1, L_j level j of the Laplacian pyramid  (section 3)

with means over pixels: a level has 2^{-2j} of the pixels, so that the mean of each is the paper's weight.
Every picture has a code of its own, learned with G; no encoder, no game. Codes are projected to the unit
ball before they are used. `--distance squares` leaves the pyramid out (the paper has both), `efficientnet`
compares features of a network that knows photographs instead (Hoshen & Malik 2019 do so with VGG). Random
points of the ball need not be pictures: GLO is sufficient, not compact (GLANN mends it). A code begins at its
picture's principal components, made 1 long; codes that begin anywhere, as GLANN's, need many epochs.
Deviations: R, those components, are of the first batch alone; Adam for both, as in GLANN, where the paper has
SGD at 1 (G) and 10 (z).
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Images
from models.common.features import Content
from models.gan import dcgan
from translate.config import RunConfig
from translate.task import DataInfo, Task

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # Burt & Adelson 1983


def blurred(x: Tensor) -> Tensor:
    """Each channel by the 5x5 binomial filter, edges repeated; [B, C, H, W]."""
    row = x.new_tensor(BINOMIAL) / 16
    kernel = (row[:, None] * row).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), kernel, groups=x.shape[1])


def pyramid(x: Tensor, levels: int = 3) -> list[Tensor]:
    """`levels` differences between a picture and its blur, each of half the size, and what is left over."""
    found = []
    for _ in range(levels):
        if min(x.shape[2:]) < 4:
            break
        low = blurred(x)
        found.append(x - low)
        x = F.avg_pool2d(low, 2)
    return [*found, x]


def laplacian(made: Tensor, real: Tensor) -> Tensor:
    """Σ_j mean |L_j(x') - L_j(x)|; a pyramid is linear, so that of the difference is enough."""
    return torch.stack([level.abs().mean() for level in pyramid(made - real)]).sum()


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """GLO (Bojanowski et al. 2018)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    latent: int = 64  # dimensions of z; GLANN's. GLO's paper has up to 512
    channels: int = 64  # width of G beside the picture
    distance: Literal["laplacian", "squares", "efficientnet"] = "laplacian"  # l, beside the squared error
    rate_z: float = 1e-2  # Adam's step size of the codes, GLANN's
    learning_rate: float = 1e-3  # GLANN's
    batch_size: int = 128
    steps: int = 25_000


class GLO(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G",)
    by_index = True

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent,)
        self.G = dcgan.Generator(config.latent, config.channels, config.size, info.channels["image"])
        self.Z = nn.Embedding(info.count, config.latent)  # the code of each picture, by its index
        pixels = info.channels["image"] * config.size**2
        self.register_buffer("R", torch.randn(pixels, config.latent))
        self.register_buffer("known", torch.zeros(info.count, dtype=torch.bool))
        self.content = Content("efficientnet") if config.distance == "efficientnet" else None

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c, betas = self.config, (0.5, 0.999)
        return {"GLO": torch.optim.Adam(
            [{"params": self.G.parameters()}, {"params": self.Z.parameters(), "lr": c.rate_z}],
            lr=c.learning_rate, betas=betas, fused=True,
        )}  # fmt: skip

    def projected(self, z: Tensor) -> Tensor:
        """To the nearest point of the unit ball."""
        return z / z.norm(dim=1, keepdim=True).clamp_min(1)

    @torch.no_grad()
    def find_components(self, x: Tensor, update) -> None:
        """R, from random directions to principal ones of these pictures of all processes, by powers of their
        covariance (Halko, Martinsson & Tropp 2011, arXiv 0909.4061, algorithm 4.4)."""
        with torch.autocast(x.device.type, enabled=False):
            away = (x.float() - x.float().mean(0)).flatten(1)
            for _ in range(3):
                turned = update.mean(away.T @ (away @ self.R)) / len(x)
                Q = torch.linalg.qr(turned + 1e-3 * self.R).Q  # as many as there are pixels
                self.R[:, : Q.shape[1]] = Q

    @torch.no_grad()
    def place_codes(self, x: Tensor, index: Tensor) -> None:
        """To the ball, which Adam's momentum may have left since they were seen; new ones to where R has
        their picture, so that alike pictures begin with alike codes."""
        with torch.autocast(x.device.type, enabled=False):
            away = (x.float() - x.float().mean(0)) if len(x) > 1 else x.float()
            begin = away.flatten(1) @ self.R
        begin = begin / begin.norm(dim=1, keepdim=True).clamp_min(1e-8)
        z = torch.where(self.known[index][:, None], self.Z.weight[index], begin)
        self.Z.weight[index] = self.projected(z)
        self.known[index] = True

    def distance(self, made: Tensor, real: Tensor) -> Tensor:
        squares = F.mse_loss(made, real)
        if self.config.distance == "squares":
            return squares
        return squares + (self.content or laplacian)(made, real)

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        x, index = batch["image"], batch["index"]
        if t == 0:
            self.find_components(x, update)
        self.place_codes(x, index)
        made = self.G(self.projected(self.Z(index))).float()
        loss = self.distance(made, x)
        update("GLO", loss)
        return {"loss": loss.detach(), "MSE": F.mse_loss(made.detach(), x)}

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(self.projected(noise))

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Pictures whose codes are known, rebuilt; and samples."""
        rebuilt = self.G(self.projected(self.Z(batch["index"])))
        return {"input": batch["image"], "reconstruction": rebuilt, **super().preview(batch)}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, latent=8, channels=4, batch_size=4, steps=2, mixed_precision="no")
