"""WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028): WGAN whose critic's gradient is held near length 1.

    L = E D(x̃) - E D(x) + λ E (‖∇ D(x̂)‖₂ - 1)²,  x̂ = ε x + (1 - ε) x̃, ε ~ U[0, 1]               (eq. 3)

λ = 10, five updates of D for one of G, Adam of 1e-4, β₁ = 0, β₂ = 0.9 (algorithm 1). No batch norm in D, as
its gradient must be of one picture alone (section 4); layer norm is theirs. A lecture prints
E (D(x)² + ‖∇ D(x)‖²) under this name, which is another penalty.
"""

from dataclasses import dataclass

from models.gan import dcgan
from translate.config import GameNorm, Objective, Penalties


@dataclass(frozen=True, kw_only=True)
class Config(dcgan.Config):
    """WGAN-GP (Gulrajani et al. 2017)"""

    objective: Objective = "wasserstein"
    penalty: Penalties = ("gradient",)
    norm_d: GameNorm = "layer"
    learning_rate: float = 1e-4
    beta1: float = 0.0
    beta2: float = 0.9
    n_critic: int = 5
    batch_size: int = 64
    steps: int = 125_000  # of the critic


class WGANGP(dcgan.DCGAN):
    Config = Config
