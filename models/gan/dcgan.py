"""DCGAN: the first stable convolutional GAN (Radford et al. 2016, arXiv 1511.06434).

    min_G max_D  E log D(x) + E log(1 - D(G(z)))                       (Goodfellow et al. 2014, eq. 1)

G maximises log D(G(z)), as everybody trains it. Strided convolutions, batch norm except at G's output and
D's input, ReLU in G, leaky ReLU in D, tanh at the end (section 3). Deviation: z is normal, not uniform.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.common import objectives
from models.common.layers import init_normal
from translate.config import GameConfig
from translate.task import DataInfo, Task, UserError


class Generator(nn.Module):
    """z [B, d] to pictures [B, C, size, size] in [-1, 1]: project to 4x4, then double (figure 1).

    MNIST's 28 pixels begin at 7x7. `layers` end before the tanh.
    """

    def __init__(self, d: int, channels: int, size: int, out: int):
        super().__init__()
        least, doublings = halved(size)
        widths = [channels * 2 ** (doublings - 1 - i) for i in range(doublings)]
        project = nn.ConvTranspose2d(d, widths[0], least, bias=False)
        layers = [project, nn.BatchNorm2d(widths[0]), nn.ReLU(True)]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(True),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], out, 4, 2, 1))
        init_normal(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None]).tanh()


class Discriminator(nn.Sequential):
    """Pictures [B, C, size, size] to logits [B, outputs, 1, 1]: halve to 4x4 or so, then one number."""

    def __init__(self, inputs: int, channels: int, size: int, outputs: int = 1):
        least, halvings = halved(size)
        layers: list[nn.Module] = [nn.Conv2d(inputs, channels, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for i in range(1, halvings):
            narrow, wide = channels * 2 ** (i - 1), channels * 2**i
            layers += [
                nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
                nn.BatchNorm2d(wide),
                nn.LeakyReLU(0.2, True),
            ]
        super().__init__(*layers, nn.Conv2d(channels * 2 ** (halvings - 1), outputs, least))
        init_normal(self)


def halved(size: int) -> tuple[int, int]:
    """The side from 4 to 7 that is left after halving `size`, and how often: 28 is 7 twice doubled.

    Raises UserError where `size` cannot be halved to there.
    """
    halvings = max(0, (size // 4).bit_length() - 1)
    if halvings == 0 or size % 2**halvings:
        raise UserError(f"--size {size} must be 4, 5, 6 or 7 times a power of two, e.g. 28, 32 or 64")
    return size // 2**halvings, halvings


@dataclass(frozen=True, kw_only=True)
class Config(GameConfig):
    """DCGAN (Radford et al. 2016)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    latent: int = 100  # dimensions of z
    channels: int = 64  # width beside the picture; the paper's figure 1 has 128, the authors' code 64
    beta1: float = 0.5  # section 4
    batch_size: int = 128  # section 4
    steps: int = 25_000  # about 25 epochs of 128,000 pictures


class DCGAN(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent,)
        self.G = Generator(config.latent, config.channels, config.size, info.channels["image"])
        self.D = Discriminator(info.channels["image"], config.channels, config.size)
        self.objective = objectives.game(config.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        return {
            "G": torch.optim.Adam(self.G.parameters(), **adam),
            "D": torch.optim.Adam(self.D.parameters(), **adam),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        z = torch.randn(len(x), c.latent, device=x.device)
        fake = self.G(z)
        real_logits = self.D(x)
        loss_D = self.objective.discriminate(real_logits, self.D(fake.detach()))
        update("D", loss_D + objectives.regularise(self.D, x, fake, t, c))
        loss_G = self.objective.fool(self.D, fake, x)
        update("G", loss_G)
        return {"D": loss_D.detach(), "G": loss_G.detach()}

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(noise)

    @classmethod
    def tiny(cls) -> Config:
        return Config(size=16, latent=8, channels=4, batch_size=4, steps=2, mixed_precision="no")
