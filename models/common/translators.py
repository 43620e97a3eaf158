"""Networks that translate pictures, U-Net and ResNet, and PatchGAN, the discriminator of patches.

Each takes what it needs as arguments; the options that choose them are `translate.config.TranslatorConfig`'s.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common.layers import ReflectionPad, ToPicture, init_normal, norm, upsample
from models.common.projected import Patches, RandomProjection
from translate.config import UserError


class ResidualBlock(nn.Module):
    """x + Norm(Conv(ReLU(Norm(Conv(x))))), 3x3, reflection padding."""

    def __init__(self, channels: int, kind: str):
        super().__init__()
        bias = kind == "none"  # a norm cancels the bias before it
        self.body = nn.Sequential(
            ReflectionPad(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(kind, channels),
            nn.ReLU(True),
            ReflectionPad(1), nn.Conv2d(channels, channels, 3, bias=bias), norm(kind, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResNetGenerator(nn.Sequential):
    """c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3 (Johnson et al. 2016, arXiv 1603.08155;
    Zhu et al. 2017, appendix 7.2). [B, inputs, H, W] to [B, outputs, H, W] in [-1, 1]; H, W multiples of 4.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int, kind: str, up: str):
        c, bias = channels, kind == "none"
        super().__init__(
            ReflectionPad(3), nn.Conv2d(inputs, c, 7, bias=bias), norm(kind, c), nn.ReLU(True),
            nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), norm(kind, 2 * c), nn.ReLU(True),
            nn.Conv2d(2 * c, 4 * c, 3, 2, 1, bias=bias), norm(kind, 4 * c), nn.ReLU(True),
            *[ResidualBlock(4 * c, kind) for _ in range(blocks)],
            upsample(up, 4 * c, 2 * c, bias=bias), norm(kind, 2 * c), nn.ReLU(True),
            upsample(up, 2 * c, c, bias=bias), norm(kind, c), nn.ReLU(True),
            ReflectionPad(3), ToPicture(c, outputs, 7), nn.Tanh(),
        )  # fmt: skip


class UNet(nn.Module):
    """Encoder C64-C128-C256-C512-... to 1x1, decoder CD512-CD512-CD512-C512-... with skips, CD with dropout
    (appendix 6.1.1). Depth 8 halves 256 to 1.

    [B, inputs, H, W] to [B, outputs, H, W] in [-1, 1]; H and W multiples of 2^depth.
    """

    heavy = 16  # pixels, side of maps that their weights outweigh; 0 where weights are laid out beforehand

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
        skips, last = [], x.is_contiguous(memory_format=torch.channels_last)
        for i, down in enumerate(self.down):
            x = down(self.laid(F.leaky_relu(x, 0.2) if i else x, last))
            skips.append(x)
        x = self.up[0](self.laid(F.relu(skips.pop()), last))
        for up in self.up[1:]:
            x = up(self.laid(F.relu(torch.cat([x, skips.pop()], 1)), last))
        return x

    def laid(self, x: Tensor, last: bool) -> Tensor:
        """Channels last, as pictures come, for big maps; for others the weights' own layout is faster."""
        last = last and x.shape[-1] > self.heavy
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


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


def discriminator(
    inputs: int, channels: int, patch: int, kind: str, size: int, projected: bool = False
) -> nn.Module:
    """Of pictures [B, inputs, H, W] in [-1, 1] to logits of patches, initialised: [B, 1, h, w] of a PatchGAN
    with norms of `kind`, [B, 4, h, w] of a projected one.

    size: of the training crops. Raises UserError where it is too small for a projected one.
    """
    if projected:
        if size < 32:
            raise UserError(f"--discriminator projected needs --size 32 or more, not {size}")
        return Patches(inputs, channels)
    D = PatchGAN(inputs, channels, patch, kind)
    initialise(D, kind)
    return D


def open_networks(*discriminators: nn.Module) -> None:
    """Loads what projected ones look through, which only training needs. Raises UserError, with the mend."""
    for D in discriminators:
        if isinstance(D, RandomProjection):
            D.network.open()


DEPTHS = {"unet256": 8, "unet128": 7}  # times that a U-Net halves
BLOCKS = {"resnet9": 9, "resnet6": 6}


def generator(
    name: str, inputs: int, outputs: int, channels: int, kind: str, up: str, dropout: bool = False
) -> nn.Module:
    """A translator by name, initialised as published; without norms, so that it need not have any."""
    if name in DEPTHS:
        G = UNet(inputs, outputs, channels, DEPTHS[name], kind, up, dropout)
    else:
        G = ResNetGenerator(inputs, outputs, channels, BLOCKS[name], kind, up)
    initialise(G, kind)
    return G


def stride_of(name: str, size: int) -> int:
    """What height and width must be a multiple of. Raises UserError where the size of training is not."""
    stride = 2 ** DEPTHS[name] if name in DEPTHS else 4
    if size % stride:
        raise UserError(f"--generator {name} needs --size in multiples of {stride}, not {size}")
    return stride


def initialise(network: nn.Module, kind: str) -> None:
    """As published, for networks with a norm of `kind`; without norms, so that they need not have any."""
    (init_he if kind == "none" else init_normal)(network)


def init_he(module: nn.Module, branch: float = 0.1) -> None:
    """For networks without norms: weights ~ N(0, 2 / inputs), biases 0 (He et al. 2015, arXiv 1502.01852);
    residual branches and the picture begin small, as in ESRGAN (Wang et al. 2018, arXiv 1809.00219).
    """
    for m in module.modules():
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            nn.init.zeros_(m.bias)
    for m in module.modules():
        small = m.body[5] if isinstance(m, ResidualBlock) else m if isinstance(m, ToPicture) else None
        if small is not None:
            small.weight.data.mul_(branch)
