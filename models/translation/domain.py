"""A domain's discriminator D and a mapper M into it (after Goodfellow et al. 2014, arXiv 1406.2661).

A lecture's two steps, and why they must be one:

    D: is a picture of domain B?    min_D  E ℓ_real(D(b)) + E ℓ_fake(D(a))       over real pictures alone
    M: A -> B                       min_M  E ℓ_fool(D(M(a)))                     with that D, `--fixed`
    or, as a game, by default:      min_D  E ℓ_real(D(b)) + E ℓ_fake(D(M(a))),   and M as above, in turns

D has only seen pictures of A and B, so a fixed one is fooled by changes that mean nothing (Goodfellow et al.
2015, arXiv 1412.6572), and M finds them. In the game D sees what M makes of it and learns to tell that, too.
M is not asked to keep anything of its input: that is what `cyclegan` and `cut` add. Deviation: no paper has
it so; networks and step sizes are CycleGAN's.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from datasets.options import Unpaired
from models.common import objectives, translators
from models.common.layers import in_one_pass
from translate.config import UnpairedConfig
from translate.task import DataInfo, Task, UserError


@dataclass(frozen=True, kw_only=True)
class Config(Unpaired, UnpairedConfig):
    """Domain discriminator with a mapper (after Goodfellow et al. 2014)"""

    generator: Literal["resnet9", "resnet6"] = "resnet6"  # M
    size: int = 64
    fixed: bool = False  # D learns real pictures of A from those of B, then stays while M learns to fool it
    alone: float = 0.3  # share of the updates in which D learns, with --fixed
    batch_size: int = 8
    steps: int = 20_000


class Domain(Task):
    Config, data, takes, exported = Config, "unpaired", ("image",), ("M", "D")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, a, b = config, info.channels["a"], info.channels["b"]
        if a != b:
            raise UserError(f"D sees pictures of A and B, so they need equal channels, not {a} and {b}")
        if not 0 < c.alone < 1:
            raise UserError(f"--alone {c.alone} must be a share between 0 and 1, e.g. 0.3")
        self.stride = translators.stride_of(c.generator, c.size)
        self.M = translators.generator(c.generator, a, b, c.channels, c.norm, c.upsample)
        self.D = translators.discriminator(
            b, c.channels_D or c.channels, int(c.patch), c.norm_D, c.size,
            projected=c.discriminator == "projected",
        )  # fmt: skip
        self.objective = objectives.game(c.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        translators.open_networks(self.D)
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        return {name: torch.optim.Adam(getattr(self, name).parameters(), **adam) for name in ("M", "D")}

    def discriminate(self, real: Tensor, fake: Tensor, t: int, update) -> Tensor:
        """One update of D; its loss."""
        real_logits, fake_logits = in_one_pass(self.D, self.config.norm_D, real, fake.detach().to(real.dtype))
        loss = self.objective.discriminate(real_logits, fake_logits)
        update("D", loss + objectives.regularise(self.D, real, fake, t, self.config))
        return loss.detach()

    @property
    def begins(self) -> int:
        return math.ceil(self.config.alone * self.config.steps) if self.config.fixed else 0

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, a, b = self.config, batch["a"], batch["b"]
        if t < self.begins:
            return {"D": self.discriminate(b, a, t, update)}
        fake = self.M(a)
        logits: list[Tensor] = []

        def D(picture: Tensor) -> Tensor:
            logits.append(self.D(picture))
            return logits[-1]

        loss_M = self.objective.fool(D, fake, b)
        update("M", loss_M)
        fooled = (logits[-1].flatten(1).mean(1) > getattr(self.objective, "boundary", 0.0)).float().mean()
        logs = {"M": loss_M.detach(), "fooled": fooled}
        if not c.fixed:
            logs["D"] = self.discriminate(b, fake, t, update)
        return logs

    def generate(self, image: Tensor) -> Tensor:
        return self.M(image)

    def belongs(self, image: Tensor) -> Tensor:
        """D's mean logit of each picture [B, C, H, W]: [B], above the game's boundary if it is of B."""
        return self.D(image).float().flatten(1).mean(1)

    @classmethod
    def tiny(cls) -> Config:
        tiny = dict(size=16, generator="resnet6", channels=4, patch="16", batch_size=2, steps=2)
        return cls.Config(**tiny, mixed_precision="no")
