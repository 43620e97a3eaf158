"""SRGAN and SRResNet: single-image super-resolution (Ledig et al. 2017, arXiv 1609.04802).

First `pretrain_steps` updates of SRResNet on pixels, l_MSE (eq. 4) or L1; then, against a discriminator D,

    l_SR = l_X + 10⁻³ l_Gen                                                                      (eq. 3)
    l_X  = l_VGG: mean squared error of features φ(I_HR), φ(G(I_LR)), pixels where they are off   (eq. 5)
    l_Gen = -log D(G(I_LR))                                                                       (eq. 6)

G has 16 residual blocks (figure 4). `--norm none` leaves batch norm out (EDSR, Lim et al. 2017, 1707.02921);
`--upsampler direct` makes all sub-pixels in one convolution (ESPCN, Shi et al. 2016, 1609.05158), which
spares most of the work at high resolution; `--skip` lets the network add to an enlarged input.
`--objective relativistic` is ESRGAN's game (Wang et al. 2018, 1809.00219), pairing instead of averaging.
Features are VGG-19's (weights by torchvision) or EfficientNet-lite0's (in a Python package).
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Lowres
from models.common import objectives
from models.common.features import Content
from models.common.layers import norm
from translate.config import Objective, RunConfig
from translate.task import DataInfo, Task, UserError


def rectifier(kind: str) -> nn.Module:
    return nn.PReLU() if kind == "prelu" else nn.ReLU(True)


class Block(nn.Module):
    """x + Norm(Conv(PReLU(Norm(Conv(x))))), 3x3."""

    def __init__(self, channels: int, kind: str, activation: str):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), norm(kind, channels), rectifier(activation),
            nn.Conv2d(channels, channels, 3, padding=1), norm(kind, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SRResNet(nn.Module):
    """[B, C, h, w] to [B, C, scale h, scale w] in [-1, 1], not clamped (figure 4)."""

    def __init__(self, colours: int, c: "Config"):
        super().__init__()
        n, self.scale, self.skip = c.channels, c.scale, c.skip
        outer = 9 if c.upsampler == "shuffle" else 3
        self.head = nn.Sequential(nn.Conv2d(colours, n, outer, padding=outer // 2), rectifier(c.activation))
        self.body = nn.Sequential(
            *[Block(n, c.norm, c.activation) for _ in range(c.blocks)],
            nn.Conv2d(n, n, 3, padding=1),
            norm(c.norm, n),
        )
        if c.upsampler == "shuffle":
            steps = [2, 2] if c.scale == 4 else [c.scale]
            layers: list[nn.Module] = []
            for r in steps:
                layers += [nn.Conv2d(n, n * r * r, 3, padding=1), nn.PixelShuffle(r), rectifier(c.activation)]
            self.tail = nn.Sequential(*layers, nn.Conv2d(n, colours, 9, padding=4))
        else:
            self.tail = nn.Sequential(
                nn.Conv2d(n, colours * c.scale**2, 3, padding=1), nn.PixelShuffle(c.scale)
            )
        for module in self.modules():  # the authors name no initialisation; He et al. 2015 for PReLU 0.25
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.25)
                nn.init.zeros_(module.bias)
        if c.norm == "none":  # blocks begin near the identity, as batch norm's scale would let them
            with torch.no_grad():
                for block in self.body:
                    if isinstance(block, Block):
                        block.body[3].weight.mul_(0.1)
        if c.skip != "none":
            nn.init.normal_(self.tail[-2 if c.upsampler == "direct" else -1].weight, std=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x)
        y = self.tail(features + self.body(features))
        return y if self.skip == "none" else y + F.interpolate(x, scale_factor=self.scale, mode=self.skip)


class Discriminator(nn.Sequential):
    """[B, C, S, S] to logits [B, 1]: eight convolutions, 64 to 512 channels, two dense layers (fig. 4)."""

    def __init__(self, colours: int, channels: int, size: int):
        layers: list[nn.Module] = [nn.Conv2d(colours, channels, 3, padding=1), nn.LeakyReLU(0.2, True)]
        inputs = channels
        for i, factor in enumerate((1, 2, 2, 4, 4, 8, 8)):
            stride = 2 if i % 2 == 0 else 1
            layers += [nn.Conv2d(inputs, factor * channels, 3, stride, 1, bias=False)]
            layers += [nn.BatchNorm2d(factor * channels), nn.LeakyReLU(0.2, True)]
            inputs = factor * channels
        dense = [nn.Linear(inputs * (size // 16) ** 2, 16 * channels), nn.LeakyReLU(0.2, True)]
        super().__init__(*layers, nn.Flatten(), *dense, nn.Linear(16 * channels, 1))


@dataclass(frozen=True, kw_only=True)
class Config(Lowres, RunConfig):
    """SRGAN (Ledig et al. 2017)"""

    size: int = 96  # section 3.2: crops of 96 px at high resolution
    batch_size: int = 16  # section 3.2
    learning_rate: float = 1e-4  # section 3.2
    lr_schedule: Literal["constant", "linear", "cosine", "step"] = (
        "step"  # step: a tenth in SRGAN's last half
    )
    steps: int = 1_200_000  # section 3.2: SRResNet 10⁶, then SRGAN 10⁵ and 10⁵ at a tenth of the rate
    pretrain_steps: int = 1_000_000  # first so many on pixels alone; as many as --steps: SRResNet
    blocks: int = 16  # residual blocks B, section 2.1
    channels: int = 64  # of every block, figure 4
    channels_D: int = 64  # of the discriminator's first layer, figure 4
    activation: Literal["prelu", "relu"] = "prelu"  # figure 4; relu trains a third faster on CPUs
    norm: Literal["batch", "none"] = "batch"  # none: as in EDSR, MSRResNet and ESRGAN
    upsampler: Literal["shuffle", "direct"] = "shuffle"  # direct: all sub-pixels from one convolution
    skip: Literal["none", "nearest", "bilinear", "bicubic"] = "none"  # enlarged input added to the output
    pixel_loss: Literal["mse", "l1"] = "mse"  # eq. 4; l1 gives more PSNR (Zhao et al. 2017, 1511.08861)
    content: Literal["vgg19", "efficientnet", "pixels"] = "vgg19"  # l_X after pre-training
    lambda_pixel: float = 0.0  # weight of the pixel loss beside features (ESRGAN: 0.01)
    adversarial: float = 1e-3  # weight of l_Gen, eq. 3
    objective: Objective = "non-saturating"  # eqs. 2 and 6; relativistic as in ESRGAN


class SRGAN(Task):
    Config, data, takes, exported = Config, "lowres", ("image",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["high"]
        self.enlarges = c.scale
        self.G = SRResNet(colours, c)
        self.adversarial = c.steps > c.pretrain_steps
        self.objective = objectives.game(c.objective)
        if self.adversarial:
            if c.size % 16:
                raise UserError(f"the discriminator halves crops four times: --size {c.size} must be k x 16")
            self.D = Discriminator(colours, c.channels_D, c.size)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        if self.adversarial and self.config.content != "pixels":  # only training needs the features
            self.content = Content(self.config.content)
        adam = dict(lr=self.config.learning_rate, betas=(0.9, 0.999), fused=True)  # section 3.2
        networks = {"G": self.G, "D": self.D} if self.adversarial else {"G": self.G}
        return {name: torch.optim.Adam(net.parameters(), **adam) for name, net in networks.items()}

    def lr_scale(self, t: int, name: str) -> float:
        """The schedule, once over the pre-training and once over the rest."""
        c, first = self.config, min(self.config.pretrain_steps, self.config.steps)
        again = t >= first
        t, T = (t - first, c.steps - first) if again else (t, first)
        if c.lr_schedule == "step":
            return 0.1 if again and 2 * t >= T else 1.0
        return self.scheduled(t, T)

    def pixel(self, made: Tensor, high: Tensor) -> Tensor:
        return F.mse_loss(made, high) if self.config.pixel_loss == "mse" else F.l1_loss(made, high)

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, low, high = self.config, batch["low"], batch["high"]
        made = self.G(low)
        pixel = self.pixel(made.float(), high)
        if t < c.pretrain_steps:
            update("G", pixel)
            return {"pixel": pixel.detach()}
        fool = self.objective.fool(self.D, made, high)  # eq. 6
        content = self.content(made, high) if c.content != "pixels" else pixel  # eq. 5, or eq. 4
        extra = c.lambda_pixel * pixel if c.content != "pixels" else 0.0
        update("G", content + extra + c.adversarial * fool)  # eq. 3

        loss_D = self.objective.discriminate(self.D(high), self.D(made.detach()))  # eq. 2, minus
        update("D", loss_D)
        logs = {"pixel": pixel, "content": content, "G_fool": fool, "D": loss_D}
        return {name: value.detach() for name, value in logs.items()}

    def generate(self, image: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C, scale h, scale w], both in [-1, 1]."""
        return self.G(image).clamp(-1, 1)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        low, high = batch["low"], batch["high"]
        enlarged = F.interpolate(low, scale_factor=self.config.scale, mode="bicubic").clamp(-1, 1)
        return {"bicubic": enlarged, "output": self(image=low), "truth": high}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, blocks=1, channels=4, channels_D=2, batch_size=2, steps=2, pretrain_steps=1,
            content="pixels", mixed_precision="no",
        )  # fmt: skip
