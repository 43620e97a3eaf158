"""Several styles in one translator (Dumoulin et al. 2017, arXiv 1610.07629), by CUT (Park et al. 2020).

    z = γ_s (x - μ) / σ + β_s                                            (eq. 5)

Conditional instance normalisation: all styles share G's convolutions, and each style s has scales γ_s and
shifts β_s of its own after every norm. Styles mix by weights w, γ = Σ w_s γ_s and β = Σ w_s β_s
(section 3.2). `a` are photographs; of `--b X.jpg+Y.jpg+FOLDER` each is a style. D is told the style, a map
for each. Deviation: the paper trains by a perceptual loss; here it is CUT's objective, with `b` of the style.
"""

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Styles
from models.common import objectives, translators
from models.common.layers import InstanceNorm, in_one_pass
from models.translation import cut
from translate.task import DataInfo, UserError


class ConditionalNorm(nn.Module):
    """x [B, C, H, W] and weights of styles w [B, S]: instance norm, then the styles' γ and β; eq. 5."""

    def __init__(self, styles: int, channels: int):
        super().__init__()
        self.norm = InstanceNorm()
        self.gamma = nn.Parameter(torch.ones(styles, channels))
        self.beta = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        gamma, beta = (w.to(p.dtype) @ p for p in (self.gamma, self.beta))
        return self.norm(x) * gamma[:, :, None, None].to(x.dtype) + beta[:, :, None, None].to(x.dtype)


def conditional(network: nn.Module, styles: int) -> None:
    """Puts a `ConditionalNorm` in the place of each instance norm of a network, in place."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            width = 0
            for place, part in enumerate(module):
                convolutions = [m for m in part.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
                width = convolutions[-1].out_channels if convolutions else width
                if isinstance(part, InstanceNorm):
                    module[place] = ConditionalNorm(styles, width)


def through(layer: nn.Module, x: Tensor, w: Tensor) -> Tensor:
    """x through a layer of a conditional network."""
    if isinstance(layer, ConditionalNorm):
        return layer(x, w)
    if isinstance(layer, translators.ResidualBlock):
        y = x
        for part in layer.body:
            y = through(part, y, w)
        return x + y
    return layer(x)


@dataclass(frozen=True, kw_only=True)
class Config(Styles, cut.Config):
    """Styles, several in one (Dumoulin et al. 2017)"""


class StyledCUT(cut.CUT):
    Config, takes, mixes = Config, ("image", "label"), True

    def __init__(self, config: Config, info: DataInfo):
        if config.fast or config.norm != "instance" or config.discriminator != "plain":
            raise UserError(
                "styles has neither --fast, nor --norm but instance, nor --discriminator projected"
            )
        if not info.classes:  # one alone
            info = dataclasses.replace(info, classes=(info.names.get("b", "B"),))
        super().__init__(config, info)
        c, b = config, info.channels["b"]
        self.styles = len(info.classes)
        conditional(self.G, self.styles)
        width = c.channels_D or c.channels
        self.D = translators.discriminator(b + self.styles, width, int(c.patch), c.norm_D, c.size)

    def features(self, x: Tensor, w: Tensor, to_the_end: bool = False) -> tuple[list[Tensor], Tensor]:
        """As CUT's, of pictures [B, C, H, W] in styles of weights [B, S]."""
        features = [x] if 0 in self.layers else []
        for i, layer in enumerate(self.G):
            x = through(layer, x, w)
            if i and i in self.layers:
                features.append(x)
            if i == self.layers[-1] and not to_the_end:
                break
        return features, x

    def weights(self, label: Tensor) -> Tensor:
        """[B, S] float, of numbers [B] or of weights themselves."""
        return label if label.is_floating_point() else F.one_hot(label, self.styles).float()

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, y = self.config, batch["a"], batch["b"]
        label = batch.get("label", torch.zeros(len(x), dtype=torch.long, device=x.device))
        w = self.weights(label)
        both, maps = torch.cat([w, w]), w[:, :, None, None].expand(-1, -1, *y.shape[2:])

        def with_label(picture: Tensor) -> Tensor:
            return torch.cat([picture, maps.to(picture.dtype)], 1)

        given, made = self.features(torch.cat([x, y]), both, to_the_end=True)
        fake = made[: len(x)]
        fool = self.objective.fool(lambda picture: self.D(with_label(picture)), fake, y)
        nce = self.nce(self.features(made, both)[0], given)
        update("G", fool + (1.0 if c.lambda_nce is None else c.lambda_nce) * nce)

        real, fake = with_label(y), with_label(fake.detach().to(y.dtype))
        real_logits, fake_logits = in_one_pass(self.D, c.norm_D, real, fake)
        loss_D = 0.5 * self.objective.discriminate(real_logits, fake_logits)
        update("D", loss_D + objectives.regularise(self.D, real, fake, t, c))
        return {"G_fool": fool.detach(), "nce": nce.detach(), "D": loss_D.detach()}

    def generate(self, image: Tensor, label: Tensor) -> Tensor:
        """label: numbers of styles [B], or weights of all [B, S], which add up to 1."""
        return self.features(image, self.weights(label), to_the_end=True)[1]
