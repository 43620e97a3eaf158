"""BEGAN (Berthelot et al. 2017, arXiv 1703.10717): D is an autoencoder, worse at fakes.

    L(v) = |v - D(v)|, the mean over the picture                                       (eq. 1, η = 1)
    L_D = L(x) - k_t L(G(z_D)),   L_G = L(G(z_G))                                      (section 3.4)
    k_{t+1} = clip(k_t + λ_k (γ L(x) - L(G(z_G))), 0, 1),   k₀ = 0
    M = L(x) + |γ L(x) - L(G(z_G))|, small when it has converged                       (section 3.4.1)

γ = E L(G(z)) / E L(x), between diversity (1) and quality (0). Exponential linear units, nearest neighbours
up, strides down, G and the decoder alike (figure 1, without the optional skip connections). The authors' step
size halves when M stalls; here, as in carpedm20's code, every 100,000 updates. z is uniform in [-1, 1]:
2 Φ(n) - 1 of normal n. Deviation: L_G by the D that was just updated, and of the same z.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from datasets.options import Images
from translate.config import RunConfig, UserError
from translate.task import DataInfo, Task


def halved(size: int) -> tuple[int, int]:
    """The side from 7 to 13 that is left after halving `size`, and how often: the paper's 64 is 8 at last.

    Raises UserError where `size` cannot be halved to there.
    """
    halvings = 0
    while size % 2 == 0 and size >= 14:
        size, halvings = size // 2, halvings + 1
    if not 7 <= size <= 13:
        raise UserError(
            f"--size must be 7 to 13 times a power of two, e.g. 28, 32 or 64; halving stops at {size}"
        )
    return size, halvings


class Decoder(nn.Sequential):
    """h [B, d] to pictures [B, out, size, size]; unbounded, as the paper's."""

    def __init__(self, d: int, n: int, size: int, out: int):
        side, doublings = halved(size)
        layers: list[nn.Module] = [nn.Linear(d, n * side**2), nn.Unflatten(1, (n, side, side))]
        for i in range(doublings + 1):
            layers += [nn.Upsample(scale_factor=2)] if i else []
            layers += [
                nn.Conv2d(n, n, 3, padding=1),
                nn.ELU(True),
                nn.Conv2d(n, n, 3, padding=1),
                nn.ELU(True),
            ]
        super().__init__(*layers, nn.Conv2d(n, out, 3, padding=1))


class Encoder(nn.Sequential):
    """Pictures [B, inputs, size, size] to h [B, d]; n channels more at each halving."""

    def __init__(self, inputs: int, n: int, size: int, d: int):
        side, halvings = halved(size)
        layers: list[nn.Module] = [nn.Conv2d(inputs, n, 3, padding=1), nn.ELU(True)]
        for i in range(1, halvings + 2):
            layers += [nn.Conv2d(i * n, i * n, 3, padding=1), nn.ELU(True)]
            wider, stride = ((i + 1) * n, 2) if i <= halvings else (i * n, 1)
            layers += [nn.Conv2d(i * n, wider, 3, stride, 1), nn.ELU(True)]
        super().__init__(*layers, nn.Flatten(), nn.Linear((halvings + 1) * n * side**2, d))


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """BEGAN (Berthelot et al. 2017)"""

    size: int = 64  # 7 to 13 times a power of two
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = "resize"
    latent: int = 64  # dimensions of z and of D's codes
    channels: int = 128  # n
    gamma: float = 0.5  # diversity; 0.3 to 0.7 in the paper
    lambda_k: float = 1e-3  # step of k
    learning_rate: float = 1e-4
    batch_size: int = 16
    steps: int = 200_000


class BEGAN(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, channels = config, info.channels["image"]
        self.noise_shape = (c.latent,)
        self.G = Decoder(c.latent, c.channels, c.size, channels)
        self.D = nn.Sequential(
            Encoder(channels, c.channels, c.size, c.latent), Decoder(c.latent, c.channels, c.size, channels)
        )
        self.register_buffer("k", torch.zeros(()))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self.config.learning_rate
        return {
            name: torch.optim.Adam(getattr(self, name).parameters(), lr=rate, fused=True) for name in "GD"
        }

    def lr_scale(self, t: int, name: str) -> float:
        return super().lr_scale(t, name) * 0.5 ** (t // 100_000)

    def L(self, v: Tensor) -> Tensor:
        """|v - D(v)|, the mean over pictures and pixels."""
        return (v - self.D(v)).float().abs().mean()

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        fake = self.generate(torch.randn(len(x), *self.noise_shape, device=x.device))
        real_error, fake_error = self.L(x), self.L(fake.detach())
        update("D", real_error - self.k * fake_error)
        loss_G = self.L(fake)
        update("G", loss_G)
        balance = update.mean(c.gamma * real_error.detach() - loss_G.detach())  # over all processes: one k
        self.k.add_(c.lambda_k * balance).clamp_(0, 1)
        M = real_error.detach() + balance.abs()
        return {"L(x)": real_error.detach(), "L(G(z))": loss_G.detach(), "M": M, "k": self.k.clone()}

    def generate(self, noise: Tensor) -> Tensor:
        """Uniform z: normal numbers through their distribution function."""
        y = self.G(torch.erf(noise / math.sqrt(2)))
        return y if self.training else y.clamp(-1, 1)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, latent=8, channels=4, batch_size=4, steps=2, mixed_precision="no")
