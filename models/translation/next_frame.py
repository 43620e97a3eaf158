"""The next frame of a film, sharper than mean squares leave it (Mathieu et al. 2016, arXiv 1511.05440).

Scales k = 1 to 4, each twice as large as the last; X_k, Y_k are the frames so far and the next, at scale k:

    Ŷ_k = u_k(Ŷ_{k-1}) + G'_k(X_k, u_k(Ŷ_{k-1}))                                       (eq. 3)
    L_G = λ_adv Σ_k L_bce(D_k(X_k, Ŷ_k), 1) + λ_lp ‖Ŷ - Y‖_p^p + λ_gdl L_gdl(Ŷ, Y)      (eq. 7)
    L_D = Σ_k L_bce(D_k(X_k, Y_k), 1) + L_bce(D_k(X_k, Ŷ_k), 0)                         (eq. 4)
    L_gdl = Σ_ij | |Y_ij - Y_i-1j| - |Ŷ_ij - Ŷ_i-1j| |^α + | |Y_ij-1 - Y_ij| - |Ŷ_ij-1 - Ŷ_ij| |^α   (eq. 6)

u_k doubles height and width. Sums over pixels are means here, so that λ do not go by the size.
Deviations: Adam for SGD; D_k judges places, without dense layers, so that any size can be trained on.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Frames
from models.common import objectives
from models.common.layers import ToPicture
from translate.config import GameConfig
from translate.task import DataInfo, Task, UserError

SMALLEST = 8  # times smaller than the frames is scale 1
GENERATORS = (  # widths over --channels, kernels (table 1)
    ((1, 2, 1), (3, 3, 3, 3)),
    ((1, 2, 1), (5, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (5, 3, 3, 3, 3, 5)),
    ((1, 2, 4, 2, 1), (7, 5, 5, 5, 5, 7)),
)
DISCRIMINATORS = (  # likewise, over half of --channels
    ((1,), (3,)),
    ((1, 2, 2), (3, 3, 3)),
    ((2, 4, 4), (5, 5, 5)),
    ((2, 4, 8, 2), (7, 7, 5, 5)),
)


class Scale(nn.Sequential):
    """G'_k: frames and a guess [B, (T + 1) C, h, w] to what is added to the guess [B, C, h, w]."""

    def __init__(self, inputs: int, out: int, channels: int, widths: tuple, kernels: tuple):
        sizes, layers = [inputs, *(channels * width for width in widths)], []
        for (narrow, wide), side in zip(pairwise(sizes), kernels[:-1], strict=True):
            layers += [nn.Conv2d(narrow, wide, side, padding=side // 2), nn.ReLU(True)]
        super().__init__(*layers, nn.ZeroPad2d(kernels[-1] // 2), ToPicture(sizes[-1], out, kernels[-1]))


class Places(nn.Sequential):
    """D_k: frames and the next one [B, (T + 1) C, h, w] to logits of places, halved between
    convolutions."""

    def __init__(self, inputs: int, channels: int, widths: tuple, kernels: tuple):
        sizes, layers = [inputs, *(max(1, channels // 2) * width for width in widths)], []
        for (narrow, wide), side in zip(pairwise(sizes), kernels, strict=True):
            layers += [nn.Conv2d(narrow, wide, side, padding=side // 2), nn.LeakyReLU(0.2)]
            layers += [nn.AvgPool2d(2, ceil_mode=True)]
        super().__init__(*layers[:-1], nn.Conv2d(sizes[-1], 1, 1))


def gdl(made: Tensor, real: Tensor, alpha: int) -> Tensor:
    """L_gdl of pictures [B, C, H, W], means in place of sums; eq. 6."""
    losses = []
    for axis in (-2, -1):
        steps, truth = (picture.diff(dim=axis).abs() for picture in (made, real))
        losses.append((steps - truth).abs().pow(alpha).mean())
    return losses[0] + losses[1]


@dataclass(frozen=True, kw_only=True)
class Config(Frames, GameConfig):
    """Next frame (Mathieu et al. 2016)"""

    size: int = 64  # the paper's patches are 32
    channels: int = 128  # of the first layer of every G'_k, table 1
    lambda_adv: float = 0.05  # section 4.1; 0: no discriminators
    lambda_lp: float = 1.0  # section 4.1
    lambda_gdl: float = 1.0  # section 4.1
    p: Literal[1, 2] = 2  # of the distance, section 4.1
    alpha: Literal[1, 2] = 1  # of the gradients' difference, section 4.1
    batch_size: int = 8  # section 4.1, of patches of 32
    learning_rate: float = 2e-4  # of Adam, which the paper has not
    steps: int = 100_000  # a guess


class NextFrame(Task):
    Config, data, takes, exported, stride = Config, "frames", ("frames",), ("G",), 2 * SMALLEST

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["frames"]
        if c.size % self.stride:
            raise UserError(f"--size must be a multiple of {self.stride}, not {c.size}")
        if c.length < 2:
            raise UserError(f"--length {c.length} leaves no frame to predict from; the least is 2")
        self.frames_in = c.length - 1
        inputs = colours * c.length  # those so far and a guess, or the next one
        self.G = nn.ModuleList(Scale(inputs, colours, c.channels, *layers) for layers in GENERATORS)
        if c.lambda_adv:
            self.D = nn.ModuleList(Places(inputs, c.channels, *layers) for layers in DISCRIMINATORS)
        self.objective = objectives.game(c.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        networks = {"G": self.G, "D": self.D} if self.config.lambda_adv else {"G": self.G}
        return {name: torch.optim.Adam(net.parameters(), **adam) for name, net in networks.items()}

    def predict(self, X: list[Tensor]) -> list[Tensor]:
        """Ŷ_1 to Ŷ_4 from X_1 to X_4 [B, T C, h, w], not clamped."""
        made = [torch.zeros_like(X[0][:, : self.info.channels["frames"]])]
        for G, x in zip(self.G, X, strict=True):
            guess = made[-1]
            if guess.shape[-1] != x.shape[-1]:
                guess = F.interpolate(guess, scale_factor=2.0, mode="bilinear")
            made.append(guess + G(torch.cat([x, guess], 1)))
        return made[1:]

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, frames = self.config, batch["frames"]
        X, Y = scales(frames[:, :-1].flatten(1, 2)), scales(frames[:, -1])
        made = self.predict(X)
        lp = (made[-1] - Y[-1]).abs().pow(c.p).mean()
        sharp = gdl(made[-1], Y[-1], c.alpha)
        loss, logs = c.lambda_lp * lp + c.lambda_gdl * sharp, {"lp": lp, "gdl": sharp}
        if not c.lambda_adv:
            update("G", loss)
            return {name: value.detach() for name, value in logs.items()}

        def judged(k: int):
            return lambda picture: self.D[k](torch.cat([X[k], picture], 1))

        fools = [self.objective.fool(judged(k), made[k], Y[k]) for k in range(len(X))]
        logs["G_fool"] = fool = torch.stack(fools).sum()
        update("G", loss + c.lambda_adv * fool)  # eq. 7
        losses = []
        for k, fake in enumerate(made):
            D, fake = judged(k), fake.detach()
            losses.append(self.objective.discriminate(D(Y[k]), D(fake)))
            losses.append(objectives.regularise(D, Y[k], fake, t, c))
        logs["D"] = loss_D = torch.stack(losses).sum()  # eq. 4
        update("D", loss_D)
        return {name: value.detach() for name, value in logs.items()}

    def generate(self, frames: Tensor) -> Tensor:
        """[B, T, C, H, W], T = --length - 1 and more, of which the last count, to the next [B, C, H, W]."""
        seen = frames[:, frames.shape[1] - self.frames_in :].flatten(1, 2)
        return self.predict(scales(seen))[-1].clamp(-1, 1)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Three frames onwards, each made from the last ones, beside the truth where it is known."""
        known = batch["frames"][:, : self.frames_in]
        columns = {"last": known[:, -1]}
        for number in range(1, 4):
            made = self(frames=known)
            columns[f"+{number}"] = made
            known = torch.cat([known, made[:, None]], 1)
        return columns | {"truth of +1": batch["frames"][:, -1]}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(size=16, channels=2, length=3, batch_size=2, steps=2, mixed_precision="no")


def scales(x: Tensor) -> list[Tensor]:
    """[B, C, H, W] at an eighth, a quarter, half and all of its size."""
    small = [F.avg_pool2d(x, factor) for factor in (SMALLEST, SMALLEST // 2, SMALLEST // 4)]
    return [*small, x]
