"""StackGAN: a sketch in the right colours, then its details (Zhang et al. 2017, arXiv 1612.03242).

    ĉ ~ N(μ(φ), Σ(φ)), φ the sentence: conditioning augmentation                      (section 3.2)
    L_D = -E[log D(x, φ)] - ½ E[log(1 - D(x, φ̂))] - ½ E[log(1 - D(G, φ))]       (eqs. 3 and 5, minus)
    L_G = -E[log D(G, φ)] + λ KL(N(μ, Σ) || N(0, I))                                (eqs. 4 and 6)

Stage-I makes 64 px from noise and ĉ₀. Stage-II, from update `text_steps + stage1_steps` on, takes its picture
(Stage-I no longer learns), looks at the sentence again and makes `size` px by residual blocks at 16 px. With
`--size 64` there is no Stage-II. `--init-from RUN --text-steps 0 --stage1-steps 0` begins with a finished
Stage-I.

φ̂ is another picture's sentence (matching-aware, Reed et al. 2016). Deviation: the sentences come from an
encoder trained here on the same captions, in the first `text_steps` updates. As in the authors' code, KL is
the mean over ĉ's numbers, not the paper's sum: with λ = 2 a sum leaves 1 nat of the sentence, and captions
hardly count (seen on `birds`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Captions
from models.common import objectives
from models.common.layers import init_normal
from models.common.text import FromText
from models.text import gan_cls
from translate.config import TextConfig
from translate.task import DataInfo, UserError


class Augmentation(nn.Module):
    """φ [B, words] to ĉ [B, condition] and KL(N(μ, Σ) || N(0, I)), averaged over ĉ's numbers and the batch.

    In use ĉ is μ, so that pictures of one caption differ by z alone and follow from the seed.
    """

    def __init__(self, words: int, condition: int, random: bool):
        super().__init__()
        self.random = random
        self.net = nn.Linear(words, 2 * condition)

    def forward(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_var = F.leaky_relu(self.net(phi), 0.2).float().chunk(2, dim=1)
        if not self.random:
            return mu, mu.new_zeros(())
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).mean()
        return mu + (0.5 * log_var).exp() * torch.randn_like(mu) if self.training else mu, kl


def conv_block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]


def doubled(inputs: int, outputs: int) -> list[nn.Module]:
    """Nearest neighbours, then a convolution: twice as large (section 3.5)."""
    return [nn.Upsample(scale_factor=2), *conv_block(inputs, outputs)]


class StageI(nn.Module):
    """G₀: noise and ĉ₀ to `size` px."""

    def __init__(self, noise: int, condition: int, channels: int, colours: int, size: int):
        super().__init__()
        width = channels * size // 8
        self.start = nn.Linear(noise + condition, width * 16, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(width), nn.ReLU(True)]
        for _ in range(size.bit_length() - 3):
            layers += doubled(width, max(channels, width // 2))
            width = max(channels, width // 2)
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, colours, 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        x = self.start(torch.cat([z, c], 1)).view(z.shape[0], -1, 4, 4)
        return self.layers(x.contiguous(memory_format=torch.channels_last))


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            *conv_block(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class StageII(nn.Module):
    """G: Stage-I's picture, `sketch` px, and ĉ to `size` px (section 3.4)."""

    def __init__(self, condition: int, channels: int, colours: int, sketch: int, size: int):
        super().__init__()
        c = channels
        self.down = nn.Sequential(
            nn.Conv2d(colours, c, 3, padding=1), nn.ReLU(True),
            nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * c), nn.ReLU(True),
            nn.Conv2d(2 * c, 4 * c, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * c), nn.ReLU(True),
        )  # fmt: skip
        self.joint = nn.Sequential(*conv_block(4 * c + condition, 4 * c))
        # 4 residual blocks for 256 px, 2 for 128 px (section 3.5)
        layers: list[nn.Module] = [Residual(4 * c) for _ in range(4 if size >= 4 * sketch else 2)]
        width, side = 4 * c, sketch // 4
        while side < size:
            layers += doubled(width, max(c // 2, width // 2))
            width, side = max(c // 2, width // 2), 2 * side
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, colours, 3, padding=1), nn.Tanh())

    def forward(self, sketch: Tensor, c: Tensor) -> Tensor:
        x = self.down(sketch)
        c = c.to(x.dtype)[..., None, None].expand(-1, -1, *x.shape[2:])
        return self.layers(self.joint(torch.cat([x, c], 1)))


@dataclass(frozen=True, kw_only=True)
class Config(Captions, TextConfig):
    """StackGAN (Zhang et al. 2017)"""

    size: int = 256  # of Stage-II: 128 or 256; 64: Stage-I alone
    sketch: int = 64  # of Stage-I, section 3.3
    batch_size: int = 64  # section 3.5
    channels: int = 128  # of G's layers: 8 n to n, the authors' code for CUB
    channels_D: int = 64  # of D's first layer
    noise: int = 100  # numbers of z, section 3.5
    condition: int = 128  # N_g, numbers of ĉ, section 3.5
    compressed: int = 128  # N_d, numbers of the compressed sentence in D, section 3.5
    stage1_steps: int = 83_000  # then so many of Stage-I: 600 epochs of CUB, section 3.5
    augmentation: bool = True  # conditioning augmentation; off: for comparison
    lambda_kl: float = 2.0  # its weight λ, the authors' code, whose KL is a mean (the paper: 1, and a sum)
    matching: bool = True  # pictures with wrong captions count as false; off: for comparison
    smooth: float = 1.0  # aim of D for real pictures, e.g. 0.9 (Salimans et al. 2016)
    halvings: int = 6  # times that the learning rate is halved in a stage: every 100 of 600 epochs
    beta1: float = 0.5  # Adam's first moment, the authors' code
    steps: int = 169_000  # text, Stage-I and 600 epochs of Stage-II


class StackGAN(FromText):
    Config = Config

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size not in (sizes := (c.sketch, 2 * c.sketch, 4 * c.sketch)):
            known = ", ".join(map(str, sizes))
            raise UserError(f"StackGAN of --sketch {c.sketch} draws {known} px, not --size {c.size}")
        self.noise_shape = (c.noise,)
        self.two = c.size > c.sketch
        self.augment_1 = Augmentation(self.text_width, c.condition, c.augmentation)
        self.G_1 = StageI(c.noise, c.condition, c.channels, colours, c.sketch)
        self.D_1 = gan_cls.Discriminator(self.text_width, c.compressed, c.channels_D, c.sketch, colours)
        self.exported = ("text", "augment_1", "G_1")
        if self.two:
            self.augment_2 = Augmentation(self.text_width, c.condition, c.augmentation)
            self.G_2 = StageII(c.condition, c.channels, colours, c.sketch, c.size)
            self.D_2 = gan_cls.Discriminator(self.text_width, c.compressed, c.channels_D, c.size, colours)
            self.exported += ("augment_2", "G_2")
        for name, network in self.named_children():
            if name[0] in "GD":
                init_normal(network)
        self.objective = objectives.game("non-saturating")

    @property
    def begins(self) -> int:
        return self.text_steps + (self.config.stage1_steps if self.two else 0)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config

        def adam(*networks: nn.Module) -> torch.optim.Optimizer:
            learned = [p for network in networks for p in network.parameters()]
            return torch.optim.Adam(learned, c.learning_rate, betas=(c.beta1, 0.999), fused=True)

        found = self.text_optimizer() | {"G_1": adam(self.G_1, self.augment_1), "D_1": adam(self.D_1)}
        if self.two:
            found |= {"G_2": adam(self.G_2, self.augment_2), "D_2": adam(self.D_2)}
        return found

    def lr_scale(self, t: int, name: str) -> float:
        """As for every text encoder, then halved at `halvings` even intervals of each stage."""
        c = self.config
        t, after = t - self.text_steps, c.steps - self.text_steps
        if t < 0:
            return super().lr_scale(t + self.text_steps, name)
        first = c.stage1_steps if self.two else after
        t, length = (t, first) if t < first else (t - first, after - first)
        return 0.5 ** (c.halvings * t // max(1, length))

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t < self.text_steps:
            return self.learn_text(batch, update)
        phi, wrong = self.sentences(batch["caption"]), self.sentences(batch["wrong"])
        second = self.two and t >= self.text_steps + c.stage1_steps
        D, number = (self.D_2, 2) if second else (self.D_1, 1)
        real = x if second or not self.two else F.interpolate(x, (c.sketch, c.sketch), mode="area")
        fake, kl = self.draw(torch.randn(len(x), c.noise, device=x.device), phi, second)

        seen = D(real)
        mismatched = D.match(seen, wrong) if c.matching else None
        false = D.match(D(fake.detach()), phi)
        loss_D = self.objective.discriminate(D.match(seen, phi), false, c.smooth, mismatched=mismatched)
        update(f"D_{number}", loss_D)

        fool = self.objective.fool(lambda y: D.match(D(y), phi), fake, real)
        damsm = self.damsm(fake, phi, x)
        update(f"G_{number}", fool + c.lambda_kl * kl + damsm)
        logs = {f"D_{number}": loss_D, f"fool_{number}": fool, "KL": kl}
        return {name: value.detach() for name, value in logs.items()} | self.logged(damsm)

    def draw(self, z: Tensor, phi: Tensor, second: bool) -> tuple[Tensor, Tensor]:
        """A picture of the stage, and the KL of its ĉ."""
        if not second:
            condition, kl = self.augment_1(phi)
            return self.G_1(z, condition), kl
        with torch.no_grad():  # its running statistics stay, too
            sketch = self.G_1.eval()(z, self.augment_1(phi)[0])
        condition, kl = self.augment_2(phi)
        return self.G_2(sketch, condition), kl

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        return self.draw(z, e, self.two)[0]

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, sketch=16, channels=4, channels_D=4, noise=4, words=16, condition=4, compressed=4,
            batch_size=2, steps=3, text_steps=1, stage1_steps=1, mixed_precision="no",
        )  # fmt: skip
