"""Discriminators that look through a network trained on ImageNet (Sauer et al. 2021, 2111.01007).

    C_l = K_l * F_l(x), S_4 = C_4, S_l = C_l + up(M_l * S_{l+1}), l = 3, 2, 1

F_l are features of EfficientNet-lite0 at 1/4 to 1/32 of the size; the mixing across channels (K, 1x1) and
across scales (M, 3x3) is random and stays so; a small discriminator with spectral norm judges each S_l: all
of it and a sentence (`Projected`), or patch by patch (`Patches`).

Deviations: the authors' blocks are S_l = M_l * up(C_l + S_{l+1}), S_4 = M_4 * up(C_4), with 1x1 M and maps
twice as large. F_4 comes before the network's last stage; no batch norm in judges.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.common.features import EfficientNetLite

WIDTHS = (32, 64, 128, 256)  # of S_1 to S_4
CHANNELS = 128  # channels of what a discriminator makes of S_l, at 4 x 4
LEAST = 128  # px


class RandomProjection(nn.Module):
    """The random projections S_1 to S_`levels` of pictures' features.

    The feature network F is no part of the module: neither trained nor saved.
    """

    def __init__(self, levels: int):
        super().__init__()
        self.network = EfficientNetLite("lite0", "--discriminator projected", "--discriminator plain")
        self.after = tuple(self.network.stages)[:levels]
        generator = torch.Generator().manual_seed(0)

        def mixing(out: int, inputs: int, side: int) -> Tensor:
            spread = (1 / (inputs * side * side)) ** 0.5
            return spread * torch.randn(out, inputs, side, side, generator=generator, device="cpu")

        for i, block in enumerate(self.after):
            self.register_buffer(f"channels_{i}", mixing(WIDTHS[i], self.network.stages[block], 1))
            if i:
                self.register_buffer(f"scales_{i - 1}", mixing(WIDTHS[i - 1], WIDTHS[i], 3))

    def project(self, x: Tensor) -> list[Tensor]:
        """Pictures [B, 1, 3 or 4, H, W] in [-1, 1] to S_1 [B, 32, H / 4, W / 4], S_2, ..., finest first."""
        features = self.network(x, self.after)
        mixed = [F.conv2d(f, getattr(self, f"channels_{i}").to(f.dtype)) for i, f in enumerate(features)]
        for i in reversed(range(len(mixed) - 1)):
            coarse = F.conv2d(mixed[i + 1], getattr(self, f"scales_{i}").to(mixed[i].dtype), padding=1)
            mixed[i] = mixed[i] + F.interpolate(coarse, mixed[i].shape[2:], mode="bilinear")
        return mixed


class Projected(RandomProjection):
    """Pictures [B, C, H, H] to features [B, 4 CHANNELS, 4, 4]; those and sentences to logits [B, 4, 1, 1].

    Pictures are brought to at least 128 px.
    """

    def __init__(self, words: int, size: int, joint: int):
        super().__init__(levels=4)
        self.size = max(LEAST, size)
        self.judges = nn.ModuleList()
        for i, width in enumerate(WIDTHS):
            side, layers = self.size // (4 * 2**i), []
            while side > 4:
                out = min(CHANNELS, 2 * width)
                layers += [spectral_norm(nn.Conv2d(width, out, 4, 2, 1)), nn.LeakyReLU(0.2)]
                width, side = out, side // 2
            layers += [spectral_norm(nn.Conv2d(width, CHANNELS, 3, 1, 1)), nn.LeakyReLU(0.2)]
            self.judges.append(nn.Sequential(*layers))
        self.joint = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(CHANNELS + words, joint, 3, padding=1)), nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(joint, 1, 4)),
            )
            for _ in WIDTHS
        )  # fmt: skip

    def project(self, x: Tensor) -> list[Tensor]:
        if x.shape[-1] != self.size:
            x = F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=x.shape[-1] > self.size)
        return super().project(x)

    def judge(self, projected: list[Tensor]) -> Tensor:
        """S_1 to S_4 to features [B, 4 CHANNELS, 4, 4]."""
        return torch.cat([judge(s) for judge, s in zip(self.judges, projected, strict=True)], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures [B, 1, 3 or 4, H, H] in [-1, 1] to [B, 4 CHANNELS, 4, 4]: of each S_l, finest first."""
        return self.judge(self.project(x))

    def match(self, seen: Tensor, e: Tensor) -> Tensor:
        """Features [B, 4 CHANNELS, 4, 4] and sentences [B, words] to four logits each, [B, 4, 1, 1]."""
        e = e.to(seen.dtype)[..., None, None].expand(-1, -1, 4, 4)
        parts = zip(self.joint, seen.split(CHANNELS, 1), strict=True)
        return torch.cat([judge(torch.cat([part, e], 1)) for judge, part in parts], 1)


class Patches(RandomProjection):
    """Pictures [B, C, H, W], of 32 px and more, to logits [B, 4, h, w] at places 16 px apart.

    S_4 is left out: it knows what is shown, in which two collections may differ by chance. In its place the
    picture itself is judged, a quarter as large, as F hardly sees too bright or too strong a colour. Where F
    looks from is drawn anew each time: what a grid always overlooks alike is what G would learn.
    """

    def __init__(self, inputs: int, channels: int):
        super().__init__(levels=3)
        self.judges = nn.ModuleList()
        for width, halvings in zip((inputs, *WIDTHS[:3]), (2, 2, 1, 0), strict=True):
            widths, layers = [width] + [channels] * halvings, []
            for narrow, wide in pairwise(widths):
                layers += [spectral_norm(nn.Conv2d(narrow, wide, 4, 2, 1)), nn.LeakyReLU(0.2)]
            layers += [spectral_norm(nn.Conv2d(widths[-1], channels, 3, 1, 1)), nn.LeakyReLU(0.2)]
            self.judges.append(nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, 1, 1))))

    def forward(self, x: Tensor) -> Tensor:
        top, left = torch.randint(16, (2,)).tolist()
        height, width = (side // 16 * 16 - 16 for side in x.shape[2:])
        x = x[..., top : top + height, left : left + width]
        judged = [F.avg_pool2d(x, 4), *self.project(x)]
        return torch.cat([judge(s) for judge, s in zip(self.judges, judged, strict=True)], 1)
