"""DF-GAN: text to pictures in one stage (Tao et al. 2022, arXiv 2008.05865).

    L_D = E[(1 - D(x, e))⁺] + ½ E[(1 + D(G(z, e), e))⁺] + ½ E[(1 + D(x, ê))⁺]
          + k E[(|∇ₓ D(x, e)| + |∇ₑ D(x, e)|)ᵖ]
    L_G = -E[D(G(z, e), e)]

x is a real picture, e the vector of its caption, ê that of another picture's: D gives one number for picture
and sentence together (one-way output). The penalty, at real pictures with their own captions alone, smooths
D where G should arrive (matching-aware zero-centred gradient penalty). G fuses the text into every layer:
features are scaled and shifted channel by channel as z and e say (deep fusion block).

Deviations: sentences come from an encoder trained here on the same captions, in the first `text_steps`
updates, not from AttnGAN's. The gain of each block starts at 1, not at the authors' 0, which Adam moves by no
more than its rate: on `birds`, 128 px, 1 gave blurred coloured bodies after 250 to 500 updates of 16, and 0
coarse blocks after 870.
As in the authors' code, the penalty's norm is that of both gradients joined.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Captions
from models.common import objectives
from models.common.anchors import Anchors
from models.common.layers import LowPass
from models.common.projected import Projected
from models.common.text import FromText, shifted
from translate.config import TextConfig
from translate.task import DataInfo, UserError

SIZES = (32, 64, 128, 256)


def widths(size: int, channels: int, most: int = 8) -> list[int]:
    """Of the layers at size, size / 2, ..., 4 pixels: n, 2 n, 4 n, 8 n, 8 n, ... (the authors' code)."""
    return [channels * min(most, 2**i) for i in range(size.bit_length() - 2)]


def enlarged(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution 3 x 3 of x twice as large by nearest neighbours: [B, C, H, W] to [B, C', 2 H, 2 W].

    Each pixel of the four that come from one sees 2 x 2 pixels of x: four convolutions of x in one, with sums
    of the weights, 4 / 9 of the products.
    """
    w0, w1, w2 = weight.unbind(2)  # [C', C, 3] each
    rows = torch.stack([torch.stack([w0, w1 + w2], 2), torch.stack([w0 + w1, w2], 2)])  # [2, C', C, 2, 3]
    w0, w1, w2 = rows.unbind(4)
    both = torch.stack(
        [torch.stack([w0, w1 + w2], 4), torch.stack([w0 + w1, w2], 4)], 1
    )  # [2, 2, C', C, 2, 2]
    kernel = both.flatten(0, 2).contiguous(memory_format=torch.channels_last)
    y = F.conv2d(x, kernel, bias.repeat(4), padding=1)  # [B, 4 C', H + 1, W + 1]
    height, width = x.shape[2:]
    a, b, c, d = (
        part[:, :, i : i + height, j : j + width]
        for part, (i, j) in zip(y.chunk(4, 1), ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
    )
    above, below = torch.stack([a, b], 4), torch.stack([c, d], 4)  # [B, C', H, W, 2]
    return (
        torch.stack([above, below], 3).flatten(2, 3).flatten(3).contiguous(memory_format=torch.channels_last)
    )


class Affine(nn.Module):
    """γ(e) x + β(e), channel by channel, by two small perceptrons. Begins as the identity."""

    def __init__(self, given: int, channels: int):
        super().__init__()
        self.gamma, self.beta = (
            nn.Sequential(nn.Linear(given, channels), nn.ReLU(), nn.Linear(channels, channels)) for _ in "γβ"
        )
        for net, start in ((self.gamma, 1.0), (self.beta, 0.0)):
            nn.init.zeros_(net[2].weight)
            nn.init.constant_(net[2].bias, start)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        gamma, beta = (net(e)[..., None, None].to(x.dtype) for net in (self.gamma, self.beta))
        return torch.addcmul(beta, gamma, x)


class Fusion(nn.Module):
    """Affine and rectify, twice, enlarge if wanted, then a convolution.

    Nearest neighbours commute with what is done to each value alone, so they come with the convolution.
    """

    def __init__(self, given: int, inputs: int, outputs: int, enlarge: int = 1):
        super().__init__()
        self.first, self.second, self.enlarge = Affine(given, inputs), Affine(given, inputs), enlarge
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x, e), 0.2)
        x = F.leaky_relu(self.second(x, e), 0.2)
        return enlarged(x, self.conv.weight, self.conv.bias) if self.enlarge == 2 else self.conv(x)


class UpBlock(nn.Module):
    """Twice as large, two fusions, a shortcut."""

    def __init__(self, given: int, inputs: int, outputs: int):
        super().__init__()
        self.fuse = nn.ModuleList([Fusion(given, inputs, outputs, 2), Fusion(given, outputs, outputs)])
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        y = x
        for fuse in self.fuse:
            y = fuse(y, e)
        return F.interpolate(self.shortcut(x), scale_factor=2) + self.gain * y


class Generator(nn.Module):
    """Noise [B, Z] and sentences [B, E] to pictures [B, C, size, size] in [-1, 1]."""

    def __init__(
        self, noise: int, words: int, channels: int, size: int, colours: int, most: int = 8, low: bool = False
    ):
        super().__init__()
        up = widths(size, channels, most)[::-1]
        self.start = nn.Linear(noise, up[0] * 16)
        self.blocks = nn.ModuleList(UpBlock(noise + words, i, o) for i, o in itertools.pairwise(up))
        end = [nn.LeakyReLU(0.2), nn.Conv2d(channels, colours, 3, padding=1)]
        self.end = nn.Sequential(*end, *[LowPass()] * low, nn.Tanh())

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        x = self.start(z).view(z.shape[0], -1, 4, 4).contiguous(memory_format=torch.channels_last)
        both = torch.cat([z, e.to(z.dtype)], 1)
        for block in self.blocks[:-1]:
            x = block(x, both)
        return self.end(self.blocks[-1](x, both))


class DownBlock(nn.Module):
    """Half as large: two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        # The mean of four commutes with a 1x1 convolution and is cheaper before it.
        return self.shortcut(F.avg_pool2d(x, 2)) + self.gain * self.body(x)


class Discriminator(nn.Module):
    """Pictures to features [B, F, 4, 4], and those with sentences to logits [B, 1, 1, 1]."""

    def __init__(self, words: int, channels: int, size: int, colours: int, joint: int):
        super().__init__()
        down = widths(size, channels)
        self.first = nn.Conv2d(colours, channels, 3, padding=1)
        self.blocks = nn.Sequential(*[DownBlock(i, o) for i, o in itertools.pairwise(down)])
        self.joint = nn.Sequential(
            nn.Conv2d(down[-1] + words, joint, 3, padding=1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(joint, 1, 4, bias=False),
        )  # fmt: skip

    def project(self, x: Tensor) -> list[Tensor]:
        """What is judged of pictures: themselves."""
        return [x]

    def judge(self, projected: list[Tensor]) -> Tensor:
        return self.blocks(self.first(projected[0].contiguous(memory_format=torch.channels_last)))

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.project(x))

    def match(self, features: Tensor, e: Tensor) -> Tensor:
        e = e.to(features.dtype)[..., None, None].expand(-1, -1, *features.shape[2:])
        return self.joint(torch.cat([features, e], 1))


def discriminate(
    game: objectives.Game, D: nn.Module, seen: Tensor, faked: Tensor, e: Tensor, wrong: Tensor | None
) -> Tensor:
    """L_D without its penalty, from D's features of x and of G(z, e), [B, F, 4, 4].

    e, wrong: sentences [B, E]. Without `wrong` (ê) the term of generated pictures weighs 1.
    """
    mismatched = None if wrong is None else D.match(seen, wrong)
    return game.discriminate(D.match(seen, e), D.match(faked, e), mismatched=mismatched)


@dataclass(frozen=True, kw_only=True)
class Config(Captions, TextConfig):
    """DF-GAN (Tao et al. 2022)"""

    size: int = 256  # 32, 64, 128 or 256
    batch_size: int = 24  # the authors' code for CUB at 256 px: 24 to 32
    channels: int = 32  # n: layers of G and D have n to 8 n, as in the authors' code
    widest: int = 8  # in n: at most so many channels in G
    low_pass: bool = False  # G's pictures without the stripes of two pixels that enlarging by two may leave
    discriminator: Literal["plain", "projected"] = "plain"  # projected: by ImageNet features, no penalty
    joint: int = 64  # layers in which D compares picture and sentence, 2 n in the authors' code
    noise: int = 100  # numbers of z, the authors' code
    anchors: int = 0  # in use, z lies near one of so many that gave good pictures (recipes.good_noise)
    spread: float = 0.3  # how near: the share s of other noise
    learning_rate: float = 1e-4  # of G, as published
    rate_D: float = 4e-4  # of D, as published
    matching: bool = True  # pictures with wrong captions count as false; off: for comparison
    penalty_k: float = 2.0  # k of the gradient penalty, as published
    penalty_p: float = 6.0  # p, as published
    penalty_every: int = 1  # updates between two penalties, which then weigh so much more
    steps: int = 220_000  # 600 epochs of CUB's 8,855 pictures in batches of 24
    ema: float = 0.999  # of G


class DFGAN(FromText):
    Config, exported, log_odds = Config, ("text", "G"), False

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size not in SIZES:
            raise UserError(f"DF-GAN draws {', '.join(map(str, SIZES))} px, not --size {c.size}")
        self.noise_shape = (c.noise,)
        if c.anchors:
            self.anchors, self.exported = (
                Anchors(c.anchors, (c.noise,), c.spread),
                (*self.exported, "anchors"),
            )
        self.G = Generator(c.noise, self.text_width, c.channels, c.size, colours, c.widest, c.low_pass)
        if c.discriminator == "projected":
            self.D = Projected(self.text_width, c.size, c.joint)
        else:
            self.D = Discriminator(self.text_width, c.channels, c.size, colours, c.joint)
        self.objective = objectives.game("hinge")

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        if c.discriminator == "projected":
            self.D.network.open()
        gan = dict(betas=(0.0, 0.9), fused=True)  # as published
        return {
            **self.text_optimizer(),
            "G": torch.optim.Adam(self.G.parameters(), c.learning_rate, **gan),
            "D": torch.optim.Adam(self.D.parameters(), c.rate_D, **gan),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t < self.text_steps:
            return self.learn_text(batch, update)
        e, wrong = self.sentences(batch["caption"]), self.sentences(batch["wrong"])
        z = torch.randn(len(x), c.noise, device=x.device)
        fake = self.G(z, e)

        with torch.no_grad():
            seen = self.look(x)
        faked = self.look(fake)
        both = [torch.cat([a, b.detach().to(a.dtype)]) for a, b in zip(seen, faked, strict=True)]
        judged = self.D.judge(both).split(len(x))
        loss_D = discriminate(self.objective, self.D, *judged, e, wrong if c.matching else None)
        smooth = c.discriminator == "plain" and t % c.penalty_every == 0
        penalty = self.penalty(x, e) if smooth else loss_D.new_zeros(())
        update("D", loss_D + c.penalty_every * penalty)  # eq. 3

        loss_G = self.objective.fool(lambda _: self.D.match(self.D.judge(faked), e), fake, x)
        damsm = self.damsm(fake, e, x)
        update("G", loss_G + damsm)
        logs = {"D": loss_D, "penalty": penalty, "G": loss_G}
        return {name: value.detach() for name, value in logs.items()} | self.logged(damsm)

    def look(self, x: Tensor) -> list[Tensor]:
        """What D judges of pictures; projected, shifted by up to an eighth, real and generated ones alike
        (DiffAugment, Zhao et al. 2020, without its change of colours, which captions name).
        """
        return self.D.project(shifted(x, x.shape[-1] // 8) if self.config.discriminator == "projected" else x)

    def penalty(self, x: Tensor, e: Tensor) -> Tensor:
        """k E[(|∇ₓ D(x, e)| + |∇ₑ D(x, e)|)ᵖ], in float32."""
        norms = objectives.input_gradient(lambda x, e: self.D.match(self.D(x), e), x, e).norm(dim=1)
        return self.config.penalty_k * norms.pow(self.config.penalty_p).mean()

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        return self.G(z, e)

    def placed(self, noise: Tensor, generator: torch.Generator) -> Tensor:
        return self.anchors(noise, generator) if self.config.anchors else noise

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, channels=4, joint=8, noise=4, words=16, batch_size=2, steps=5, text_steps=1, ema=0.0,
            mixed_precision="no",
        )  # fmt: skip
