"""DCGAN: the first stable convolutional GAN (Radford et al. 2016, arXiv 1511.06434).

    min_G max_D  E log D(x) + E log(1 - D(G(z)))                       (Goodfellow et al. 2014, eq. 1)

G maximises log D(G(z)), as everybody trains it: `gan.py` is the algorithm. Strided convolutions, batch norm
except at G's output and D's input, ReLU in G, leaky ReLU in D, tanh at the end (section 3). Deviation: z is
normal, not uniform.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Images
from models.common.choices import ChoicesConfig
from models.common.layers import init_normal
from models.common.normalise import compared, norm
from models.gan import gan
from translate.config import GameNorm
from translate.task import UserError


class Project(nn.ConvTranspose2d):
    """Of vectors [B, d, 1, 1]: the same as one matrix product, which a CPU does ten times as fast."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.repeat_interleave(self.weight[0, 0].numel())
        return F.linear(x.flatten(1), self.weight.flatten(1).T, bias).unflatten(1, self.weight.shape[1:])


class Whole(nn.Conv2d):
    """A convolution as large as its maps [B, C, least, least], to [B, outputs, 1, 1]: one matrix product."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


class Generator(nn.Module):
    """z [B, d] to pictures [B, C, size, size] in [-1, 1]: project to 4x4, then double (figure 1).

    MNIST's 28 pixels begin at 7x7.
    """

    def __init__(
        self, d: int, channels: int, size: int, out: int, *, kind: str = "batch", references: int = 0
    ):
        """kind, references: see `normalise.norm`."""
        super().__init__()
        least, doublings = halved(size)
        widths = [channels * 2 ** (doublings - 1 - i) for i in range(doublings)]
        bias = kind in ("none", "spectral")  # a norm cancels the bias before it
        project = Project(d, widths[0], least, bias=bias)
        layers = [project, norm(kind, widths[0], references), nn.ReLU(True)]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=bias),
                norm(kind, narrow, references),
                nn.ReLU(True),
            ]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], out, 4, 2, 1))
        init_normal(self)

    def before_tanh(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])

    def forward(self, z: Tensor) -> Tensor:
        return self.before_tanh(z).tanh()


class Discriminator(nn.Sequential):
    """Pictures [B, C, size, size] to logits [B, outputs, 1, 1]: halve to 4x4 or so, then one number."""

    def __init__(
        self, inputs: int, channels: int, size: int, outputs: int = 1,
        *, kind: str = "batch", references: int = 0, minibatch: str = "none", offset: bool = True,
    ):  # fmt: skip
        """kind, references, minibatch: see `normalise`; minibatch features compare the last layer's.
        offset: whether the last layer has biases."""
        least, halvings = halved(size)
        bias = kind in ("none", "spectral")
        layers: list[nn.Module] = [nn.Conv2d(inputs, channels, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for i in range(1, halvings):
            narrow, wide = channels * 2 ** (i - 1), channels * 2**i
            layers += [
                nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias),
                norm(kind, wide, references),
                nn.LeakyReLU(0.2, True),
            ]
        last = channels * 2 ** (halvings - 1)
        if minibatch == "none":
            super().__init__(*layers, Whole(last, outputs, least, bias=offset))
        else:
            layer, features = compared(minibatch, last * least**2)
            head = nn.Linear(features, outputs, bias=offset)
            super().__init__(*layers, nn.Flatten(), layer, head, nn.Unflatten(1, (outputs, 1, 1)))
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
class Config(Images, ChoicesConfig):
    """DCGAN (Radford et al. 2016)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    latent: int = 100  # dimensions of z
    channels: int = 64  # width beside the picture; the paper's figure 1 has 128, the authors' code 64
    norm_g: GameNorm = "batch"
    norm_d: GameNorm = "batch"
    beta1: float = 0.5  # section 4
    batch_size: int = 128  # section 4
    steps: int = 25_000  # about 25 epochs of 128,000 pictures


class DCGAN(gan.GAN):
    Config, also = Config, ()

    def networks(self) -> tuple[nn.Module, nn.Module]:
        c, channels = self.config, self.info.channels["image"]
        G = Generator(c.latent, c.channels, c.size, channels, kind=c.norm_g, references=c.batch_size)
        D = Discriminator(
            channels, c.channels, c.size,
            kind=c.norm_d, references=c.batch_size, minibatch=c.minibatch,
            offset=c.objective not in ("wasserstein", "relativistic"),  # differences alone count there
        )  # fmt: skip
        return G, D
