"""Variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114); β-VAE (Higgins et al. 2017).

    -ELBO = E_q [-log p(x|z)] + β KL(q(z|x) ‖ p(z)),  q(z|x) = N(μ, diag σ²),  p(z) = N(0, I)   (eq. 3)
    KL = -½ Σ_j (1 + log σ_j² - μ_j² - σ_j²)                                                    (appendix B)
    p(x|z) = N(x; d(z), s² I), so -log p(x|z) = ‖x - d(z)‖² / (2 s²) + const, a sum over pixels
    z = μ + σ ⊙ ε, ε ~ N(0, I)                                                                  (section 2.4)

Two lectures are corrected here: one subtracts the KL term (it is added); one takes the encoder's output as
log σ in the sampling and as log σ² in the KL (here it is log σ² in both). Deviation: convolutions for
pictures (the networks of DCGAN) where the paper has one hidden layer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.gan import dcgan
from translate.config import RunConfig
from translate.task import DataInfo, Task


def kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) per picture: [B, d], [B, d] to [B]."""
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1)


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    """VAE (Kingma & Welling 2014)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    latent: int = 64  # dimensions of z
    channels: int = 32  # width of the convolutions beside the picture
    beta: float = 1.0  # weight of the KL term; above 1: β-VAE
    deviation: float = 0.1  # s of p(x|z), in units of [-1, 1]: how far a pixel may be off
    learning_rate: float = 1e-3
    batch_size: int = 100  # section 5
    steps: int = 20_000


class VAE(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("decoder", "encoder")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent,)
        self.encoder = dcgan.Discriminator(
            info.channels["image"], config.channels, config.size, 2 * config.latent
        )
        self.decoder = dcgan.Generator(config.latent, config.channels, config.size, info.channels["image"])

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {"VAE": torch.optim.Adam(parameters, lr=self.config.learning_rate, fused=True)}

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z|x): pictures to μ and log σ², each [B, d], in float32."""
        mu, log_var = self.encoder(x).flatten(1).float().chunk(2, 1)
        return mu, log_var

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        mu, log_var = self.posterior(x)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        error = (x - self.decoder(z).float()).square().flatten(1).sum(1)  # ‖x - d(z)‖²
        reconstruction, divergence = (error / (2 * c.deviation**2)).mean(), kl(mu, log_var).mean()
        update("VAE", reconstruction + c.beta * divergence)
        return {
            "reconstruction": reconstruction.detach(),
            "KL": divergence.detach(),
            "MSE": error.detach().mean() / x[0].numel(),
        }

    def generate(self, noise: Tensor) -> Tensor:
        return self.decoder(noise)

    def encode(self, image: Tensor) -> Tensor:
        """Pictures [B, C, size, size] to the most likely z [B, d], μ."""
        return self.posterior(image)[0]

    def preview(self, batch: dict) -> dict[str, Tensor]:
        z = self.encode(batch["image"])
        samples = super().preview(batch)["output"]
        return {"input": batch["image"], "reconstruction": self.decoder(z), "sample": samples}

    @classmethod
    def tiny(cls) -> Config:
        return Config(size=16, latent=8, channels=4, batch_size=4, steps=2, mixed_precision="no")
