"""InfoGAN: codes c of the noise that can be read off the picture (Chen et al. 2016, arXiv 1606.03657).

    min_{G,Q} max_D  V(D, G) - λ L_I(G, Q)                                                    (eq. 6)
    L_I = E_{c ~ P(c), x ~ G(z, c)} log Q(c|x) + H(c)  <=  I(c; G(z, c))                      (eq. 5)

Q shares D's layers. One code has K values, each as likely; the others are uniform in [-1, 1], and Q a normal
distribution of deviation 1 around its guess, so -log Q = ½ (c - μ)² + const, as in the authors' program;
D's layers learn from L_I, too. H(c) is constant and left out. Networks and step sizes are theirs (appendix
C.1). In use the first code is the label; the continuous ones are the last numbers of the noise, whose normal
values Φ makes uniform.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Images
from models.common import objectives
from models.common.layers import init_normal
from models.gan.dcgan import halved
from translate.config import GameConfig
from translate.task import DataInfo, Task, UserError


def lowered(c: "Config") -> int:
    """The side of the smallest maps: size / 4. Raises UserError where that is not whole."""
    halved(c.size)
    if c.size % 4:
        raise UserError(f"--size {c.size} must be in multiples of 4, e.g. 28 or 32")
    return c.size // 4


class Generator(nn.Module):
    """Noise and codes [B, d] to pictures [B, C, size, size] in [-1, 1]."""

    def __init__(self, c: "Config", inputs: int, colours: int):
        super().__init__()
        w, side = c.channels, lowered(c)
        self.layers = nn.Sequential(
            nn.Linear(inputs, 16 * w, bias=False), nn.BatchNorm1d(16 * w), nn.ReLU(),
            nn.Linear(16 * w, 2 * w * side**2, bias=False), nn.BatchNorm1d(2 * w * side**2), nn.ReLU(),
            nn.Unflatten(1, (2 * w, side, side)),
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU(),
            nn.ConvTranspose2d(w, colours, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Discriminator(nn.Module):
    """Pictures [B, C, size, size] to the logits of D [B] and of Q [B, K], and μ [B, continuous]."""

    def __init__(self, c: "Config", colours: int):
        super().__init__()
        w, side, self.codes = c.channels, lowered(c), c.codes
        self.shared = nn.Sequential(
            nn.Conv2d(colours, w, 4, 2, 1), nn.LeakyReLU(0.1),
            nn.Conv2d(w, 2 * w, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * w), nn.LeakyReLU(0.1), nn.Flatten(),
            nn.Linear(2 * w * side**2, 16 * w, bias=False), nn.BatchNorm1d(16 * w), nn.LeakyReLU(0.1),
        )  # fmt: skip
        self.D = nn.Linear(16 * w, 1)
        self.Q = nn.Sequential(
            nn.Linear(16 * w, 2 * w, bias=False), nn.BatchNorm1d(2 * w), nn.LeakyReLU(0.1),
            nn.Linear(2 * w, c.codes + c.continuous),
        )  # fmt: skip
        init_normal(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.shared(x)
        q = self.Q(h)
        return self.D(h)[:, 0], q[:, : self.codes], q[:, self.codes :]


@dataclass(frozen=True, kw_only=True)
class Config(Images, GameConfig):
    """InfoGAN (Chen et al. 2016)"""

    size: int = 28
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = "resize"
    codes: int = 10  # values of the first code
    continuous: int = 2  # codes that are uniform in [-1, 1]
    latent: int = 62  # dimensions of the noise that nobody reads
    channels: int = 64  # width of the layers beside the picture
    lambda_info: float = 1.0  # λ of the first code
    lambda_continuous: float = 1.0  # λ of the continuous ones; the paper asks for a smaller one, unnamed
    learning_rate: float = 1e-3  # of G (appendix C.1)
    rate_d: float = 2e-4  # of D and Q
    batch_size: int = 128
    steps: int = 5000  # 50 epochs of 100 updates, as the authors'
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "no"


class InfoGAN(Task):
    Config, data, takes, exported = Config, "images", ("noise", "label"), ("G", "D")

    def __init__(self, config: Config, info: DataInfo):
        if config.codes < 2:
            raise UserError(f"--codes {config.codes} is too small; the least is 2")
        info = dataclasses.replace(info, classes=tuple(str(code) for code in range(config.codes)))
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        self.noise_shape = (c.latent + c.continuous,)
        self.code_names = {c.latent + i: f"code {i + 2}" for i in range(c.continuous)}
        self.G, self.D = Generator(c, self.noise_shape[0] + c.codes, colours), Discriminator(c, colours)
        self.objective = objectives.game(c.objective)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        rates = {"G": c.learning_rate, "D": c.rate_d}
        adam = dict(betas=(c.beta1, 0.999), fused=True)
        return {k: torch.optim.Adam(getattr(self, k).parameters(), lr=r, **adam) for k, r in rates.items()}

    def whole(self, noise: Tensor, label: Tensor) -> Tensor:
        """G's input: noise and continuous codes, uniform in [-1, 1], and the first code as ones and zeros."""
        uniform = 2 * torch.special.ndtr(noise.float()) - 1
        return torch.cat([uniform, F.one_hot(label, self.config.codes).to(uniform.dtype)], 1)

    def unread(self, guess: tuple[Tensor, Tensor], label: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """-λ log Q(c|x) of the first code, and of the continuous ones (summed, but for a constant)."""
        c, (values, means) = self.config, guess
        codes = given[:, c.latent : c.latent + c.continuous]
        first = F.cross_entropy(values.float(), label)
        others = 0.5 * (means.float() - codes).square().sum(1).mean()
        return c.lambda_info * first, c.lambda_continuous * others

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        x = x if len(x) > 1 else x.repeat(2, 1, 1, 1)  # batch norm of vectors needs two
        label = torch.randint(c.codes, (len(x),), device=x.device)
        given = self.whole(torch.randn(len(x), *self.noise_shape, device=x.device), label)
        fake = self.G(given)
        guesses: list[tuple[Tensor, Tensor]] = []

        def D(picture: Tensor) -> Tensor:
            logits, *guess = self.D(picture)
            guesses.append(tuple(guess))
            return logits

        loss_D = self.objective.discriminate(D(x), D(fake.detach()))
        penalty = sum(self.unread(guesses[-1], label, given))
        update("D", loss_D + penalty + objectives.regularise(D, x, fake, t, c))
        loss_G = self.objective.fool(D, fake, x)
        first, others = self.unread(guesses[-1], label, given)
        update("G", loss_G + first + others)
        return {"D": loss_D.detach(), "G": loss_G.detach(), "code": first.detach(), "codes": others.detach()}

    def generate(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.G(self.whole(noise, label))

    def classify(self, image: Tensor) -> Tensor:
        """Q(c|x) of the first code: pictures [B, C, H, W] to probabilities [B, K]."""
        return self.D(image)[1].float().softmax(1)

    @classmethod
    def tiny(cls) -> Config:
        tiny = dict(size=16, codes=3, latent=4, channels=2, batch_size=4, steps=2)
        return cls.Config(**tiny, mixed_precision="no")
