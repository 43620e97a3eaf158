"""Generative moment matching networks, GMMN (Li, Swersky & Zemel 2015, arXiv 1502.02761).

    min_G  MMD(G(z), x),  k(x, y) = Σ_s exp(-‖x - y‖² / (2 s)),  z ~ U(-1, 1)                (eqs. 3 and 5)
    codes (GMMN+AE): first an autoencoder, then  min_G MMD(G(z), e(x))  and x = d(G(z))       (section 4)

The square root of the biased MMD² is descended: its gradient stays as it nears 0 (section 3.2). s is a
variance: 2, 5, 10, 20, 40, 80 for pixels in [0, 1], 1 for codes. Noise comes normal and is made uniform by
its distribution function. Deviation: Adam at 1e-3 where the authors' code has SGD at 2 on 1,000 times the
loss.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from datasets.options import Images
from models.common import mmd
from models.latent import ae
from translate.config import RunConfig
from translate.task import DataInfo, Task

PIXELS = [2.0, 5.0, 10.0, 20.0, 40.0, 80.0]  # variances, for 784 pixels in [0, 1]
CODES = [1.0]


def dense(*widths: int) -> list[nn.Module]:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU(True)]
    return layers[:-1]


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """GMMN (Li, Swersky & Zemel 2015)"""

    size: int = 28
    noise: int = 10  # dimensions of z
    space: Literal["pixels", "codes"] = "pixels"  # where moments are matched
    code: int = 32  # numbers of the autoencoder, each in (0, 1)
    ae_hidden: int = 1024  # its hidden layer
    ae_share: float = 0.3  # of the updates that train it, before G
    learning_rate: float = 1e-3
    batch_size: int = 1000
    steps: int = 40_000


class GMMN(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G", "decoder")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c = config
        self.noise_shape, self.shape = (c.noise,), (info.channels["image"], c.size, c.size)
        pixels, in_codes = math.prod(self.shape), c.space == "codes"
        outputs = c.code if in_codes else pixels
        self.G = nn.Sequential(*dense(c.noise, 64, 256, 256, 1024, outputs), nn.Sigmoid())
        self.encoder, self.decoder = nn.Identity(), nn.Identity()
        if in_codes:
            self.encoder = nn.Sequential(
                nn.Dropout(0.2), nn.Linear(pixels, c.ae_hidden), nn.Sigmoid(),
                nn.Dropout(0.5), nn.Linear(c.ae_hidden, c.code), nn.Sigmoid(),
            )  # fmt: skip
            self.decoder = nn.Sequential(
                nn.Linear(c.code, c.ae_hidden), nn.Sigmoid(), nn.Linear(c.ae_hidden, pixels), nn.Sigmoid()
            )
        # Distances grow with the number of pixels; the published variances are for 784.
        self.kernel = mmd.rbf(CODES if in_codes else [s * pixels / 784 for s in PIXELS])

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self.config.learning_rate
        found = {"G": torch.optim.Adam(self.G.parameters(), lr=rate, fused=True)}
        if self.config.space == "codes":
            parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
            found["AE"] = torch.optim.Adam(parameters, lr=rate, fused=True)
        return found

    @property
    def begins(self) -> int:
        return round(self.config.ae_share * self.config.steps) if self.config.space == "codes" else 0

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, (batch["image"].float().flatten(1) + 1) / 2
        if t < self.begins:
            error = ae.squared_error(x, self.decoder(self.encoder(x))).mean()
            update("AE", error)
            return {"AE": error.detach()}
        with torch.no_grad():
            target = self.encoder.eval()(x).float()
        made = self.G(uniform(torch.randn(len(x), c.noise, device=x.device))).float()
        with torch.autocast(x.device.type, enabled=False):
            # Of one picture and one sample that are alike the root has no gradient.
            loss = mmd.mmd2(made, target, self.kernel, "biased").clamp_min(1e-12).sqrt()
        update("G", loss)
        return {"MMD": loss.detach()}

    def generate(self, noise: Tensor) -> Tensor:
        return 2 * self.decoder(self.G(uniform(noise))).unflatten(1, self.shape) - 1

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, batch_size=4, steps=2, mixed_precision="no")


def uniform(noise: Tensor) -> Tensor:
    """Normal numbers to uniform ones in (-1, 1): 2 Φ(z) - 1."""
    return torch.erf(noise / math.sqrt(2))
