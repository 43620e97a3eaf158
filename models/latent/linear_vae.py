"""Linear VAE (Lucas et al. 2019, arXiv 1911.02469) of probabilistic PCA (Tipping & Bishop 1999).

    p(z) = N(0, I),  p(x|z) = N(W z + b, s² I)   so that   p(x) = N(b, W Wᵀ + s² I)
    p(z|x) = N(M⁻¹ Wᵀ (x - b), s² M⁻¹),  M = Wᵀ W + s² I
    q(z|x) = N(V (x - b), diag D)
    log p(x) = ELBO + KL(q(z|x) ‖ p(z|x))

The one VAE whose log p(x) and posterior are known, so that the ELBO's gap can be seen: a lecture says that
it "cannot be computed", which is true of networks. The gap is 0 where the columns of W are orthogonal, for
then a diagonal D is exact; training finds such a W. Everything is a closed form, nothing is sampled.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datasets.options import Images
from models.latent import vae
from translate.config import RunConfig
from translate.task import DataInfo, Task


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """LinearVAE (Lucas et al. 2019)"""

    size: int = 28
    latent: int = 20  # dimensions of z
    learning_rate: float = 2e-3
    batch_size: int = 100
    steps: int = 10_000


class LinearVAE(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("decoder", "V")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.shape = info.channels["image"], config.size, config.size
        n, d = math.prod(self.shape), config.latent
        self.noise_shape = (d,)
        self.decoder = nn.Linear(d, n)  # W and b
        self.V = nn.Linear(n, d, bias=False)
        self.log_D = nn.Parameter(torch.zeros(d))
        self.log_s = nn.Parameter(torch.zeros(()))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        learned = [*self.decoder.parameters(), *self.V.parameters(), self.log_D, self.log_s]
        return {"VAE": torch.optim.Adam(learned, lr=self.config.learning_rate, fused=True)}

    def precision(self) -> Tensor:
        """M = Wᵀ W + s² I, [d, d]."""
        W = self.decoder.weight
        return W.T @ W + (2 * self.log_s).exp() * torch.eye(W.shape[1], device=W.device)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x) of [B, n], in nats: [B]. Never builds the n x n covariance (Woodbury)."""
        W, s2, M = self.decoder.weight, (2 * self.log_s).exp(), self.precision()
        r, (n, d) = x - self.decoder.bias, W.shape
        explained = ((r @ W) * torch.linalg.solve(M, (r @ W).T).T).sum(1)
        log_det = (n - d) * 2 * self.log_s + torch.linalg.slogdet(M)[1]
        return -0.5 * (n * math.log(2 * math.pi) + log_det + (r.square().sum(1) - explained) / s2)

    def elbo(self, x: Tensor) -> Tensor:
        """E_q log p(x|z) - KL(q ‖ p(z)) of [B, n], in nats: [B]."""
        W, s2, r = self.decoder.weight, (2 * self.log_s).exp(), x - self.decoder.bias
        mu, log_D = self.V(r), self.log_D.expand(len(x), -1)
        error = (r - mu @ W.T).square().sum(1) + (W.square().sum(0) * self.log_D.exp()).sum()
        return -0.5 * (W.shape[0] * (math.log(2 * math.pi) + 2 * self.log_s) + error / s2) - vae.kl(mu, log_D)

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        x = batch["image"].flatten(1).float()
        with torch.autocast(x.device.type, enabled=False):
            elbo = self.elbo(x).mean()
            update("VAE", -elbo)
            with torch.no_grad():
                exact, bound = self.log_likelihood(x).mean(), self.elbo(x).mean()
        return {"log p": exact, "ELBO": bound, "gap": exact - bound}

    def encode(self, image: Tensor) -> Tensor:
        """Pictures [B, C, size, size] to the mean of q(z|x), [B, d]."""
        return self.V(image.flatten(1) - self.decoder.bias)

    def generate(self, noise: Tensor) -> Tensor:
        return self.decoder(noise).unflatten(1, self.shape).clamp(-1, 1)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, latent=4, batch_size=4, steps=2, mixed_precision="no")
