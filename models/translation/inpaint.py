"""Free-form inpainting with gated convolutions and SN-PatchGAN (Yu et al. 2019, arXiv 1806.03589).

    O = φ(W_f * I) ⊙ σ(W_g * I)                       gated convolution, section 3.1
    L_D = E ReLU(1 - D(x)) + E ReLU(1 + D(x̂))         hinge, over all patches, section 3.3
    L_G = -E D(x̂) + |x - ŷ₁|₁ + |x - ŷ₂|₁             ŷ₁ coarse, ŷ₂ refined, section 3.4
    x̂ = m ⊙ ŷ₂ + (1 - m) ⊙ x                          what is known stays

m is 1 in the hole. The refining network looks into what is known for what may go into the hole: contextual
attention (Yu et al. 2018, arXiv 1801.07892, eqs. 1 and 2),

    s = softmax_known(λ cos(f_hole, b_known)),   f_hole <- Σ s b_known.

Other layers by `--convolution`: light, one gate for all channels (Yi et al. 2020, arXiv 2005.09704,
section 3.4); partial, x' = W(x ⊙ k) sum(1) / sum(k) + b with the known k growing layer by
layer (Liu et al. 2018, arXiv 1804.07723, eqs. 1 and 2); plain, as in context encoders (Pathak et al. 2016,
arXiv 1604.07379). A hole has several fillings: z enters the refining network and, by `--lambda-diverse`, two
fillings of one hole shall differ, up to τ (Yang et al. 2019, arXiv 1901.09024, eq. 2):

    L_z = -E min(‖x̂(z₁) - x̂(z₂)‖ / ‖z₁ - z₂‖, τ).

Deviations: the first network works at half the size and adds to a smooth filling; the refining one is a
single branch that adds to the coarse picture; L1 inside the hole counts γ^d at d pixels from what is known
(Yu et al. 2018, section 4.2); attention is of tiles of 4 x 4 features that do not overlap.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from datasets.options import Masked
from models.common import objectives, translators
from models.common.features import Content
from translate.config import GameConfig, Objective
from translate.task import DataInfo, Task, UserError

DILATIONS = (1, 2, 4, 8, 16, 1)  # of the trunk, at a quarter of the size (appendix)
TILE = 4  # side of what attention moves, in features
REACH = 16  # times 32 pixels, how far into a hole what is known is continued
SHARPNESS = 10.0  # λ, the authors' code
POOLED = 4  # pixels, side of the means in which fillings shall differ


class Layer(nn.Module):
    """A convolution of one of four kinds, ELU: (x [B, inputs, H, W], known [B, 1, H, W]) to the like."""

    def __init__(self, kind: str, inputs: int, out: int, side: int = 3, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.kind, self.out, self.window = kind, out, (side, stride, dilation * (side // 2), dilation)
        wide = out + {"gated": out, "light": 1}.get(kind, 0)
        self.conv = nn.Conv2d(inputs, wide, *self.window)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind in ("gated", "light"):
            features, gate = self.conv(x).tensor_split([self.out], 1)
            return F.elu(features) * gate.sigmoid(), known
        if self.kind == "plain":
            return F.elu(self.conv(x)), known
        side, stride, padding, dilation = self.window
        ones = torch.ones(1, 1, side, side, device=x.device, dtype=x.dtype)
        seen = F.conv2d(known.to(x.dtype), ones, None, stride, padding, dilation)  # sum(k)
        bias = self.conv.bias[:, None, None]
        x = F.conv2d(x * known, self.conv.weight, None, stride, padding, dilation)
        x = torch.where(seen > 0, x * side**2 / seen.clamp(min=1) + bias, 0.0)
        return F.elu(x), (seen > 0).to(known.dtype)


class Completion(nn.Module):
    """Pictures [B, C, H, W], 0 in the hole, and mask [B, 1, H, W] to a picture. H, W multiples of 16.

    z: [B, latent], where the network takes one. c48 d96 c96 d192, trunk of 192, attention, up, up.
    """

    def __init__(self, kind: str, colours: int, channels: int, latent: int = 0, attend: bool = False):
        super().__init__()
        n, self.attend = channels // 2, attend  # a gate halves the authors' 48 channels
        self.down = nn.ModuleList(
            [Layer(kind, colours + 1, n, 5), Layer(kind, n, 2 * n, 3, 2), Layer(kind, 2 * n, 4 * n, 3, 2)]
        )
        self.trunk = nn.ModuleList(Layer(kind, 4 * n, 4 * n, dilation=d) for d in DILATIONS)
        self.merge = Layer(kind, 8 * n if attend else 4 * n, 4 * n)
        self.up = nn.ModuleList([Layer(kind, 4 * n, 2 * n), Layer(kind, 2 * n, n)])
        self.draw = nn.Linear(latent, 4 * n) if latent else None
        self.paint = nn.Conv2d(n, colours, 3, padding=1)
        nn.init.normal_(self.paint.weight, std=1e-3)  # begins with the coarse picture, or grey
        nn.init.zeros_(self.paint.bias)

    def forward(self, image: Tensor, mask: Tensor, z: Tensor | None = None) -> Tensor:
        x, known = torch.cat([image, mask.to(image.dtype)], 1), 1 - mask
        for layer in self.down:
            x, known = layer(x, known)
        hole = F.max_pool2d(mask, 4)
        if self.draw is not None:
            x = x + hole * self.draw(z)[:, :, None, None]
        for layer in self.trunk:
            x, known = layer(x, known)
        if self.attend:
            x = torch.cat([x, contextual(x, hole)], 1)
        x, known = self.merge(x, known)
        for layer in self.up:
            x, known = (F.interpolate(part, scale_factor=2.0) for part in (x, known))
            x, known = layer(x, known)
        return self.paint(x)


def contextual(f: Tensor, hole: Tensor) -> Tensor:
    """Features [B, C, h, w] whose tiles that touch the hole [B, 1, h, w] are means of known tiles, the likest
    weighing most; all others stay. h, w multiples of TILE. Likeness is of differences to the mean tile."""
    h, w = f.shape[2] // TILE, f.shape[3] // TILE
    tiles = f.unflatten(3, (w, TILE)).unflatten(2, (h, TILE)).permute(0, 2, 4, 1, 3, 5)
    tiles = tiles.flatten(3).flatten(1, 2)  # [B, hw, C TILE²]
    holed = F.max_pool2d(hole, TILE).flatten(1) > 0  # [B, hw]
    holed = holed & ~holed.all(1, keepdim=True)  # nothing known: nothing is moved
    with torch.autocast(f.device.type, enabled=False):
        known = tiles.float()
        unit = F.normalize(known - known.mean(1, keepdim=True), dim=2)
        s = SHARPNESS * unit @ unit.transpose(1, 2)
        s = s.masked_fill(holed[:, None], float("-inf")).softmax(2)
        moved = torch.where(holed[..., None], s @ known, known).to(f.dtype)
    moved = moved.unflatten(2, (-1, TILE, TILE)).unflatten(1, (h, w))
    return moved.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)  # [B, C, h TILE, w TILE]


def continued(x: Tensor, k: Tensor, levels: int) -> Tensor:
    """x [B, C, H, W] at half its size, holes (k [B, 1, H, W] is 0) smoothly filled from around: push and pull
    (Gortler et al. 1996, section 4.3), on the last level by blurring. H, W multiples of 2^levels."""
    seen = F.avg_pool2d(k, 2)
    half, k = F.avg_pool2d(x * k, 2) / seen.clamp(min=1e-6), (seen > 0).to(x.dtype)
    if levels > 1:
        around = F.interpolate(continued(half, k, levels - 1), scale_factor=2.0, mode="bilinear")
        return torch.where(k > 0, half, around)
    y = half * k
    for _ in range(REACH):
        sums, shares = F.avg_pool2d(y * k, 3, 1, 1), F.avg_pool2d(k, 3, 1, 1)
        y = torch.where(k > 0, y, sums / shares.clamp(min=1e-6))
        k = (shares > 0).to(x.dtype)
    return y


class SNPatchGAN(nn.Sequential):
    """Picture and mask [B, C + 1, H, W] to logits of large patches: six strided 5x5 convolutions
    with spectral norm (section 3.3)."""

    def __init__(self, inputs: int, channels: int):
        widths, layers = [inputs, channels, 2 * channels, *[4 * channels] * 4], []
        for narrow, wide in pairwise(widths[:-1]):
            layers += [spectral_norm(nn.Conv2d(narrow, wide, 5, 2, 2)), nn.LeakyReLU(0.2)]
        # No bias: where all patches lie inside the hinge, it has no gradient.
        super().__init__(*layers, spectral_norm(nn.Conv2d(wide, wide, 5, 2, 2, bias=False)))


def faded(mask: Tensor, gamma: float, farthest: int = 32) -> Tensor:
    """γ^d, d the distance to what is known in steps of a king, by twos: [B, 1, H, W]."""
    weight = 1 - F.avg_pool2d(mask, 2).floor()
    for _ in range(farthest // 2):
        weight = torch.maximum(weight, gamma**2 * F.max_pool2d(weight, 3, 1, 1))
    return F.interpolate(weight, scale_factor=2.0)


@dataclass(frozen=True, kw_only=True)
class Config(Masked, GameConfig):
    """Inpainting of any hole (Yu et al. 2019)"""

    convolution: Literal["gated", "light", "partial", "plain"] = "gated"  # light: one gate for all channels
    channels: int = 48  # width of the first layer, of which a gate takes half; four times in the trunk
    channels_D: int = 64  # width of the discriminator's first layer
    latent: int = 16  # dimensions of z
    discriminator: Literal["plain", "projected"] = "plain"  # SN-PatchGAN; projected: sees ImageNet features
    objective: Objective = "hinge"  # section 3.3
    adversarial: float = 1.0  # weight of the adversarial term, section 3.4
    lambda_L1: float = 1.0  # weight of both L1 terms, section 3.4
    fade: float = 0.99  # γ, how little L1 counts deep in a hole (Yu et al. 2018); 1: the same everywhere
    content: Literal["none", "vgg19", "efficientnet"] = "none"  # features that shall agree; partial has vgg19
    lambda_content: float = 0.5  # their weight, where there are any
    lambda_diverse: float = 0.0  # weight of two fillings of one hole differing; needs an even --batch-size
    tau: float = 0.1  # difference of fillings that is enough
    pretrain_steps: int = 0  # first so many updates without D
    exemplars: bool = True  # in use, fillings are made again of known patches (Wexler et al. 2007)
    masks: str = "both"  # the paper trains with free-form strokes and a rectangle
    batch_size: int = 16  # the authors' code
    learning_rate: float = 1e-4  # the authors' code
    steps: int = 1_000_000  # a guess


class Inpaint(Task):
    Config, data, takes, exported = Config, "masked", ("image", "mask", "noise"), ("coarse", "refined")
    stride = 32  # of the coarse network's attention-free trunk 8, of tiles 16

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size % self.stride:
            raise UserError(f"--size must be a multiple of {self.stride}, not {c.size}")
        if c.channels % 2:
            raise UserError(f"--channels must be even, not {c.channels}")
        if c.lambda_diverse and c.batch_size % 2:
            raise UserError(f"--lambda-diverse compares pairs, but --batch-size {c.batch_size} is odd")
        self.noise_shape, self.exemplars = (c.latent,), c.exemplars
        self.coarse = Completion(c.convolution, colours, c.channels)
        self.refined = Completion(c.convolution, colours, c.channels, c.latent, attend=True)
        projected = c.discriminator == "projected"
        if projected:
            self.D = translators.discriminator(colours, c.channels_D, 70, "none", c.size, projected=True)
        else:
            self.D = SNPatchGAN(colours + 1, c.channels_D)
        self.projected, self.objective, self.content = projected, objectives.game(c.objective), None

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        translators.open_networks(self.D)
        if c.content != "none":  # only training needs the features
            self.content = Content(c.content)
        adam = dict(lr=c.learning_rate, betas=(c.beta1, 0.999), fused=True)
        return {
            "G": torch.optim.Adam([*self.coarse.parameters(), *self.refined.parameters()], **adam),
            "D": torch.optim.Adam(self.D.parameters(), **adam),
        }

    def complete(self, x: Tensor, m: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ₁ and ŷ₂, [B, C, H, W]."""
        k = 1 - m
        half = continued(x, k, 5)
        y1 = half + self.coarse(half, F.avg_pool2d(m, 2).floor())
        y1 = F.interpolate(y1, scale_factor=2.0, mode="bilinear")
        return y1, y1 + self.refined(m * y1 + k * x, m, z)

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, m = self.config, batch["image"], batch["mask"]
        if c.lambda_diverse:  # each picture of the first half twice
            x, m = (torch.cat([part[: len(part) // 2]] * 2) for part in (x, m))
        z = torch.randn(len(x), c.latent, device=x.device)
        y1, y2 = self.complete(x, m, z)
        made = m * y2 + (1 - m) * x  # x̂
        weight = faded(m, c.fade)
        l1 = sum((weight * (x - y).abs()).mean() for y in (y1, y2))
        loss, logs = c.lambda_L1 * l1, {"L1": l1}
        if self.content:
            logs["content"] = content = self.content(made, x)
            loss = loss + c.lambda_content * content
        if c.lambda_diverse:
            logs["differ"] = differ = differing(made, m, z)
            loss = loss - c.lambda_diverse * differ.clamp(max=c.tau)  # L_z
        if t < c.pretrain_steps:
            update("G", loss)
            return {name: value.detach() for name, value in logs.items()}

        def D(picture: Tensor) -> Tensor:
            return self.D(picture if self.projected else torch.cat([picture, m], 1))

        logs["G_fool"] = fool = self.objective.fool(D, made, x)
        update("G", loss + c.adversarial * fool)
        made = made.detach()
        logs["D"] = loss_D = self.objective.discriminate(D(x), D(made))
        update("D", loss_D + objectives.regularise(D, x, made, t, c))
        return {name: value.detach() for name, value in logs.items()}

    def generate(self, image: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """The picture with its hole filled; the rest exactly as it is."""
        _, y2 = self.complete(image, mask, noise)
        return torch.where(mask > 0, y2.clamp(-1, 1).to(image.dtype), image)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        x, m = batch["image"], batch["mask"]
        columns = {"input": torch.where(m > 0, 0.0, x)}
        for seed in (0, 1):
            generator = torch.Generator().manual_seed(seed)
            z = torch.randn(len(x), *self.noise_shape, generator=generator).to(x.device)
            columns[f"seed {seed}"] = self(image=x, mask=m, noise=z)
        return columns | {"truth": x}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, channels=4, channels_D=2, latent=2, batch_size=2, steps=2,
            mixed_precision="no",
        )  # fmt: skip


def differing(made: Tensor, mask: Tensor, z: Tensor) -> Tensor:
    """How much the fillings of pairs (i, i + B / 2) differ in the hole, in means of POOLED² pixels, for how
    much their z do: a mean over pairs. [B, C, H, W], [B, 1, H, W], [B, latent]."""
    one, other = F.avg_pool2d(made.float(), POOLED).chunk(2)
    hole = F.avg_pool2d(mask, POOLED).chunk(2)[0]
    moved = (one - other).abs().mean(1).flatten(1).sum(1) / hole.flatten(1).sum(1).clamp(min=1)
    z1, z2 = z.chunk(2)
    return (moved / (z1 - z2).abs().mean(1).clamp(min=1e-3)).mean()
