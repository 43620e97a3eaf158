"""Regularised autoencoder, RAE (Ghosh et al. 2020, arXiv 1903.12436).

    min_{e, d}  E ‖x - d(z)‖² + β ½‖z‖² + λ L_reg,  z = e(x)                                      (eq. 11)
    l2:        L_reg = ‖θ_d‖²                                                              (RAE-L2, eq. 13)
    gradient:  L_reg = E ‖∂d(z)/∂z‖², by one random direction of the pictures              (RAE-GP, eq. 12)
    then       max_q E log q(z),  q a mixture of normals with full covariances              (section 4)

No noise in training: a smooth decoder and small codes, and a density fitted afterwards, of which `generate`
draws. The last `--density-share` of the updates is that fit, by Adam on -log q(z) where the authors run EM.
A lecture's table of methods without a game has no such row; RAE is its strongest (MNIST FID 9.1 in pythae).
The weights are for pixels in [0, 1]: errors here, in [-1, 1], count a quarter.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.latent import ae
from translate.task import DataInfo


class Mixture(nn.Module):
    """q(z) = Σ_k π_k N(z; μ_k, (L_k L_kᵀ)⁻¹) of codes whose mean and variance are first made 0 and 1."""

    def __init__(self, d: int, components: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(d, affine=False, momentum=0.02)
        self.weights = nn.Parameter(torch.zeros(components))  # log π + const
        self.mean = nn.Parameter(torch.randn(components, d))
        self.log_diagonal = nn.Parameter(torch.zeros(components, d))
        self.below = nn.Parameter(torch.zeros(components, d, d))  # L_k below its diagonal

    def triangles(self) -> Tensor:
        return self.below.tril(-1) + torch.diag_embed(self.log_diagonal.exp())

    def deviation(self) -> Tensor:
        return (self.norm.running_var + self.norm.eps).sqrt()

    def each(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log π_k N_k of codes [B, d], [B, K], and L_kᵀ (z - μ_k), [B, K, d], once they are 0 and 1."""
        with torch.autocast(z.device.type, enabled=False):
            z = (z.float() - self.norm.running_mean) / self.deviation()
            away = torch.einsum("kji,bkj->bki", self.triangles(), z[:, None] - self.mean)
            squares = away.square().sum(2) + z.shape[1] * math.log(2 * math.pi)
            return self.weights.log_softmax(0) + self.log_diagonal.sum(1) - 0.5 * squares, away

    def log_density(self, z: Tensor) -> Tensor:
        """log q [B] of codes [B, d], whose scale is that of `norm`'s running statistics."""
        return self.each(z)[0].logsumexp(1) - self.deviation().log().sum()

    def forward(self, noise: Tensor) -> Tensor:
        """Normal noise [B, d + 1] to codes [B, d]: the last number chooses the component, by the inverse of
        its distribution function."""
        with torch.autocast(noise.device.type, enabled=False):
            ends = self.weights.softmax(0).cumsum(0)[:-1]
            k = (ends < torch.special.ndtr(noise[:, -1:].float())).sum(1)
            z = self.mean[k] + back_substituted(self.triangles()[k].mT, noise[:, :-1].float())
            return z * self.deviation() + self.norm.running_mean

    def noise(self, z: Tensor) -> Tensor:
        """The inverse of `forward`, through the component that most likely made each code."""
        log_parts, away = self.each(z)
        k = log_parts.argmax(1)
        ends = self.weights.softmax(0).cumsum(0)
        middle = ends[k] - 0.5 * self.weights.softmax(0)[k]
        return torch.cat([away[torch.arange(len(z)), k], torch.special.ndtri(middle)[:, None]], 1)


def back_substituted(upper: Tensor, b: Tensor) -> Tensor:
    """x [B, d] of U x = b, U [B, d, d] upper triangular, in operations that ONNX has."""
    x: list[Tensor] = []  # the last ones
    for i in reversed(range(b.shape[1])):
        later = (upper[:, i, i + 1 :] * torch.stack(x, 1)).sum(1) if x else 0.0
        x.insert(0, (b[:, i] - later) / upper[:, i, i])
    return torch.stack(x, 1)


@dataclass(frozen=True, kw_only=True)
class Config(ae.Config):
    """RAE (Ghosh et al. 2020)"""

    latent: int = 16  # the paper's for MNIST; 128 for CIFAR-10
    regulariser: Literal["l2", "gradient", "none"] = "l2"  # of the decoder
    beta: float = 1e-4  # weight of the codes' size
    lambda_reg: float = 1e-7  # weight of the regulariser; for gradient 1e-6
    components: int = 10  # of the mixture
    density_share: float = 0.2  # of the updates: fit the mixture to the codes
    rate_density: float = 1e-2  # Adam's step size there


class RAE(ae.AE):
    Config, exported = Config, ("decoder", "encoder", "density")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent + 1,)
        self.density = Mixture(config.latent, config.components)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = torch.optim.Adam(self.density.parameters(), lr=self.config.rate_density, fused=True)
        return super().optimizers() | {"density": adam}

    def lr_scale(self, t: int, name: str) -> float:
        """As `--lr-schedule` says, then to 0 in a line over the updates of the density."""
        first, steps = self.first(), self.config.steps
        return self.scheduled(t, first) if t < first else 1 - (t - first) / (steps - first)

    def first(self) -> int:
        """The update that the fit of the density begins with."""
        return round((1 - self.config.density_share) * self.config.steps)

    @property
    def begins(self) -> int:
        return self.first()

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t >= self.first():
            with torch.no_grad():
                z = self.encoder.eval()(x).flatten(1).float()
            loss = -self.density.log_density(z).mean()
            update("density", loss)
            return {"-log q(z)": loss.detach()}
        z = self.code(x)
        error = ae.squared_error(x, self.decoder(z)).mean() / 4
        loss = error + c.beta * 0.5 * z.square().sum(1).mean() + c.lambda_reg * self.regularised(z)
        update("RAE", loss)
        if len(x) > 1:
            self.density.norm(z.detach())  # its running statistics
        return {"MSE": 4 * error.detach() / x[0].numel(), "codes": z.detach().square().sum(1).mean()}

    def regularised(self, z: Tensor) -> Tensor:
        """L_reg of the decoder at codes [B, d]."""
        if self.config.regulariser == "l2":
            return torch.stack([p.square().sum() for p in self.decoder.parameters()]).sum()
        if self.config.regulariser == "gradient":
            z = z.detach().requires_grad_(True)
            made = self.decoder(z).float()
            along = torch.randn_like(made)  # E_v ‖vᵀ J‖² = ‖J‖² for v ~ N(0, I)
            (gradient,) = torch.autograd.grad((made * along).sum(), z, create_graph=True)
            return gradient.square().sum(1).mean()
        return torch.zeros((), device=z.device)

    def encode(self, image: Tensor) -> Tensor:
        return self.density.noise(self.code(image))

    def generate(self, noise: Tensor) -> Tensor:
        return self.decoder(self.density(noise))

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, latent=8, channels=4, components=2, density_share=0.5, batch_size=4, steps=2,
            mixed_precision="no",
        )  # fmt: skip
