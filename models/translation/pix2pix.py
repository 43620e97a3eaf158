"""pix2pix: learn a picture-to-picture mapping from pairs (Isola et al. 2017, arXiv 1611.07004).

    G* = arg min_G max_D  L_cGAN(G, D) + λ L_L1(G)                                   (eq. 4)
    L_cGAN(G, D) = E log D(x, y) + E log(1 - D(x, G(x, z)))                          (eq. 1)
    L_L1(G)      = E ‖y - G(x, z)‖₁   (a mean over pixels, as published)             (eq. 3)

The noise z is dropout in the decoder. As published, G maximises log D(x, G(x, z)), and D's loss is halved.
Deviations: instance norm is the default where the paper has batch norm with one picture a batch, which is the
same formula; skip connections carry the values before the activation, as in the authors' Lua code.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common import objectives
from models.common.layers import ResNetGenerator, in_one_pass, init_normal, initialise, norm, upsample
from models.common.projected import Patches, RandomProjection
from translate.config import GameConfig, Norm, RunConfig, Translator
from translate.task import DataInfo, Task, UserError


class UNet(nn.Module):
    """Encoder C64-C128-C256-C512-... to 1x1, decoder CD512-CD512-CD512-C512-... with skips, CD with dropout
    (appendix 6.1.1). Depth 8 halves 256 to 1.

    [B, inputs, H, W] to [B, outputs, H, W] in [-1, 1]; H and W multiples of 2^depth.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: int, depth: int, kind: str, up: str, dropout: bool
    ):
        super().__init__()
        widths = [min(channels * 2**i, channels * 8) for i in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            plain = i in (0, depth - 1)  # no norm on the first layer (published) nor on a 1x1 bottleneck
            conv = nn.Conv2d(widths[i - 1] if i else inputs, width, 4, 2, 1, bias=plain or kind == "none")
            self.down.append(nn.Sequential(conv, nn.Identity() if plain else norm(kind, width)))
        for i in reversed(range(depth)):
            incoming = widths[i] * (1 if i == depth - 1 else 2)
            last, out = i == 0, outputs if i == 0 else widths[i - 1]
            layers = [upsample(up, incoming, out, kernel=4, bias=last or kind == "none")]
            layers += [nn.Tanh()] if last else [norm(kind, out)]
            if dropout and i >= depth - 3 and i > 3:
                layers.append(nn.Dropout(0.5))
            self.up.append(nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, down in enumerate(self.down):
            x = down(packed(F.leaky_relu(x, 0.2) if i else x))
            skips.append(x)
        x = self.up[0](packed(F.relu(skips.pop())))
        for up in self.up[1:]:
            x = up(packed(F.relu(torch.cat([x, skips.pop()], 1))))
        return x


def packed(x: Tensor) -> Tensor:
    """Channels last for big feature maps; where weights outweigh the picture, their own layout is faster."""
    return x.contiguous(memory_format=torch.contiguous_format if x.shape[-1] <= 16 else torch.channels_last)


class PatchGAN(nn.Sequential):
    """Classifies overlapping N x N patches, N = 1, 16, 70 or 286 (appendix 6.1.2): logits [B, 1, h, w]."""

    LAYERS = {16: 1, 70: 3, 286: 5}

    def __init__(self, inputs: int, channels: int, patch: int, kind: str):
        c, bias = channels, kind == "none"
        if patch == 1:
            super().__init__(
                nn.Conv2d(inputs, c, 1), nn.LeakyReLU(0.2, True),
                nn.Conv2d(c, 2 * c, 1, bias=bias), norm(kind, 2 * c), nn.LeakyReLU(0.2, True),
                nn.Conv2d(2 * c, 1, 1),
            )  # fmt: skip
            return
        layers: list[nn.Module] = [nn.Conv2d(inputs, c, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        count = self.LAYERS[patch]
        for i in range(1, count + 1):
            wide, wider = c * min(2 ** (i - 1), 8), c * min(2**i, 8)
            stride = 2 if i < count else 1
            layers += [
                nn.Conv2d(wide, wider, 4, stride, 1, bias=bias),
                norm(kind, wider),
                nn.LeakyReLU(0.2, True),
            ]
        super().__init__(*layers, nn.Conv2d(wider, 1, 4, 1, 1))


def discriminator(config: RunConfig, inputs: int) -> nn.Module:
    """`--discriminator` of pictures [B, inputs, H, W] in [-1, 1] to logits of patches, initialised.

    [B, 1, h, w] of a plain one, [B, 4, h, w] of a projected one. Raises UserError where `--size` is too
    small.
    """
    c, width = config, config.channels_D or config.channels
    if c.discriminator == "projected":
        if c.size < 32:
            raise UserError(f"--discriminator projected needs --size 32 or more, not {c.size}")
        return Patches(inputs, width)
    D = PatchGAN(inputs, width, int(c.patch), c.norm_D)
    initialise(D, c.norm_D)
    return D


def opened(*discriminators: nn.Module) -> None:
    """What projected ones look through, which only training needs. Raises UserError, with the mend."""
    for D in discriminators:
        if isinstance(D, RandomProjection):
            D.network.open()


def generator(
    name: str, inputs: int, outputs: int, channels: int, kind: str, up: str, dropout: bool
) -> nn.Module:
    """A translator by name, initialised as published; without norms, so that it need not have any."""
    if name.startswith("unet"):
        G = UNet(inputs, outputs, channels, {"unet256": 8, "unet128": 7}[name], kind, up, dropout)
    else:
        G = ResNetGenerator(inputs, outputs, channels, int(name[6:]), kind, up)
    initialise(G, kind)
    return G


def stride_of(config: RunConfig) -> int:
    """What height and width must be a multiple of. Raises UserError where `--size` is not."""
    stride = {"unet256": 256, "unet128": 128, "resnet9": 4, "resnet6": 4}[config.generator]
    if config.size % stride:
        raise UserError(
            f"--generator {config.generator} needs --size in multiples of {stride}, not {config.size}"
        )
    return stride


@dataclass(frozen=True, kw_only=True)
class Config(GameConfig):
    """pix2pix (Isola et al. 2017)"""

    generator: Translator = (
        "unet256"  # unet256 needs sizes that are multiples of 256, unet128 of 128, resnet of 4
    )
    channels: int = 64  # width of the first layer of G and D
    patch: Literal["1", "16", "70", "286"] = "70"  # receptive field of the discriminator, in pixels
    norm: Norm = (
        "instance"  # the paper's batch norm at batch size 1 is instance norm; batch for larger batches
    )
    upsample: Literal["transposed", "resize"] = "transposed"  # resize: nearest + convolution, no checkerboard
    dropout: bool = True  # the noise z: dropout 0.5 in the inner decoder layers of a U-Net
    noise_in_use: bool = False  # keep dropout on when translating, as the paper does; off is sharper in MAE
    adversarial: float = 1.0  # weight of the adversarial term; 0 leaves L1 alone
    lambda_L1: float = 100.0  # weight of the L1 term, section 3.3
    beta1: float = 0.5  # section 3.3
    steps: int = 80_000  # 200 epochs of the 400 facades
    lr_schedule: Literal["constant", "linear", "cosine"] = (
        "linear"  # the authors' PyTorch code: decay over the last half
    )


class Pix2Pix(Task):
    Config, data, takes, exported = Config, "paired", ("image",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        a, b = info.channels["a"], info.channels["b"]
        self.stride = stride_of(config)
        self.G = generator(
            config.generator, a, b, config.channels, config.norm, config.upsample, config.dropout
        )
        self.D = PatchGAN(a + b, config.channels, int(config.patch), config.norm)
        init_normal(self.D)
        self.objective = objectives.game(config.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        adam = dict(lr=c.learning_rate, betas=(c.beta1, 0.999), fused=True)
        return {
            "G": torch.optim.Adam(self.G.parameters(), **adam),
            "D": torch.optim.Adam(self.D.parameters(), **adam),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, y = self.config, batch["a"], batch["b"]
        fake = self.G(x)  # G(x, z)
        l1 = (y - fake).abs().mean()  # eq. 3
        logs = {"L1": l1.detach()}
        if not c.adversarial:
            update("G", c.lambda_L1 * l1)
            return logs
        real, made = torch.cat([x, y], 1), torch.cat([x, fake], 1)
        fool = self.objective.fool(self.D, made, real)
        update("G", c.adversarial * fool + c.lambda_L1 * l1)  # eq. 4

        made = made.detach()
        real_logits, fake_logits = in_one_pass(self.D, c.norm, real, made)
        loss_D = 0.5 * self.objective.discriminate(real_logits, fake_logits)
        update("D", loss_D + objectives.regularise(self.D, real, made, t, c))
        return logs | {"G_fool": fool.detach(), "D": loss_D.detach()}

    def generate(self, image: Tensor) -> Tensor:
        if self.config.noise_in_use:
            for module in self.G.modules():
                module.train(isinstance(module, nn.Dropout) or module.training)
        return self.G(image)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, generator="resnet6", channels=4, patch="16", batch_size=2, steps=2, mixed_precision="no"
        )
