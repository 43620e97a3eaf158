"""Conditional GANs: G and D are told the class y (Mirza & Osindero 2014, arXiv 1411.1784).

    min_G max_D  E log D(x|y) + E log(1 - D(G(z|y)|y))                                        (eq. 2)

How D learns of y is `--condition`:
    concat      as one more map beside the picture (Mirza & Osindero, figure 1)
    auxiliary   it is not told but asked (AC-GAN: Odena et al. 2017, arXiv 1610.09585, eqs. 2 and 3):
                L_C = E log P(C = y | x) + E log P(C = y | G(z, y)): D raises the first, G the second
    projection  D(x, y) = vᵧᵀ φ(x) + ψ(φ(x)) (Miyato & Koyama 2018, arXiv 1802.05637, eq. 3)
    none        not at all, nor is G: the same networks, to compare with

G is told by a learned vector beside z. Pictures without label (-1) are judged without one, and drawn of a
random class. Deviations: DCGAN's convolutions for all four, D with batch norm where Miyato & Koyama have
spectral (`--norm-d`); φ is a layer that sees the whole picture; no conditional batch norm in G; D does not
raise L_C of pictures that G drew, or it learns to name them whatever they show (docs/labels.md).
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Labels
from models.common import objectives
from models.common.normalise import spectrally
from models.common.projection import Projection
from models.gan import dcgan
from translate.config import GameConfig
from translate.task import DataInfo, Task


class Generator(nn.Module):
    """z [B, d] and classes y [B] to pictures [B, C, size, size] in [-1, 1]."""

    def __init__(self, c: "Config", colours: int, classes: int):
        super().__init__()
        label_dim = 0 if c.condition == "none" else c.label_dim
        self.table = nn.Embedding(classes, label_dim) if label_dim else None
        self.network = dcgan.Generator(c.latent + label_dim, c.channels, c.size, colours)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.network(z if self.table is None else torch.cat([z, self.table(y).to(z.dtype)], 1))


class Discriminator(nn.Module):
    """Pictures and classes y [B], -1 unknown, to logits [B]; auxiliary: and to logits of classes [B, K]."""

    def __init__(self, c: "Config", colours: int, classes: int):
        super().__init__()
        self.condition, self.size, self.unknown = c.condition, c.size, classes
        concat, auxiliary = c.condition == "concat", c.condition == "auxiliary"
        if concat:
            self.table = nn.Embedding(classes + 1, c.size**2)
        # φ sees the whole picture: of maps that see 10 pixels, summed over places, no digit can be told
        phi = dcgan.Discriminator(colours + concat, c.channels, c.size, c.features, kind=c.norm_d)
        self.phi = nn.Sequential(phi, nn.LeakyReLU(0.2, True), nn.Flatten())
        self.head = nn.Linear(c.features, 1 + auxiliary * classes)
        if c.norm_d == "spectral":
            spectrally(self)
        if c.condition == "projection":
            self.head = Projection(c.features, classes, normalised=c.norm_d == "spectral")

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.condition == "concat":
            drawn = self.table(torch.where(y < 0, self.unknown, y)).view(-1, 1, self.size, self.size)
            x = torch.cat([x, drawn.to(x.dtype)], 1)
        phi = self.phi(x)
        if self.condition == "projection":
            return self.head(phi, y), None
        logits = self.head(phi)
        return logits[:, 0], logits[:, 1:] if self.condition == "auxiliary" else None


@dataclass(frozen=True, kw_only=True)
class Config(Labels, GameConfig):
    """CGAN (Mirza & Osindero 2014), AC-GAN, projection"""

    size: int = 32  # 4, 5, 6 or 7 times a power of two
    condition: Literal["concat", "auxiliary", "projection", "none"] = "projection"  # how D learns of classes
    latent: int = 100  # dimensions of z
    label_dim: int = 32  # numbers that a class becomes in G
    channels: int = 64  # width beside the picture
    features: int = 256  # of the whole picture, φ, that D judges by
    norm_d: Literal["spectral", "batch", "none"] = "batch"  # in D; spectral (docs/labels.md): slower, alike
    lambda_class: float = 1.0  # weight of L_C
    learning_rate: float = 5e-4  # MNIST, 800 updates of 32: 82 % of samples right, and unlike each other
    batch_size: int = 64
    ema: float = 0.999  # of G; a thousand updates
    steps: int = 20_000


class CGAN(Task):
    Config, data, takes, exported = Config, "labels", ("noise", "label"), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        self.noise_shape = (config.latent,)
        colours, classes = info.channels["image"], len(info.classes)
        self.G, self.D = Generator(config, colours, classes), Discriminator(config, colours, classes)
        self.objective = objectives.game(config.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        return {name: torch.optim.Adam(getattr(self, name).parameters(), **adam) for name in ("G", "D")}

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, y = self.config, batch["image"], batch["label"]
        y_fake = torch.where(y < 0, torch.randint_like(y, len(self.info.classes)), y)
        fake = self.G(torch.randn(len(x), c.latent, device=x.device), y_fake)
        (real, named), (false, _) = self.judged(x, y, fake.detach(), y_fake)
        loss_D = self.objective.discriminate(real, false)
        logs = {"D": loss_D.detach()}
        if c.condition == "auxiliary":
            naming = named_wrong(named, y)
            loss_D, logs["class D"] = loss_D + c.lambda_class * naming, naming.detach()
        seen: list[Tensor | None] = []  # what D takes each batch's classes for

        def D(picture: Tensor) -> Tensor:
            logits, named = self.D(picture, y_fake)
            seen.append(named)
            return logits

        update("D", loss_D + objectives.regularise(D, x, fake, t, c))
        loss_G = self.objective.fool(D, fake, x)
        logs["G"] = loss_G.detach()
        if c.condition == "auxiliary":
            naming = named_wrong(seen[-1], y_fake)  # every game looks at the fakes last
            loss_G, logs["class G"] = loss_G + c.lambda_class * naming, naming.detach()
        update("G", loss_G)
        return logs

    def judged(self, x: Tensor, y: Tensor, fake: Tensor, y_fake: Tensor) -> list[tuple]:
        """D of real and of drawn pictures: in one pass, unless batch norm would mix them."""
        if self.config.norm_d == "batch":
            return [self.D(x, y), self.D(fake, y_fake)]
        logits, named = self.D(torch.cat([x, fake.to(x.dtype)]), torch.cat([y, y_fake]))
        parts = [None, None] if named is None else named.split(len(x))
        return list(zip(logits.split(len(x)), parts, strict=True))

    def generate(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.G(noise, label)

    @classmethod
    def tiny(cls) -> Config:
        tiny = dict(size=16, latent=8, label_dim=2, channels=4, batch_size=4, steps=2, ema=0.0)
        return cls.Config(**tiny, condition="auxiliary", mixed_precision="no")


def named_wrong(logits: Tensor, y: Tensor) -> Tensor:
    """-E log P(C = y | x) over the pictures whose class is known; 0 where there is none."""
    return F.cross_entropy(logits.float(), y, ignore_index=-1, reduction="sum") / (y >= 0).sum().clamp(min=1)
