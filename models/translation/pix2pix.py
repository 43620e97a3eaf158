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
from torch import Tensor, nn

from datasets.options import Paired
from models.common import objectives, translators
from models.common.layers import in_one_pass
from translate.config import Norm, Translator, TranslatorConfig
from translate.task import DataInfo, Task


@dataclass(frozen=True, kw_only=True)
class Config(Paired, TranslatorConfig):
    """pix2pix (Isola et al. 2017)"""

    generator: Translator = "unet256"  # section 6.1.1
    channels: int = 64  # and of D
    norm: Norm = "instance"  # and D's; the paper's batch norm of one picture; batch for larger batches
    dropout: bool = True  # the noise z: dropout 0.5 in the three inner decoder layers of a U-Net
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
        c, a, b = config, info.channels["a"], info.channels["b"]
        self.stride = translators.stride_of(c.generator, c.size)
        self.G = translators.generator(c.generator, a, b, c.channels, c.norm, c.upsample, c.dropout)
        self.D = translators.discriminator(a + b, c.channels, int(c.patch), c.norm, c.size)
        self.objective = objectives.game(c.objective)

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
