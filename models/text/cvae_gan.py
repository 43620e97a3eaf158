"""CVAE-GAN: captions to pictures, by reconstruction, then by a game (Bao et al. 2017, arXiv 1703.10155).

    z = μ(x, e) + σ(x, e) ⊙ ε, z' ~ N(0, I), x̃ = G(z, e), x' = G(z', e)
    L_VAE = |x - x̃| + β KL(N(μ, σ²) ‖ N(0, I))                                         (L_KL and part of L_G)
    L_D = E[(1 - D(x, e))⁺] + ½ E[(1 + D(x̃ or x', e))⁺] + ½ E[(1 + D(x, ê))⁺] + MA-GP         (DF-GAN, eq. 3)
    L_G = L_VAE + λ_f ‖f(x) - f(x̃)‖² - λ_a E[D(x̃ or x', e)]

x is a real picture, e the vector of its caption, ê another's, f what D sees before it reads the caption. An
encoder that has seen the picture tells z what the caption leaves open (place, posture, colours that are not
named), so G learns shapes and colours from every pixel, without a game, in the first `vae_steps` updates.
Blurred pictures of the right things are then where the game begins: half of a batch are reconstructions, half
are drawn from noise.

Deviations: the game is DF-GAN's (one D for picture and caption, hinge, MA-GP), where the paper has a separate
classifier and matches mean features; the first phase is ours; sentences come from an encoder trained here on
the same captions, in the first `text_steps` updates.
"""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Captions
from models.common import objectives
from models.common.text import FromText
from models.latent import vae
from models.text import df_gan
from translate.config import TextConfig
from translate.task import DataInfo, UserError

SIZES = (32, 64, 128, 256)


def widths(size: int, channels: int, most: int) -> list[int]:
    """Of the layers at size / 2, size / 4, ..., 4 pixels: n, 2 n, 4 n, ..., at most `most`."""
    return [min(most, channels * 2**i) for i in range(size.bit_length() - 3)]


class Modulated(nn.Module):
    """Convolution, conditional batch norm (de Vries et al. 2017, arXiv 1707.00683), rectifier.

    x [B, inputs, H, W] and what conditions it [B, given] to [B, outputs, H, W].
    """

    def __init__(self, given: int, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=False)
        self.affine = nn.Linear(given, 2 * outputs)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, both: Tensor) -> Tensor:
        gamma, beta = self.affine(both)[..., None, None].to(x.dtype).chunk(2, 1)
        return F.leaky_relu(torch.addcmul(beta, 1 + gamma, self.norm(self.conv(x))), 0.2)


class Generator(nn.Module):
    """Noise [B, Z] and sentences [B, E] to pictures [B, C, size, size] in [-1, 1].

    Layers at full size would cost most and add least: the last convolution alone is there.
    """

    def __init__(self, noise: int, words: int, channels: int, most: int, size: int, colours: int):
        super().__init__()
        up, given = widths(size, channels, most)[::-1], noise + words
        self.start = nn.Linear(given, up[0] * 16)
        self.first = Modulated(given, up[0], up[0])
        self.blocks = nn.ModuleList(Modulated(given, i, o) for i, o in itertools.pairwise(up))
        self.again = nn.ModuleList(Modulated(given, o, o) for o in up[1:-1])
        self.fine = nn.Conv2d(up[-1], up[-1] // 2, 3, padding=1)
        self.end = nn.Conv2d(up[-1] // 2, colours, 3, padding=1)

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        both = torch.cat([z, F.normalize(e.to(z.dtype), dim=1) * e.shape[1] ** 0.5], 1)
        x = self.start(both).view(z.shape[0], -1, 4, 4).contiguous(memory_format=torch.channels_last)
        x = self.first(x, both)
        for i, block in enumerate(self.blocks):
            x = block(F.interpolate(x, scale_factor=2), both)
            if i < len(self.again):
                x = x + self.again[i](x, both)
        x = F.leaky_relu(self.fine(x), 0.2)
        return torch.tanh(self.end(F.interpolate(x, scale_factor=2)))


class Trunk(nn.Sequential):
    """Strided convolutions: [B, inputs, H, H] to [B, widths[-1], 4, 4], `widths` wide one after another."""

    def __init__(self, first: list[nn.Module], inputs: int, widths: list[int]):
        layers = first
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)]
            inputs = width
        super().__init__(*layers, nn.Conv2d(inputs, inputs, 3, 1, 1), nn.LeakyReLU(0.2))


class Encoder(nn.Module):
    """Pictures [B, C, size, size] in [-1, 1] and sentences [B, E] to μ and log σ² (within ±8), each [B, Z].

    2 x 2 pixels become channels first, which costs least and loses nothing.
    """

    def __init__(self, noise: int, words: int, channels: int, most: int, size: int, colours: int):
        super().__init__()
        down = widths(size, channels, most)
        self.trunk = Trunk([nn.PixelUnshuffle(2)], 4 * colours, down[1:])
        self.text = nn.Linear(words, down[-1])
        self.out = nn.Sequential(
            nn.Linear(down[-1] * 17, 4 * noise), nn.LeakyReLU(0.2), nn.Linear(4 * noise, 2 * noise)
        )

    def forward(self, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.trunk(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        text = F.leaky_relu(self.text(e), 0.2)
        mu, log_var = self.out(torch.cat([seen, text.to(seen.dtype)], 1)).float().chunk(2, 1)
        return mu, 8 * torch.tanh(log_var / 8)  # one wild picture is not to make σ infinite


class Discriminator(nn.Module):
    """Pictures [B, C, size, size] to features [B, F, 4, 4]; those and sentences to answers [B, 1, 1, 1]."""

    def __init__(self, words: int, channels: int, most: int, size: int, colours: int, joint: int):
        super().__init__()
        down = widths(size, channels, most)
        self.trunk = Trunk([], colours, down)
        self.joint = nn.Sequential(
            nn.Conv2d(down[-1] + words, joint, 3, padding=1, bias=False), nn.LeakyReLU(0.2),
            nn.Conv2d(joint, 1, 4, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(x.contiguous(memory_format=torch.channels_last))

    match = df_gan.Discriminator.match


@dataclass(frozen=True, kw_only=True)
class Config(Captions, TextConfig):
    """CVAE-GAN (Bao et al. 2017) with captions"""

    size: int = 128  # 32, 64, 128 or 256
    batch_size: int = 32  # not the paper's
    channels: int = 32  # n of G at half of the size; twice as many where that is halved
    most: int = 192  # widest layers of G
    channels_D: int = 32  # n of D and of the encoder
    most_D: int = 256  # their widest
    joint: int = 128  # layers in which D compares picture and sentence
    noise: int = 64  # numbers of z
    vae_steps: int = 4000  # after the text, without D; after 2500 birds held their posture
    beta: float = 1e-4  # weight β of the divergence, in nats; birds: with 2e-4 z does not hold the posture
    lambda_adversarial: float = 0.01  # λ_a, pix2pix's weight; 0.05 gave rings and dots
    lambda_features: float = 0.1  # λ_f; not the paper's
    learning_rate: float = 2e-4  # of G in the game
    rate_D: float = 4e-4  # of D, DF-GAN's
    rate_vae: float = 5e-4  # of G and the encoder in the first phase
    matching: bool = True  # pictures with wrong captions count as false; off: for comparison
    penalty_k: float = 2.0  # k of DF-GAN's gradient penalty
    penalty_p: float = 6.0  # p
    penalty_every: int = 8  # updates between two penalties, which then weigh so much more
    steps: int = 40_000  # not the paper's, which has other data
    ema: float = 0.998  # of G


class CVAEGAN(FromText):
    Config, exported, log_odds = Config, ("text", "G"), False

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size not in SIZES:
            raise UserError(f"CVAE-GAN draws {', '.join(map(str, SIZES))} px, not --size {c.size}")
        self.noise_shape = (c.noise,)
        self.G = Generator(c.noise, self.text_width, c.channels, c.most, c.size, colours)
        self.E = Encoder(c.noise, self.text_width, c.channels_D, c.most_D, c.size, colours)
        self.D = Discriminator(self.text_width, c.channels_D, c.most_D, c.size, colours, c.joint)
        self.objective = objectives.game("hinge")
        for layer in [*self.E.trunk, *self.D.trunk]:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        both = [*self.G.parameters(), *self.E.parameters()]
        return {
            **self.text_optimizer(),
            "G": torch.optim.Adam(both, c.learning_rate, betas=(0.5, 0.999), fused=True),
            "D": torch.optim.Adam(self.D.parameters(), c.rate_D, betas=(0.0, 0.9), fused=True),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t < self.text_steps:
            return self.learn_text(batch, update)
        e, game = self.sentences(batch["caption"]), t >= self.text_steps + c.vae_steps
        half = (len(x) + 1) // 2 if game else len(x)  # of these z comes from the encoder
        mu, log_var = self.E(x[:half], e[:half])
        noise = torch.randn(len(x), c.noise, device=x.device)
        fake = self.G(torch.cat([mu + (0.5 * log_var).exp() * noise[:half], noise[half:]]), e)
        error = (x[:half] - fake[:half].float()).abs().mean()
        divergence = vae.kl(mu, log_var).mean()
        loss, logs = error + c.beta * divergence, {"error": error, "KL": divergence}
        if game:
            played, seen = self.play(x, e, self.sentences(batch["wrong"]), fake, t, update)
            now = self.D(fake)
            fool = self.objective.fool(lambda _: self.D.match(now, e), fake, x)
            features = (now[:half] - seen[:half].detach()).square().mean()
            damsm = self.damsm(fake, e, x)
            loss = loss + c.lambda_adversarial * fool + c.lambda_features * features + damsm
            logs |= played | {"fool": fool, "features": features} | self.logged(damsm)
        update("G", loss)
        return {name: value.detach() for name, value in logs.items()}

    def play(self, x: Tensor, e: Tensor, wrong: Tensor, fake: Tensor, t: int, update):
        """An update of D on pictures x, fake [B, C, size, size] and sentences e, wrong [B, E]; returns what
        to log of it, and D's features of x [B, F, 4, 4].
        """
        c = self.config
        seen, faked = self.D(torch.cat([x, fake.detach().to(x.dtype)])).split(len(x))
        loss_D = df_gan.discriminate(self.objective, self.D, seen, faked, e, wrong if c.matching else None)
        penalty = self.penalty(x, e) if t % c.penalty_every == 0 else loss_D.new_zeros(())
        update("D", loss_D + c.penalty_every * penalty)
        return {"D": loss_D}, seen

    penalty = df_gan.DFGAN.penalty  # MA-GP

    def lr_scale(self, t: int, name: str) -> float:
        c = self.config
        if t < self.text_steps:
            return super().lr_scale(t, name)
        if t < self.text_steps + c.vae_steps:
            return c.rate_vae / c.learning_rate
        return self.scheduled(t - self.text_steps - c.vae_steps, c.steps - self.text_steps - c.vae_steps)

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        return self.G(z, e)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, channels=4, most=8, channels_D=4, most_D=8, joint=8, noise=4, words=16, batch_size=2,
            steps=4, text_steps=1, vae_steps=1, ema=0.0, mixed_precision="no",
        )  # fmt: skip
