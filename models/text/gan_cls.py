"""GAN-CLS and GAN-INT: a DCGAN that draws what a sentence says (Reed et al. 2016, arXiv 1605.05396).

    L_D = -E[log D(x, t)] - ½ E[log(1 - D(x, t̂))] - ½ E[log(1 - D(G(z, t), t))]          (algorithm 1)
    L_G = -E[log D(G(z, t), t)]                                                  (line 12, minimised)

x is a real picture, t its sentence, t̂ that of another picture: D must see whether the two belong together,
not only whether the picture is real. `--interpolate` (GAN-INT, eq. 5) also trains G on sentences between two,
β t₁ + (1 - β) t₂. D and G have the layers of DCGAN; the sentence is compressed to 128 numbers and joins the
noise in G, and the 4 x 4 maps in D.

Deviation: the sentences come from an encoder trained here on the same captions, in the first `text_steps`
updates, instead of from a character network trained on class labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datasets.options import Captions
from models.common import objectives
from models.common.layers import init_normal
from models.common.text import FromText
from translate.config import TextConfig
from translate.task import DataInfo, UserError


def compression(words: int, compressed: int) -> nn.Module:
    """A sentence [B, words] to [B, compressed]: a dense layer, leaky (section 4.1)."""
    return nn.Sequential(nn.Linear(words, compressed), nn.LeakyReLU(0.2, True))


class Generator(nn.Module):
    """Noise [B, Z] and sentences [B, E] to pictures [B, C, size, size] in [-1, 1]: 4 px, then doubled."""

    def __init__(self, noise: int, words: int, compressed: int, channels: int, size: int, colours: int):
        super().__init__()
        self.squeeze = compression(words, compressed)
        width, layers = channels * size // 8, []
        layers += [
            nn.ConvTranspose2d(noise + compressed, width, 4, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
        ]
        while width > channels:
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(width // 2), nn.ReLU(True)]
            width //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, colours, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        x = torch.cat([z, self.squeeze(e)], 1)[..., None, None]
        return self.layers(x.contiguous(memory_format=torch.channels_last))


class Discriminator(nn.Module):
    """Pictures to maps [B, F, 4, 4]; `match` gives the logits [B] of maps and sentences together."""

    def __init__(self, words: int, compressed: int, channels: int, size: int, colours: int):
        super().__init__()
        self.squeeze = compression(words, compressed)
        width, layers = channels, [nn.Conv2d(colours, channels, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for _ in range(size.bit_length() - 4):  # down to 4 px
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2, True)]
            width *= 2
        self.layers = nn.Sequential(*layers)
        self.joint = nn.Sequential(
            nn.Conv2d(width + compressed, width, 1, bias=False), nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2, True), nn.Conv2d(width, 1, 4),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def match(self, maps: Tensor, e: Tensor) -> Tensor:
        e = self.squeeze(e).to(maps.dtype)[..., None, None].expand(-1, -1, *maps.shape[2:])
        return self.joint(torch.cat([maps, e], 1)).flatten()


@dataclass(frozen=True, kw_only=True)
class Config(Captions, TextConfig):
    """GAN-CLS (Reed et al. 2016)"""

    size: int = 64  # section 5
    batch_size: int = 64  # section 5
    channels: int = 64  # of the layers at half of the size, DCGAN
    noise: int = 100  # numbers of z, section 5
    compressed: int = 128  # numbers of a compressed sentence, section 4.1
    matching: bool = True  # pictures with wrong captions count as false; off: for comparison
    interpolate: bool = False  # GAN-INT: also draw sentences between two, β = 0.5 (section 4.3)
    smooth: float = 1.0  # aim of D for real pictures, e.g. 0.9 (Salimans et al. 2016)
    beta1: float = 0.5  # Adam's first moment, section 5
    steps: int = 80_000  # 600 epochs of CUB's 8,855 pictures, section 5


class GANCLS(FromText):
    Config, exported = Config, ("text", "G")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size not in (16, 32, 64, 128):
            raise UserError(f"GAN-CLS draws 16, 32, 64 or 128 px, not --size {c.size}")
        self.noise_shape = (c.noise,)
        self.G = Generator(c.noise, self.text_width, c.compressed, c.channels, c.size, colours)
        self.D = Discriminator(self.text_width, c.compressed, c.channels, c.size, colours)
        init_normal(self.G)
        init_normal(self.D)
        self.objective = objectives.game("non-saturating")

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        adam = dict(lr=c.learning_rate, betas=(c.beta1, 0.999), fused=True)
        return {
            **self.text_optimizer(),
            "G": torch.optim.Adam(self.G.parameters(), **adam),
            "D": torch.optim.Adam(self.D.parameters(), **adam),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t < self.text_steps:
            return self.learn_text(batch, update)
        e, wrong = self.sentences(batch["caption"]), self.sentences(batch["wrong"])
        fake = self.G(torch.randn(len(x), c.noise, device=x.device), e)

        seen = self.D(x)
        mismatched = self.D.match(seen, wrong) if c.matching else None
        false = self.D.match(self.D(fake.detach()), e)
        loss_D = self.objective.discriminate(self.D.match(seen, e), false, c.smooth, mismatched=mismatched)
        update("D", loss_D)

        loss_G = self.objective.fool(lambda y: self.D.match(self.D(y), e), fake, x)
        if c.interpolate:
            between = (e + e.roll(1, 0)) / 2
            drawn = self.G(torch.randn(len(x), c.noise, device=x.device), between)
            loss_G = loss_G + self.objective.fool(lambda y: self.D.match(self.D(y), between), drawn, x)
        damsm = self.damsm(fake, e, x)
        update("G", loss_G + damsm)
        return {"D": loss_D.detach(), "G_fool": loss_G.detach()} | self.logged(damsm)

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        return self.G(z, e)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, channels=4, noise=4, words=16, compressed=4, batch_size=2, steps=3, text_steps=1,
            mixed_precision="no",
        )  # fmt: skip
