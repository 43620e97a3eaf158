"""DiT: captions to pictures by a transformer that learns a flow of latents (Peebles & Xie 2022, 2212.09748).

    h_t = (1 - t) ε + t h,  ε ~ N(0, I),  log(t / (1 - t)) ~ N(μ, 1)
    L = E ‖v(h_t, t, w) - (h - ε)‖²
    dh = (v(h, t, ∅) + s (v(h, t, w) - v(h, t, ∅))) dt,  from h = ε at t = 0 to t = 1

h = E(x) are the latents of a picture, w the words of its caption, ∅ no words. The autoencoder learns first
(`models/common/autoencoder.py`); then the transformer v, from latents that the encoder, now frozen, makes of
pictures; at last the decoder D alone goes on, also by features of a network that knows pictures.
Words are tokens beside those of the latents (the paper's in-context conditioning); time modulates the layers
(its adaLN-Zero). The flow: Lipman et al. 2023 (2210.02747), times as in Esser et al. 2024 (2403.03206), most
of them early (Li & He 2025). Guidance: Ho & Salimans 2022.

Deviations: a flow instead of a diffusion; words instead of classes; modulation has a low rank; Muon trains
the blocks; queries and keys are normalised (Esser et al. 2024).
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Captions
from models.common import autoencoder
from models.common.autoencoder import SIDE, SIZES, Decoder, Encoder
from models.common.features import Content
from models.common.muon import Muon
from models.common.text import FromText
from translate.config import TextConfig
from translate.task import DataInfo, UserError

PATCH = 2  # side of a token of the latents


class Block(nn.Module):
    """Attention and a perceptron, modulated by time: tokens [B, N, d], allowed [B, 1, 1, N], c [B, d]."""

    def __init__(self, width: int, heads: int, rank: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, 6 * width))
        for start in self.modulation[1].parameters():
            nn.init.zeros_(start)  # adaLN-Zero: each block starts as nothing

    def forward(self, x: Tensor, allowed: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate, shift_2, scale_2, gate_2 = self.modulation(F.silu(c))[:, None].chunk(6, 2)
        qkv = self.qkv(modulated(x, shift, scale))
        q, k, v = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        q, k = (F.rms_norm(part, part.shape[-1:]).to(v.dtype) for part in (q, k))
        # For 80 tokens in bf16 torch's fused attention takes 35 ms here, forth and back; this takes 9.
        A = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        seen = A.masked_fill(~allowed, -torch.inf).softmax(-1).to(v.dtype) @ v
        x = x + gate * self.out(seen.transpose(1, 2).flatten(2))
        return x + gate_2 * self.mlp(modulated(x, shift_2, scale_2))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens [B, N, d], normalised, then shifted and scaled by [B, 1, d]."""
    return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def sinusoids(of: Tensor, width: int) -> Tensor:
    """Numbers [...] to their cosines and sines [..., width] (Vaswani et al. 2017)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=of.device) / (width // 2))
    return torch.cat([(of[..., None] * rates).cos(), (of[..., None] * rates).sin()], -1)


class Flow(nn.Module):
    """v: latents [B, C, 16, 16] at times [B] in [0, 1], with words [B, T, E] (zeros: none), to velocities."""

    def __init__(self, latent: int, words: int, width: int, depth: int, heads: int, rank: int):
        super().__init__()
        across = torch.arange(SIDE // PATCH, device="cpu").float()
        places = torch.stack(torch.meshgrid(across, across, indexing="ij"), -1).view(-1, 2)
        self.register_buffer("places", sinusoids(places, width // 2).flatten(1), persistent=False)
        self.patches, self.words = nn.Conv2d(latent, width, PATCH, PATCH), nn.Linear(words, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads, rank) for _ in range(depth))
        self.last, self.end = nn.Linear(width, 2 * width), nn.Linear(width, PATCH**2 * latent)
        for start in (*self.last.parameters(), *self.end.parameters()):
            nn.init.zeros_(start)

    def forward(self, h: Tensor, t: Tensor, words: Tensor) -> Tensor:
        tokens = self.patches(h).flatten(2).transpose(1, 2) + self.places
        present, count = words.any(2), words.shape[1]
        x = torch.cat([self.words(words).to(tokens.dtype), tokens], 1)
        allowed = F.pad(present, (0, tokens.shape[1]), value=True)[:, None, None]
        c = self.time(sinusoids(1000 * t, x.shape[2]))
        for block in self.blocks:
            x = block(x, allowed, c)
        v = self.end(modulated(x[:, count:], *self.last(F.silu(c))[:, None].chunk(2, 2))).float()
        return F.pixel_shuffle(v.transpose(1, 2).unflatten(2, (SIDE // PATCH, -1)), PATCH)


@dataclass(frozen=True, kw_only=True)
class Config(Captions, TextConfig):
    """DiT (Peebles & Xie 2022) with captions, on latents"""

    size: int = 128  # 32, 64, 128 or 256
    batch_size: int = 32  # the paper's 256 are too many for a CPU
    latent: int = 8  # channels C; 4, the paper's, kept 0.24 of birds' beaks, 8 kept 0.40
    channels: int = 32  # of the autoencoder's layers at half of the size; twice as many where that is halved
    most: int = 128  # its widest
    autoencoder_steps: int = 1000  # after the text, each of several updates on four pictures
    rate_autoencoder: float = 5e-4  # falls to 0 over these updates; 1e-3 diverged once
    decoder_steps: int = 1000  # last updates, of the decoder alone
    content: Literal["efficientnet", "vgg19", "pixels"] = "efficientnet"  # φ in those; pixels: L_AE alone
    lambda_content: float = 0.2  # λ; a game against patches instead gave grain, docs/captions.md
    latent_noise: float = 0.05  # ς, on latents while D learns, so that slips of v do not show
    width: int = 256  # d of the transformer; the paper's S has 384
    depth: int = 6  # its blocks; S has 12
    heads: int = 4  # of its attention; S has 6
    rank: int = 32  # of a block's modulation: time is one number; the paper's full one is a third of v
    time_mean: float = -0.8  # μ, of log(t / (1 - t)), as JiT has (Li & He 2025, 2511.13720); docs/captions.md
    caption_dropout: float = 0.1  # share of captions left out, for guidance
    guidance: float = 5.0  # s; birds' colours at update 3,000: 0.56 with 3, 0.61 with 5, 0.60 with 8
    sample_steps: int = 20  # Euler steps from noise to picture; 60 make the same
    learning_rate: float = 5e-4  # of v, by Adam; the paper's 1e-4 is for batches of 256 and 400,000 updates
    muon: float = 0.02  # rate of its blocks' matrices, by Muon; 0 or less: Adam for all; docs/captions.md
    warmup: int = 200  # updates over which both are reached; 0: at once
    clip: float = 1.0  # largest norm of a gradient
    steps: int = 40_000  # 15,000 for the shipped birds were few
    ema: float = 0.999  # of v


class DiT(FromText):
    Config, exported = Config, ("text", "decoder", "flow")

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        c, colours = config, info.channels["image"]
        if c.size not in SIZES:
            raise UserError(f"DiT draws {', '.join(map(str, SIZES))} px, not --size {c.size}")
        self.noise_shape = (c.latent, SIDE, SIDE)
        self.encoder = Encoder(colours, c.size, c.channels, c.most, c.latent)
        self.decoder = Decoder(colours, c.size, c.channels, c.most, c.latent)
        self.flow = Flow(c.latent, self.text_width, c.width, c.depth, c.heads, c.rank)
        self.learned = self.text_steps + c.autoencoder_steps  # where v begins
        self.drawing = c.steps - c.decoder_steps  # where it ends

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c, both = self.config, [*self.encoder.parameters(), *self.decoder.parameters()]
        if c.steps > self.learned >= self.drawing > 0:
            least = self.learned + c.decoder_steps
            warnings.warn(f"--steps {c.steps} leaves the flow none: ask for more than {least}", stacklevel=2)
        if c.content != "pixels" and self.drawing < c.steps:
            self.content = Content(c.content)
        hidden = [p for k, p in self.flow.blocks.named_parameters() if p.ndim == 2 and "modulation" not in k]
        return self.text_optimizer() | {
            "autoencoder": torch.optim.Adam(both, c.rate_autoencoder, fused=True),
            "flow": Muon([*self.flow.parameters()], hidden if c.muon > 0 else [], c.learning_rate, c.muon),
        }

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t < self.text_steps:
            return self.learn_text(batch, update)
        if t < self.learned:
            error = autoencoder.learn(self.encoder, self.decoder, x, c.latent_noise, update)
            return {"error": error}
        with torch.no_grad():
            h = self.encoder.eval()(x)
        if t >= self.drawing:
            content = self.content if c.content != "pixels" else None
            return autoencoder.sharpen(self.decoder, x, h, c.latent_noise, content, c.lambda_content, update)
        dropped = torch.rand(len(x)) < c.caption_dropout
        captions = ["" if gone else text for text, gone in zip(batch["caption"], dropped, strict=True)]
        noise, when = torch.randn_like(h), (c.time_mean + torch.randn(len(x), device=x.device)).sigmoid()
        mixed = torch.lerp(noise, h, when[:, None, None, None])
        loss = F.mse_loss(self.flow(mixed, when, self.sentences(captions)), h - noise)
        update("flow", loss)
        return {"flow": loss.detach()}

    @property
    def begins(self) -> int:
        return self.learned

    def lr_scale(self, t: int, name: str) -> float:
        c, since = self.config, t - self.text_steps
        if t < self.text_steps:
            return super().lr_scale(t, name)
        if t < self.learned:
            return min(1.0, (since + 1) / 20) * 0.5 * (1 + math.cos(math.pi * since / c.autoencoder_steps))
        if t >= self.drawing:
            return 0.4 * (1 + math.cos(math.pi * (t - self.drawing) / c.decoder_steps))
        t -= self.learned
        return min(1.0, (t + 1) / max(1, c.warmup)) * self.scheduled(t, self.drawing - self.learned)

    def update_average(self, t: int) -> None:
        super().update_average(t if t < self.learned else t - self.config.autoencoder_steps)

    @torch.no_grad()
    def sentences(self, captions: list[str]) -> Tensor:
        """Their words [B, T, words], float32, zeros where none is; a frozen encoder's vector is one."""
        if self.frozen:
            return super().sentences(captions)[:, None]
        return super().sentences(captions)

    def embed(self, pieces: Tensor) -> Tensor:
        return self.text.words(pieces).float()

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        """Noise [B, C, 16, 16] and words [B, T, E] to pictures [B, 3, size, size] in [-1, 1]."""
        c, h = self.config, z
        silence = self.sentences([""])
        silence = F.pad(silence, (0, 0, 0, e.shape[1] - silence.shape[1])).expand_as(e)
        both = torch.cat([e, silence.to(e.dtype)])
        for i in range(c.sample_steps):
            t = torch.full((2 * z.shape[0],), i / c.sample_steps, device=z.device)
            with_words, without = self.flow(torch.cat([h, h]), t, both).unflatten(0, (2, -1)).unbind()
            h = h + (without + c.guidance * (with_words - without)) / c.sample_steps
        return self.decoder(h).clamp(-1, 1)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        """Also what the autoencoder keeps of real pictures: no drawn one can be better."""
        reconstruction = self.decoder(self.encoder(batch["image"])).clamp(-1, 1)
        return super().preview(batch) | {"reconstruction": reconstruction}

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=32, channels=4, most=8, latent=2, width=16, depth=2, heads=2, rank=4, words=16, batch_size=2,
            steps=7, text_steps=1, autoencoder_steps=1, decoder_steps=1, sample_steps=2, warmup=1, ema=0.0,
            content="pixels", mixed_precision="no",
        )  # fmt: skip
