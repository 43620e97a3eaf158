"""WGAN (Arjovsky et al. 2017, arXiv 1701.07875): the distance of two distributions, on DCGAN's networks.

    W(P_r, P_g) = sup over ‖f‖_L <= 1 of  E_x f(x) - E_z f(G(z))                                 (eq. 2)
    five times: w <- RMSProp(w, ∇ -(E f(x) - E f(G(z)))), w <- clip(w, -c, c); then G descends -E f(G(z))
                                                                                                 (algorithm 1)

The logged "D" is minus the estimate of W, up to the Lipschitz constant of the clipped critic: it falls with
the quality of the samples, where Jensen-Shannon stays at log 2 for distributions that do not overlap. Without
batch norm (--norm-g none --norm-d none) it still learns (figure 6).
"""

from dataclasses import dataclass
from typing import Literal

from models.gan import dcgan
from translate.config import Objective


@dataclass(frozen=True, kw_only=True)
class Config(dcgan.Config):
    """WGAN (Arjovsky et al. 2017)"""

    objective: Objective = "wasserstein"
    optimizer: Literal["adam", "rmsprop", "sgd"] = "rmsprop"
    learning_rate: float = 5e-5
    clip_weights: float = 0.01
    n_critic: int = 5
    batch_size: int = 64
    steps: int = 125_000  # of the critic


class WGAN(dcgan.DCGAN):
    Config = Config
