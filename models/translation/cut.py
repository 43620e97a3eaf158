"""CUT: unpaired translation with one generator, by contrasting patches (Park et al. 2020, arXiv 2007.15651).

    L_GAN(G, D, X, Y) + λ_X L_PatchNCE(G, H, X) + λ_Y L_PatchNCE(G, H, Y)                          (eq. 5)
    L_PatchNCE(G, H, X) = E Σ_l Σ_s ℓ(ẑ_l^s, z_l^s, z_l^S\\s), means over l and s as in their code (eq. 4)
    ℓ(v, v⁺, v⁻) = -log( exp(v·v⁺/τ) / ( exp(v·v⁺/τ) + Σₙ exp(v·vₙ⁻/τ) ) )                           (eq. 3)

z_l = H_l(G_enc^l(x)) are features of the input, ẑ_l = H_l(G_enc^l(G(x))) of its translation: a patch of the
output must resemble the input's patch at the same place more than the picture's other patches. CUT has
λ_X = λ_Y = 1; FastCUT (`--fast`) λ_X = 10, λ_Y = 0 and mirrors inputs (appendix C). `a` is X, `b` is Y.
As in the authors' code, keys get no gradient and CUT takes the mean of its two contrasts, not their sum.
Deviation: G is CycleGAN's, as the paper says; their code also blurs where it resamples.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Unpaired
from models.common import objectives, translators
from models.common.layers import in_one_pass, init_normal
from translate.config import Objective, UnpairedConfig
from translate.task import DataInfo, Task, UserError

LAYERS = (0, 4, 7, 10, 14)  # of ResNetGenerator: its input, two strided convolutions, blocks 1 and 5


class Projector(nn.ModuleList):
    """H: features at sampled places to unit vectors, a two-layer perceptron per layer (section 3)."""

    def __init__(self, widths: list[int], units: int = 256):
        super().__init__(
            nn.Sequential(nn.Linear(width, units), nn.ReLU(True), nn.Linear(units, units)) for width in widths
        )

    def forward(self, features: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        """[B, C_l, h, w] at places [S_l] to [B, S_l, 256], each of length 1, float32."""
        z = []
        for H, feature, place in zip(self, features, places, strict=True):
            patches = feature.flatten(2)[:, :, place].transpose(1, 2).float()
            z.append(F.normalize(H(patches), dim=2))
        return z


def patch_nce(queries: Tensor, keys: Tensor, tau: float) -> Tensor:
    """ℓ, averaged: query s of each picture must find key s among all of its keys. [B, S, 256] both; eq. 3."""
    logits = queries @ keys.transpose(1, 2) / tau  # [B, S, S], the diagonal is v·v⁺ / τ
    truth = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.flatten(0, 1), truth.flatten())


@dataclass(frozen=True, kw_only=True)
class Config(Unpaired, UnpairedConfig):
    """CUT (Park et al. 2020)"""

    generator: Literal["resnet9", "resnet6"] = "resnet9"  # section 4.1
    objective: Objective = "least-squares"  # section 4.1
    fast: bool = False  # FastCUT: one contrast with weight 10, mirrored inputs; less memory and time
    lambda_nce: float | None = None  # weight of the contrastive losses; default 1, FastCUT's 10
    nce_layers: tuple[int, ...] = LAYERS  # of G, contrasted; without 0 and 4 even colours are left to D
    places: int = 256  # patches per layer and picture, section 4.1
    tau: float = 0.07  # temperature, section 4.1
    beta1: float = 0.5  # the authors' code
    steps: int = 400_000  # 400 epochs of about 1,000 pictures
    lr_schedule: Literal["constant", "linear", "cosine"] = "linear"  # section 4.1: decay over the last half


class CUT(Task):
    Config, data, takes, exported = Config, "unpaired", ("image",), ("G",)

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, a, b = config, info.channels["a"], info.channels["b"]
        if a != b:
            raise UserError(f"CUT encodes its own output, so A and B need equal channels, not {a} and {b}")
        if not c.nce_layers or not set(c.nce_layers) <= set(LAYERS):
            chosen = " ".join(map(str, c.nce_layers)) or "none"
            raise UserError(f"--nce-layers takes some of {' '.join(map(str, LAYERS))}, not {chosen}")
        self.layers = sorted(set(c.nce_layers))
        self.stride = translators.stride_of(c.generator, c.size)
        self.G = translators.generator(c.generator, a, b, c.channels, c.norm, c.upsample)
        self.D = translators.discriminator(
            b, c.channels_D or c.channels, int(c.patch), c.norm_D, c.size,
            projected=c.discriminator == "projected",
        )  # fmt: skip
        widths = {0: a, 4: 2 * c.channels}
        self.H = Projector([widths.get(layer, 4 * c.channels) for layer in self.layers])
        init_normal(self.H)
        self.objective = objectives.game(c.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        translators.open_networks(self.D)
        adam = dict(lr=c.learning_rate, betas=(c.beta1, 0.999), fused=True)
        return {
            "G": torch.optim.Adam([*self.G.parameters(), *self.H.parameters()], **adam),
            "D": torch.optim.Adam(self.D.parameters(), **adam),
        }

    def features(self, x: Tensor, to_the_end: bool = False) -> tuple[list[Tensor], Tensor]:
        """The features G_enc^l(x) of `--nce-layers`, and what the last layer gives: G(x) at the end."""
        features = [x] if 0 in self.layers else []
        for i, layer in enumerate(self.G):
            x = layer(x)
            if i and i in self.layers:
                features.append(x)
            if i == self.layers[-1] and not to_the_end:
                break
        return features, x

    def nce(self, made: list[Tensor], given: list[Tensor]) -> Tensor:
        """L_PatchNCE between features of translations and of their inputs, eq. 4."""
        c = self.config
        places = [torch.randperm(f.shape[2] * f.shape[3], device=f.device)[: c.places] for f in made]
        with torch.autocast(made[0].device.type, enabled=False):  # similarities / 0.07 need float32
            with torch.no_grad():
                keys = self.H(given, places)
            losses = [patch_nce(q, k, c.tau) for q, k in zip(self.H(made, places), keys, strict=True)]
            return torch.stack(losses).mean()

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x, y = self.config, batch["a"], batch["b"]
        lambda_nce = (10.0 if c.fast else 1.0) if c.lambda_nce is None else c.lambda_nce
        mirrored = c.fast and bool(torch.rand(()) < 0.5)
        inputs = x.flip(3) if mirrored else x if c.fast else torch.cat([x, y])
        given, made = self.features(inputs, to_the_end=True)
        fake = made[: len(x)]
        fool = self.objective.fool(self.D, fake, y)
        features, _ = self.features(made)
        if mirrored:  # the patch that was left is compared with what is left of the input as it came
            features = [f.flip(3) for f in features]
            with torch.no_grad():
                given, _ = self.features(x)
        nce = self.nce(features, given)
        update("G", fool + lambda_nce * nce)  # eq. 5

        fake = fake.detach().to(y.dtype)
        real_logits, fake_logits = in_one_pass(self.D, c.norm_D, y, fake)
        loss_D = 0.5 * self.objective.discriminate(real_logits, fake_logits)
        update("D", loss_D + objectives.regularise(self.D, y, fake, t, c))
        return {"G_fool": fool.detach(), "nce": nce.detach(), "D": loss_D.detach()}

    def generate(self, image: Tensor) -> Tensor:
        return self.G(image)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, generator="resnet6", channels=4, patch="16", batch_size=2, steps=2, mixed_precision="no"
        )
