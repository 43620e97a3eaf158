"""Label sets of pictures, with a D that judges sets (Tsai & Lee 2018, arXiv 1811.04689).

A classifier is a conditional generator: G(x) ∈ [0, 1]^L is the set of labels of picture x, and D(x, s) asks
whether a set goes with a picture and its labels with each other.

    ŝ = [G(x) > ½],  ∂ŝ/∂G = 1                                              (straight through)
    min_D  E ℓ_real(D(x, s)) + ½ E ℓ_fake(D(x, ŝ)) + ½ E ℓ_fake(D(x, s'))          s' of another picture
    min_G  E BCE(G(x), s) + λ E ℓ_fool(D(x, ŝ))

BCE alone, λ = 0, takes each label for itself, and tells none where each of several is unlikely; D sees which
labels come together, and that no set is empty. The mismatched s' is Reed et al.'s (2016, arXiv 1605.05396,
algorithm 1). Deviations: D judges the decided set ŝ, with the straight-through gradient (Bengio et al. 2013,
arXiv 1308.3432), for of probabilities it learns that true sets hold ones and zeros and G learns to be sure,
right or wrong (docs/labels.md); the game begins when G knows something; small networks for small pictures,
which begin with no knowledge of ImageNet.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Sets
from models.common import objectives
from models.gan import dcgan
from translate.config import GameConfig
from translate.task import DataInfo, Task


class Classifier(nn.Module):
    """G: pictures [B, C, size, size] to logits of labels [B, L]."""

    def __init__(self, c: "Config", colours: int, labels: int):
        super().__init__()
        self.layers = dcgan.Discriminator(colours, c.channels, c.size, labels)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)


class Discriminator(nn.Module):
    """Pictures and sets [B, L] to logits [B]: a layer on both, that compares and combines."""

    def __init__(self, c: "Config", colours: int, labels: int):
        super().__init__()
        self.picture = dcgan.Discriminator(colours, c.channels, c.size, c.hidden, kind="none")
        self.set = nn.Linear(labels, c.hidden)
        self.head = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Linear(2 * c.hidden, c.hidden), nn.LeakyReLU(0.2), nn.Linear(c.hidden, 1)
        )

    def look(self, x: Tensor) -> Tensor:
        """Pictures to their features [B, hidden]."""
        return self.picture(x).flatten(1)

    def judge(self, seen: Tensor, s: Tensor) -> Tensor:
        predicted = self.set(s)
        return self.head(torch.cat([seen * predicted, predicted], 1))[:, 0]

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        return self.judge(self.look(x), s)


@dataclass(frozen=True, kw_only=True)
class Config(Sets, GameConfig):
    """Multi-label with an adversary (Tsai & Lee 2018)"""

    size: int = 64  # 4, 5, 6 or 7 times a power of two
    channels: int = 32  # width beside the picture
    hidden: int = 128  # of D's layers
    adversarial: float = 0.02  # λ, weight of fooling D; 0: no D
    alone: float = 0.3  # share of the updates by cross-entropy alone, before the game
    learning_rate: float = 1e-3
    batch_size: int = 64
    ema: float = 0.99  # of G
    steps: int = 5000
    lr_schedule: Literal["constant", "linear", "cosine"] = "cosine"


class MultiLabel(Task):
    Config, data, takes, exported = Config, "sets", ("shown",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        colours, labels = info.channels["image"], len(info.classes)
        self.G, self.D = Classifier(config, colours, labels), Discriminator(config, colours, labels)
        self.objective = objectives.game(config.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        names = ("G", "D") if self.config.adversarial else ("G",)
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        return {name: torch.optim.Adam(getattr(self, name).parameters(), **adam) for name in names}

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, s = self.config, batch["image"], batch["set"]
        logits = self.G(x if len(x) > 1 else x.repeat(2, 1, 1, 1)).float()[: len(x)]
        predicted = logits.sigmoid()
        logs = {"F1": micro_f1(predicted.detach() > 0.5, s > 0.5)}
        loss_G = named = F.binary_cross_entropy_with_logits(logits, s)
        if c.adversarial and t >= c.alone * c.steps:
            decided = (predicted > 0.5).float() + predicted - predicted.detach()
            wrong = s.roll(1, 0)  # another picture's; alike sets by chance are no mismatch
            other = (wrong != s).any(1, keepdim=True)
            wrong = torch.where(other, wrong, decided.detach())
            seen = self.D.look(x)
            fake = torch.cat([self.D.judge(seen, decided.detach()), self.D.judge(seen, wrong)])
            loss_D = self.objective.discriminate(self.D.judge(seen, s).repeat(2), fake)

            def D(sets: Tensor) -> Tensor:
                return self.D.judge(seen.detach(), sets)

            update("D", loss_D + objectives.regularise(D, s, decided, t, c))
            fool = self.objective.fool(D, decided, s)
            loss_G = loss_G + c.adversarial * fool
            logs |= {"D": loss_D.detach(), "fool": fool.detach()}
        update("G", loss_G)
        return logs | {"cross-entropy": named.detach()}

    def classify(self, image: Tensor) -> Tensor:
        """Pictures [B, C, H, W] in [-1, 1] to the probability of each label [B, L], one by one."""
        return self.G(image).float().sigmoid()

    def generate(self, shown: Tensor) -> Tensor:
        return self.classify(shown)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        return {"picture": batch["image"]}

    @classmethod
    def tiny(cls) -> Config:
        tiny = dict(size=16, channels=2, hidden=4, batch_size=4, steps=2, ema=0.0, alone=0.0)
        return cls.Config(**tiny, mixed_precision="no")


def micro_f1(predicted: Tensor, truth: Tensor) -> Tensor:
    """2 TP / (2 TP + FP + FN) over all labels of all pictures, of booleans [B, L]; 1 where both are empty."""
    hits, total = (predicted & truth).sum(), predicted.sum() + truth.sum()
    return torch.where(total > 0, 2 * hits / total.clamp(min=1), torch.ones((), device=predicted.device))
