"""Published steps of methods that draw captions (see `benchmarks.published`); sentences are vectors given."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.published import Residual, Step, adam, descend, pictures

WORDS = 256  # numbers of a sentence


def block(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]


def ups(width: int, least: int, times: int) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = []
    for _ in range(times):
        layers += [nn.Upsample(scale_factor=2), *block(width, max(least, width // 2))]
        width = max(least, width // 2)
    return layers, width


class Augmented(nn.Module):
    """Conditioning augmentation: sentences to ĉ, μ and log σ²."""

    def __init__(self, given: int):
        super().__init__()
        self.net = nn.Linear(WORDS, 2 * given)

    def forward(self, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = F.relu(self.net(e)).chunk(2, 1)
        return mu + torch.randn_like(mu) * (0.5 * log_var).exp(), mu, log_var


class Matching(nn.Module):
    """StackGAN's D: pictures to maps [B, F, 4, 4]; with a sentence to logits."""

    def __init__(self, width: int, size: int, given: int):
        super().__init__()
        layers, n = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)], width
        for _ in range(size.bit_length() - 4):
            layers += [nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * n), nn.LeakyReLU(0.2)]
            n *= 2
        self.maps, self.squeeze = nn.Sequential(*layers), nn.Linear(WORDS, given)
        joint = [nn.Conv2d(n + given, n, 1, bias=False), nn.BatchNorm2d(n), nn.LeakyReLU(0.2, True)]
        self.joint = nn.Sequential(*joint, nn.Conv2d(n, 1, 4))

    def match(self, maps: Tensor, e: Tensor) -> Tensor:
        e = F.leaky_relu(self.squeeze(e), 0.2)[..., None, None].repeat(1, 1, 4, 4)
        return self.joint(torch.cat([maps, e], 1)).flatten()


class StageI(nn.Module):
    def __init__(self, width: int, size: int, given: int, noise: int):
        super().__init__()
        wide = width * size // 8
        self.augment, self.start = Augmented(given), nn.Linear(noise + given, wide * 16, bias=False)
        self.norm = nn.BatchNorm1d(wide * 16)
        layers, n = ups(wide, width, size.bit_length() - 3)
        self.layers = nn.Sequential(*layers, nn.Conv2d(n, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        c, mu, log_var = self.augment(e)
        x = F.relu(self.norm(self.start(torch.cat([z, c], 1))))
        return self.layers(x.view(len(z), -1, 4, 4)), mu, log_var


class StageII(nn.Module):
    def __init__(self, first: StageI, width: int, sketch: int, size: int, given: int):
        super().__init__()
        self.first, self.augment, c = first, Augmented(given), width
        down = [nn.Conv2d(3, c, 3, 1, 1, bias=False), nn.ReLU(True)]
        for wide in (2 * c, 4 * c):
            down += [nn.Conv2d(wide // 2, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)]
        self.down, self.joint = nn.Sequential(*down), nn.Sequential(*block(4 * c + given, 4 * c))
        layers: list[nn.Module] = []
        for _ in range(4 if size >= 4 * sketch else 2):
            again = [nn.Conv2d(4 * c, 4 * c, 3, 1, 1, bias=False), nn.BatchNorm2d(4 * c)]
            layers += [Residual([*block(4 * c, 4 * c), *again]), nn.ReLU(True)]
        more, n = ups(4 * c, c // 2, (4 * size // sketch).bit_length() - 1)
        self.layers = nn.Sequential(*layers, *more, nn.Conv2d(n, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sketch, _, _ = self.first(z, e)
        c, mu, log_var = self.augment(e)
        x = self.down(sketch.detach())
        c = c[..., None, None].repeat(1, 1, *x.shape[2:])
        return self.layers(self.joint(torch.cat([x, c], 1))), mu, log_var


def stackgan(batch: int, sketch: int, size: int, width: int, width_d: int) -> Step:
    """Stage-II where size > sketch, else Stage-I; 128 numbers of ĉ, 100 of z."""
    given, noise = 128, 100
    G: nn.Module = StageI(width, sketch, given, noise)
    if size > sketch:
        G = StageII(G, width, sketch, size, given)
    D = Matching(width_d, size, given)
    learned = G if size == sketch else nn.ModuleList([G.augment, G.down, G.joint, G.layers])
    of_G, of_D, x, e = adam(learned), adam(D), pictures(batch, size), torch.randn(batch, WORDS)

    def step() -> None:
        fake, mu, log_var = G(torch.randn(batch, noise), e)
        real, made = D.maps(x), D.maps(fake.detach())
        wrong = F.softplus(D.match(real[:-1], e[1:])).mean()
        loss = F.softplus(-D.match(real, e)).mean() + 0.5 * (wrong + F.softplus(D.match(made, e)).mean())
        descend(of_D, loss)
        kl = -0.5 * torch.mean(1 + log_var - mu.pow(2) - log_var.exp())
        descend(of_G, F.softplus(-D.match(D.maps(fake), e)).mean() + 2 * kl)

    return step


class Affine(nn.Module):
    def __init__(self, given: int, channels: int):
        super().__init__()
        self.gamma, self.beta = (
            nn.Sequential(nn.Linear(given, channels), nn.ReLU(True), nn.Linear(channels, channels))
            for _ in "gb"
        )

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.gamma(c)[..., None, None].expand_as(x) * x + self.beta(c)[..., None, None].expand_as(x)


class Fusion(nn.Module):
    """DF-GAN's block of G: enlarged first, then two fusions and a shortcut."""

    def __init__(self, given: int, inputs: int, outputs: int):
        super().__init__()
        self.affines = nn.ModuleList(Affine(given, n) for n in (inputs, inputs, outputs, outputs))
        self.first, self.second = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        y = x = F.interpolate(x, scale_factor=2)
        for conv, (one, other) in ((self.first, self.affines[:2]), (self.second, self.affines[2:])):
            y = conv(F.leaky_relu(other(F.leaky_relu(one(y, c), 0.2), c), 0.2))
        return self.shortcut(x) + self.gain * y


class Down(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.LeakyReLU(0.2, True),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.shortcut(x), 2) + self.gain * self.body(x)


def df_gan(batch: int, size: int, width: int) -> Step:
    widths = [width * min(8, 2**i) for i in range(size.bit_length() - 2)]
    start, wide = nn.Linear(100, widths[-1] * 16), widths[-1]
    blocks = nn.ModuleList(Fusion(100 + WORDS, i, o) for i, o in pairwise(widths[::-1]))
    end = nn.Sequential(nn.LeakyReLU(0.2, True), nn.Conv2d(width, 3, 3, 1, 1), nn.Tanh())
    trunk = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), *[Down(i, o) for i, o in pairwise(widths)])
    joint = [nn.Conv2d(wide + WORDS, 2 * width, 3, 1, 1, bias=False), nn.LeakyReLU(0.2, True)]
    judge = nn.Sequential(*joint, nn.Conv2d(2 * width, 1, 4, bias=False))
    of_G = torch.optim.Adam(nn.ModuleList([start, blocks, end]).parameters(), 1e-4, betas=(0.0, 0.9))
    of_D = torch.optim.Adam(nn.ModuleList([trunk, judge]).parameters(), 4e-4, betas=(0.0, 0.9))
    x, e = pictures(batch, size), torch.randn(batch, WORDS)

    def draw() -> Tensor:
        z = torch.randn(batch, 100)
        y, c = start(z).view(batch, -1, 4, 4), torch.cat([z, e], 1)
        for fuse in blocks:
            y = fuse(y, c)
        return end(y)

    def match(maps: Tensor, e: Tensor) -> Tensor:
        return judge(torch.cat([maps, e[..., None, None].repeat(1, 1, 4, 4)], 1))

    def step() -> None:
        real, fake = trunk(x), draw()
        wrong = F.relu(1 + match(real[:-1], e[:-1].roll(1, 0))).mean()
        false = 0.5 * (F.relu(1 + match(trunk(fake.detach()), e)).mean() + wrong)
        descend(of_D, F.relu(1 - match(real, e)).mean() + false)
        pair = x.clone().requires_grad_(), e.clone().requires_grad_()
        answers = match(trunk(pair[0]), pair[1])
        by_x, by_e = torch.autograd.grad(answers, pair, torch.ones_like(answers), create_graph=True)
        norm = torch.cat([by_x.flatten(1), by_e], 1).norm(dim=1)
        descend(of_D, 2 * norm.pow(6).mean())
        descend(of_G, -match(trunk(fake), e).mean())

    return step
