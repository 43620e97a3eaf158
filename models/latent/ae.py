"""Autoencoder (Hinton & Salakhutdinov 2006, Science 313, doi 10.1126/science.1127647).

    min_{e, d}  E ‖x - d(e(x))‖², a sum over pixels and channels

The codes follow no known distribution: what `generate` draws, N(0, I), they need not fill. This is the row
that VAE, WAE and RAE are measured against. Deviations: trained at once by Adam where the paper trains layer
by layer; the networks of DCGAN, or one hidden layer (`--network dense`).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from datasets.options import Images
from models.gan import dcgan
from translate.config import RunConfig
from translate.task import DataInfo, Task


class Encoder(nn.Sequential):
    """Pictures [B, C, size, size] to [B, outputs], by one hidden layer."""

    def __init__(self, inputs: int, hidden: int, size: int, outputs: int):
        pixels = inputs * size * size
        super().__init__(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(True), nn.Linear(hidden, outputs))


class Decoder(nn.Module):
    """z [B, d] to pictures [B, C, size, size] in [-1, 1], by one hidden layer."""

    def __init__(self, d: int, hidden: int, size: int, out: int):
        super().__init__()
        shape = out, size, size
        layers = [nn.Linear(d, hidden), nn.ReLU(True), nn.Linear(hidden, out * size * size)]
        self.layers = nn.Sequential(*layers, nn.Unflatten(1, shape))

    def before_tanh(self, z: Tensor) -> Tensor:
        return self.layers(z)

    def forward(self, z: Tensor) -> Tensor:
        return self.before_tanh(z).tanh()


@dataclass(frozen=True, kw_only=True)
class Config(Images, RunConfig):
    """AE (Hinton & Salakhutdinov 2006)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two; dense networks take any
    latent: int = 64  # dimensions of z
    network: Literal["conv", "dense"] = "conv"  # conv: DCGAN's; dense: one hidden layer each way
    channels: int = 32  # width of the convolutions beside the picture
    hidden: int = 400  # width of the hidden layer of dense networks
    learning_rate: float = 1e-3
    batch_size: int = 100
    steps: int = 20_000


class AE(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("decoder", "encoder")
    per_dimension = 1  # numbers of the encoder for one of z; a VAE has two

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent,)
        c, channels, outputs = config, info.channels["image"], self.per_dimension * config.latent
        if c.network == "dense":
            self.encoder = Encoder(channels, c.hidden, c.size, outputs)
            self.decoder = Decoder(c.latent, c.hidden, c.size, channels)
        else:
            self.encoder = dcgan.Discriminator(channels, c.channels, c.size, outputs)
            self.decoder = dcgan.Generator(c.latent, c.channels, c.size, channels)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        return {type(self).__name__: torch.optim.Adam(parameters, lr=self.config.learning_rate, fused=True)}

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        x = batch["image"]
        error = squared_error(x, self.decoder(self.code(x)))
        update("AE", error.mean())
        return {"MSE": error.detach().mean() / x[0].numel()}

    def code(self, x: Tensor) -> Tensor:
        """e(x): pictures [B, C, size, size] to z [B, d], in float32."""
        return self.encoder(x).flatten(1).float()

    def encode(self, image: Tensor) -> Tensor:
        """Pictures [B, C, size, size] to the noise [B, *noise_shape] that `generate` makes alike ones of."""
        return self.code(image)

    def generate(self, noise: Tensor) -> Tensor:
        return self.decoder(noise)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        x, samples = batch["image"], super().preview(batch)["output"]
        return {"input": x, "reconstruction": self.generate(noise=self.encode(x)), "sample": samples}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, latent=8, channels=4, batch_size=4, steps=2, mixed_precision="no")


def squared_error(x: Tensor, other: Tensor) -> Tensor:
    """‖x - x'‖² of each picture, [B], in float32."""
    return (x.float() - other.float()).square().flatten(1).sum(1)
