"""β-VAE (Higgins et al. 2017, openreview Sy2fzU9gl; Burgess et al. 2018, arXiv 1804.03599).

    H:  E_q [-log p(x|z)] + β KL(q(z|x) ‖ p(z)), β > 1                                  (Higgins, eq. 4)
    B:  E_q [-log p(x|z)] + γ |KL - C|, C growing in a line from 0 to `--capacity`      (Burgess, eq. 8)

A KL above the data's need is dear, so the latents that remain are few and each means one thing. H unless
`--capacity` is given. Published: β 4, 10 latents, Adam at 1e-4 (3D chairs); γ 1000, C to 25 nats over
100,000 updates, Adam at 5e-4 (dSprites).
"""

from dataclasses import dataclass

from torch import Tensor

from models.latent import vae


@dataclass(frozen=True, kw_only=True)
class Config(vae.Config):
    """Beta-VAE (Higgins et al. 2017)"""

    beta: float = 4.0
    latent: int = 10
    learning_rate: float = 1e-4
    capacity: float = 0.0  # C at last, in nats (Burgess: 25); 0: β instead
    gamma: float = 1000.0  # weight of |KL - C|
    capacity_steps: int = 100_000  # updates until C is there


class BetaVAE(vae.VAE):
    Config = Config

    def weighted(self, divergence: Tensor, t: int) -> Tensor:
        c = self.config
        if c.capacity == 0:
            return super().weighted(divergence, t)
        return c.gamma * (divergence - c.capacity * min(1.0, t / c.capacity_steps)).abs()
