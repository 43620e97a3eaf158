"""Generative latent nearest neighbours, GLANN (Hoshen, Li & Malik 2019, arXiv 1812.08985).

    1. min_{G, z_i}  Σ_i ℓ(G(z_i), x_i),  ‖z_i‖ = 1               GLO on the sphere               (eq. 4)
    2. min_T E_{e_1 ... e_m}  Σ_i  min_j ‖T(e_j) - z_i‖²           IMLE from noise to codes     (eqs. 5, 6)
    sample: x = G(T(e)), e ~ N(0, I)

GLO's codes keep what is in a picture, but random points between them may be none; IMLE makes noise of
codes, where squared distance means something, and blurs no picture. The first `--glo-share` of the updates
is 1, the rest 2. Deviations: DCGAN's G; ℓ is GLO's (no VGG); m is `--candidates`, drawn anew every ten
updates, where the authors draw twice as many as pictures each epoch; step sizes halve nine times in phase
1, as theirs do, but Adam goes on where they begin it anew each epoch. Of 2,000 updates so many are spent on
small steps that `--lr-schedule linear --glo-share 0.6` is better (docs/baselines.md).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.latent import glo
from models.latent.imle import nearest
from translate.task import DataInfo

REFRESH = 10  # updates of T between two draws of candidates


class Mapping(nn.Sequential):
    """T: noise e [B, n] to codes [B, d], two hidden layers (the authors' code: 32-128-128-64)."""

    def __init__(self, n: int, hidden: int, d: int):
        super().__init__(
            nn.Linear(n, hidden), nn.BatchNorm1d(hidden), nn.ReLU(True),
            nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU(True),
            nn.Linear(hidden, d),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config(glo.Config):
    """GLANN (Hoshen, Li & Malik 2019)"""

    noise: int = 32  # dimensions of e
    hidden: int = 128  # width of T
    glo_share: float = 0.8  # of the updates: GLO; the rest: IMLE on its codes
    candidates: int = 20_000  # m, noises among which a code's nearest is sought
    codes: int = 500  # codes in an update of T
    rate_T: float = 1e-3  # Adam's step size of T
    lr_schedule: Literal["halving", "constant", "linear", "cosine"] = (
        "halving"  # in phase 1, the authors'; the others in each phase by itself
    )
    weight_decay: float = 1e-5  # of T


class GLANN(glo.GLO):
    Config, exported = Config, ("G", "T")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c = config
        self.noise_shape = (c.noise,)
        self.T = Mapping(c.noise, c.hidden, c.latent)
        self.register_buffer("e", torch.zeros(c.candidates, c.noise))
        self.register_buffer("mapped", torch.zeros(c.candidates, c.latent))  # T(e)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        adam = dict(betas=(0.9, 0.999), weight_decay=c.weight_decay, fused=True)
        return super().optimizers() | {"T": torch.optim.Adam(self.T.parameters(), lr=c.rate_T, **adam)}

    def first(self) -> int:
        """The update that phase 2 begins with."""
        return round(self.config.glo_share * self.config.steps)

    @property
    def begins(self) -> int:
        return self.first()

    def lr_scale(self, t: int, name: str) -> float:
        first, c = self.first(), self.config
        if c.lr_schedule == "halving":
            return 0.5 ** (10 * t // first) if t < first else 1.0
        return self.scheduled(t, first) if t < first else self.scheduled(t - first, c.steps - first)

    def projected(self, z: Tensor) -> Tensor:
        """To the sphere; its radius has no gradient."""
        return z / z.detach().norm(dim=1, keepdim=True).clamp_min(1e-8)

    @torch.no_grad()
    def draw_candidates(self) -> None:
        self.e.normal_()
        for e, mapped in zip(*(b.split(self.config.codes) for b in (self.e, self.mapped)), strict=True):
            mapped.copy_(self.T(e) if len(e) > 1 else self.T.eval()(e))
        self.T.train()

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c = self.config
        if t < self.first():
            return super().step(batch, t, update)
        if (t - self.first()) % REFRESH == 0:
            self.draw_candidates()
        count = max(2, min(c.codes, len(self.Z.weight)))
        learned = (self.known | ~self.known.any()).float()  # all where phase 1 had no update
        rows = torch.multinomial(learned, count, replacement=True)
        z = self.projected(self.Z.weight.detach()[rows])
        e = self.e[nearest(z, self.mapped)]
        error = (self.T(e).float() - z).square().sum(1).mean()
        update("T", error)
        return {"code error": error.detach()}

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(self.projected(self.T(noise)))

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, latent=8, channels=4, noise=4, hidden=8, glo_share=0.5, candidates=16, codes=8,
            batch_size=4, steps=2, mixed_precision="no",
        )  # fmt: skip
