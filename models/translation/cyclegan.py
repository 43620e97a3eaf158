"""CycleGAN: learn to translate between two collections without pairs (Zhu et al. 2017, arXiv 1703.10593).

    L(G, F, D_X, D_Y) = L_GAN(G, D_Y) + L_GAN(F, D_X) + λ L_cyc(G, F)                        (eq. 3)
    L_cyc = E ‖F(G(x)) - x‖₁ + E ‖G(F(y)) - y‖₁                                              (eq. 2)
    L_identity = E ‖G(y) - y‖₁ + E ‖F(x) - x‖₁, weight λ · identity                          (section 5.2)

G: X -> Y, F: Y -> X. The game is least squares, and D learns from a history of 50 generated pictures and with
half its loss (section 4). `a` is X, `b` is Y.

Option: noise on what goes back, F(G(x) + σ ε), so that G cannot hide x where the eye sees flat colour
(Bashkirova et al. 2019, arXiv 1908.01517).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from datasets.options import Unpaired
from models.common import objectives, translators
from models.common.layers import in_one_pass
from models.common.pool import Pool
from translate.config import Norm, Objective, Translator, UnpairedConfig
from translate.task import DataInfo, Task, UserError


def l1(a: Tensor, b: Tensor) -> Tensor:
    """E ‖a - b‖₁, a mean over pixels as published."""
    return (a - b).abs().mean()


@dataclass(frozen=True, kw_only=True)
class Config(Unpaired, UnpairedConfig):
    """CycleGAN (Zhu et al. 2017)"""

    generator: Translator = "resnet9"  # for 256 px and more, resnet6 for 128 px (section 7.2)
    norm: Norm = "instance"  # section 4; none keeps colours (docs/unpaired.md)
    objective: Objective = "least-squares"  # section 4
    lambda_cycle: float = 10.0  # weight of the cycle loss, section 4; 0 is the control without it
    cycle_noise: float = 0.0  # σ; 0 is the paper's
    identity: float = 0.5  # weight of the identity loss relative to the cycle's, section 5.2; 0 is off
    pool: int = 50  # generated pictures kept for the discriminators, section 4
    beta1: float = 0.5  # the authors' code
    steps: int = 200_000  # 200 epochs of about 1,000 pictures
    lr_schedule: Literal["constant", "linear", "cosine"] = "linear"  # section 4: decay over the last half


class CycleGAN(Task):
    Config, data, takes, exported = Config, "unpaired", ("image",), ("G", "F")
    directions = ("AtoB", "BtoA")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, a, b = config, info.channels["a"], info.channels["b"]
        self.stride = translators.stride_of(c.generator, c.size)
        if c.identity and a != b:
            raise UserError(
                f"--identity {c.identity} needs equal channels, but A has {a} and B has {b}: set --identity 0"
            )
        self.G = translators.generator(c.generator, a, b, c.channels, c.norm, c.upsample)
        self.F = translators.generator(c.generator, b, a, c.channels, c.norm, c.upsample)
        self.D_X, self.D_Y = (
            translators.discriminator(
                inputs, c.channels_D or c.channels, int(c.patch), c.norm_D, c.size,
                projected=c.discriminator == "projected",
            )
            for inputs in (a, b)
        )  # fmt: skip
        self.pool_X = Pool(c.pool, (a, c.size, c.size), c.seed)
        self.pool_Y = Pool(c.pool, (b, c.size, c.size), c.seed + 1)
        self.objective = objectives.game(c.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        translators.open_networks(self.D_X, self.D_Y)
        adam = dict(lr=c.learning_rate, betas=(c.beta1, 0.999), fused=True)
        return {
            "G": torch.optim.Adam([*self.G.parameters(), *self.F.parameters()], **adam),
            "D": torch.optim.Adam([*self.D_X.parameters(), *self.D_Y.parameters()], **adam),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, y = self.config, batch["a"], batch["b"]
        lambda_identity, zero = c.lambda_cycle * c.identity, x.new_zeros(())
        fake_y, *same_y = in_one_pass(self.G, c.norm, x, y) if lambda_identity else [self.G(x)]
        fake_x, *same_x = in_one_pass(self.F, c.norm, y, x) if lambda_identity else [self.F(y)]
        fool = self.objective.fool(self.D_Y, fake_y, y) + self.objective.fool(self.D_X, fake_x, x)  # eq. 1
        back_x, back_y = self.noisy(fake_x), self.noisy(fake_y)
        cycle = l1(self.F(back_y), x) + l1(self.G(back_x), y) if c.lambda_cycle else zero  # eq. 2
        identity = l1(same_y[0], y) + l1(same_x[0], x) if lambda_identity else zero
        update("G", fool + c.lambda_cycle * cycle + lambda_identity * identity)  # eq. 3

        loss_X, penalty_X = self.discriminate(self.D_X, x, self.pool_X(fake_x), t)
        loss_Y, penalty_Y = self.discriminate(self.D_Y, y, self.pool_Y(fake_y), t)
        update("D", loss_X + loss_Y + penalty_X + penalty_Y)
        logs = {"G_fool": fool, "cycle": cycle, "identity": identity, "D_X": loss_X, "D_Y": loss_Y}
        return {name: value.detach() for name, value in logs.items()}

    def noisy(self, fake: Tensor) -> Tensor:
        """Pictures [B, C, H, W] with σ ε added, as they go back."""
        sigma = self.config.cycle_noise
        return fake + sigma * torch.randn_like(fake) if sigma else fake

    def discriminate(self, D, real: Tensor, fake: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Half the loss of D, as published, and its penalty."""
        real_logits, fake_logits = in_one_pass(D, self.config.norm_D, real, fake.to(real.dtype))
        loss = 0.5 * self.objective.discriminate(real_logits, fake_logits)
        return loss, objectives.regularise(D, real, fake, t, self.config)

    def generate(self, image: Tensor, direction: str = "AtoB") -> Tensor:
        return (self.G if direction == "AtoB" else self.F)(image)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16,
            generator="resnet6",
            channels=4,
            patch="16",
            pool=3,
            batch_size=2,
            steps=2,
            mixed_precision="no",
        )
