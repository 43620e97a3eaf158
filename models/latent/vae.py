"""Variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114).

    -ELBO = E_q [-log p(x|z)] + β KL(q(z|x) ‖ p(z)),  q(z|x) = N(μ, diag σ²),  p(z) = N(0, I)   (eq. 3)
    KL = -½ Σ_j (1 + log σ_j² - μ_j² - σ_j²)                                                   (appendix B)
    normal:     p(x|z) = N(x; d(z), s² I)                                                    (appendix C.2)
    bernoulli:  -log p(x|z) = -Σ_i x_i log p_i + (1 - x_i) log(1 - p_i), pixels x_i in [0, 1]  (appendix C.1)
    z = μ + σ ⊙ ε, ε ~ N(0, I)                                                                (section 2.4)

Two lectures are corrected here: one subtracts the KL term (it is added); one takes the encoder's output as
log σ in the sampling and as log σ² in the KL (here it is log σ² in both). The lectures' MNIST example is
`--network dense --likelihood bernoulli --size 28 --latent 20`: 784-400-20; its grey pixels are not 0 or 1,
so that its nats are a cross entropy and no density. Its encoder sees them in [0, 1], too: on MNIST the test
bound after ten epochs is 105.3 nats, 106.9 with [-1, 1] (two seeds each). Deviation: DCGAN's convolutions
unless `--network dense`.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.latent import ae
from translate.task import DataInfo


def kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) per picture: [B, d], [B, d] to [B]."""
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1)


class Shares(nn.Module):
    """Pixels in [-1, 1] as shares of white, in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1) / 2


@dataclass(frozen=True, kw_only=True)
class Config(ae.Config):
    """VAE (Kingma & Welling 2014)"""

    beta: float = 1.0  # weight of the KL term
    likelihood: Literal["normal", "bernoulli"] = "normal"  # p(x|z) of a pixel
    deviation: float = 0.1  # s of the normal p(x|z), in units of [-1, 1]: how far a pixel may be off


class VAE(ae.AE):
    Config, per_dimension = Config, 2

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        if config.network == "dense" and config.likelihood == "bernoulli":
            self.encoder.insert(0, Shares())

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z|x): pictures to μ and log σ², each [B, d], in float32."""
        mu, log_var = super().code(x).chunk(2, 1)
        return mu, log_var

    def code(self, x: Tensor) -> Tensor:
        """Pictures [B, C, size, size] to the most likely z [B, d], μ."""
        return self.posterior(x)[0]

    def surprise(self, x: Tensor, z: Tensor) -> Tensor:
        """-log p(x|z) of each picture, [B], in nats."""
        a = self.decoder.before_tanh(z).float()
        if self.config.likelihood == "bernoulli":  # p = (1 + tanh a) / 2 = σ(2 a)
            each = F.binary_cross_entropy_with_logits(2 * a, (x.float() + 1) / 2, reduction="none")
            return each.flatten(1).sum(1)
        s = self.config.deviation
        constant = x[0].numel() * math.log(s * math.sqrt(2 * math.pi))
        return ae.squared_error(x, a.tanh()) / (2 * s**2) + constant

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-log p(x|z) at one z ~ q(z|x), and KL(q(z|x) ‖ p(z)): each [B]. Their sum estimates -ELBO."""
        mu, log_var = self.posterior(x)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        return self.surprise(x, z), kl(mu, log_var)

    def weighted(self, divergence: Tensor, t: int) -> Tensor:
        """What update `t` descends for the mean KL."""
        return self.config.beta * divergence

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        reconstruction, divergence = (term.mean() for term in self.terms(batch["image"]))
        update(type(self).__name__, reconstruction + self.weighted(divergence, t))
        return {"reconstruction": reconstruction.detach(), "KL": divergence.detach()}
