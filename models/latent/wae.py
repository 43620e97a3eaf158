"""Wasserstein autoencoder (Tolstikhin et al. 2018, arXiv 1711.01558).

    min_{e, d}  E c(x, d(e(x))) + λ D(q(z), p(z)),  c = 0.05 ‖x - x'‖² for pixels in [0, 1]       (eq. 4)
    mmd:  D = MMD²(q(z), N(0, I)), unbiased, kernel Σ_C C / (C + ‖z - z'‖²) over
          C = 2 d {0.1, 0.2, 0.5, 1, 2, 5, 10}; or Σ exp(-‖z - z'‖² / C)                      (algorithm 2)
    gan:  D_γ(z) tells z ~ N(0, I) from e(x); e descends -log D_γ(e(x))                       (algorithm 1)

Where a VAE pushes the codes of each picture to N(0, I), here all codes together must be so. Networks of
DCGAN; deviations: 32 to 64 channels where the paper has 1,024, and no phase that fits the codes' first two
moments.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.common import mmd, objectives
from models.latent import ae
from translate.task import DataInfo

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class CodeDiscriminator(nn.Sequential):
    """z [B, d] to logits [B, 1]: four hidden layers of 512 (appendix F)."""

    def __init__(self, d: int, hidden: int = 512):
        layers: list[nn.Module] = [nn.Linear(d, hidden), nn.ReLU(True)]
        for _ in range(3):
            layers += [nn.Linear(hidden, hidden), nn.ReLU(True)]
        super().__init__(*layers, nn.Linear(hidden, 1))


@dataclass(frozen=True, kw_only=True)
class Config(ae.Config):
    """WAE (Tolstikhin et al. 2018)"""

    latent: int = 8  # the paper's for MNIST; 64 for CelebA
    divergence: Literal["mmd", "gan"] = "mmd"  # between the codes and N(0, I)
    kernel: Literal["imq", "rbf"] = "imq"  # of the MMD: inverse multiquadratic or Gaussian
    lambda_divergence: float = 10.0  # its weight; the authors' code has 100 for CelebA
    rate_D: float = 5e-4  # Adam's step size of the codes' discriminator
    beta1: float = 0.5  # Adam's first moment


def kernel(name: str, d: int) -> mmd.Kernel:
    scales = [2 * d * scale for scale in SCALES]
    if name == "imq":
        return mmd.inverse_multiquadratic(scales)
    return mmd.rbf([C / 2 for C in scales])


class WAE(ae.AE):
    Config = Config

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        if config.divergence == "gan":
            self.D = CodeDiscriminator(config.latent)
        self.objective = objectives.NonSaturating()

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c, parameters = self.config, [*self.encoder.parameters(), *self.decoder.parameters()]
        found = {"WAE": torch.optim.Adam(parameters, c.learning_rate, (c.beta1, 0.999), fused=True)}
        if c.divergence == "gan":
            found["D"] = torch.optim.Adam(self.D.parameters(), c.rate_D, (c.beta1, 0.999), fused=True)
        return found

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        codes = self.code(x)
        z = torch.randn_like(codes)
        cost = 0.05 * ae.squared_error(x, self.decoder(codes)).mean() / 4  # pixels in [0, 1]: a quarter
        if c.divergence == "mmd":
            divergence = mmd.mmd2(codes, z, kernel(c.kernel, c.latent)) if len(x) > 1 else 0 * codes.sum()
        else:
            loss_D = self.objective.discriminate(self.D(z), self.D(codes.detach()))
            update("D", loss_D)
            divergence = self.objective.fool(self.D, codes, z)
        update("WAE", cost + c.lambda_divergence * divergence)
        return {"cost": cost.detach(), "divergence": divergence.detach()}
