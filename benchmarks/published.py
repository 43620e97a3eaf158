"""Training steps as the published implementations take them, written from their description: the other side
of `benchmarks.peers`. Plain PyTorch in float32: NCHW, modules' own norms and padding, the usual optimizers,
every network called as often as there. Each function makes networks and returns a step without arguments.
"""

import random
from collections.abc import Callable
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Step = Callable[[], None]


def adam(*networks: nn.Module, lr: float = 2e-4, beta1: float = 0.5) -> torch.optim.Adam:
    return torch.optim.Adam(chain(*(net.parameters() for net in networks)), lr, betas=(beta1, 0.999))


def pictures(batch: int, size: int, channels: int = 3) -> Tensor:
    return torch.rand(batch, channels, size, size) * 2 - 1


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def learning(on: bool, *networks: nn.Module) -> None:
    for net in networks:
        net.requires_grad_(on)


# --- translators ---


class Residual(nn.Module):
    def __init__(self, body: list[nn.Module]):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def resnet(width: int, blocks: int) -> nn.Module:
    """CycleGAN's generator of 9 residual blocks, instance norm."""
    c, norm = width, nn.InstanceNorm2d
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, c, 7), norm(c), nn.ReLU(True)]
    for wide in (2 * c, 4 * c):
        layers += [nn.Conv2d(wide // 2, wide, 3, 2, 1), norm(wide), nn.ReLU(True)]
    for _ in range(blocks):
        half = [nn.ReflectionPad2d(1), nn.Conv2d(4 * c, 4 * c, 3), norm(4 * c)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(4 * c, 4 * c, 3), norm(4 * c)]
        layers.append(Residual([*half, nn.ReLU(True), *again]))
    for wide in (2 * c, c):
        layers += [nn.ConvTranspose2d(2 * wide, wide, 3, 2, 1, 1), norm(wide), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh())


def patch_gan(inputs: int, c: int, norm: type[nn.Module]) -> nn.Module:
    """70 x 70 pixels."""
    layers, bias = [nn.Conv2d(inputs, c, 4, 2, 1), nn.LeakyReLU(0.2, True)], norm is nn.InstanceNorm2d
    for wide, stride in ((2 * c, 2), (4 * c, 2), (8 * c, 1)):
        layers += [nn.Conv2d(wide // 2, wide, 4, stride, 1, bias=bias), norm(wide), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * c, 1, 4, 1, 1))


class UNetLevel(nn.Module):
    """One level of pix2pix's U-Net around the deeper ones."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None, outermost: bool, dropout: bool):
        super().__init__()
        down = [] if outermost else [nn.LeakyReLU(0.2, True)]
        down += [nn.Conv2d(outer, inner, 4, 2, 1, bias=False)]
        if inside is not None and not outermost:
            down += [nn.BatchNorm2d(inner)]
        up: list[nn.Module] = [nn.ReLU(True)]
        up += [nn.ConvTranspose2d(inner * (1 if inside is None else 2), outer, 4, 2, 1, bias=outermost)]
        up += [nn.Tanh()] if outermost else [nn.BatchNorm2d(outer)]
        if dropout:
            up += [nn.Dropout(0.5)]
        self.outermost = outermost
        self.body = nn.Sequential(*down, *([inside] if inside else []), *up)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if self.outermost else torch.cat([x, self.body(x)], 1)


def u_net(width: int, depth: int) -> nn.Module:
    widths = [3] + [width * min(8, 2**i) for i in range(depth)]
    net = None
    for i in reversed(range(depth)):
        net = UNetLevel(widths[i], widths[i + 1], net, i == 0, dropout=4 <= i < depth - 1)
    return net


def cyclegan(batch: int, size: int, width: int, blocks: int) -> Step:
    G_A, G_B = resnet(width, blocks), resnet(width, blocks)
    D_A, D_B = (patch_gan(3, width, nn.InstanceNorm2d) for _ in "AB")
    of_G, of_D, l1, a, b = adam(G_A, G_B), adam(D_A, D_B), F.l1_loss, *(pictures(batch, size) for _ in "AB")
    pools: tuple[list, list] = ([], [])

    def pooled(pool: list[Tensor], fakes: Tensor) -> Tensor:
        out = []
        for fake in fakes.detach():
            if len(pool) < 50:
                pool.append(fake)
            elif random.random() > 0.5:
                slot = random.randrange(50)
                pool[slot], fake = fake, pool[slot]
            out.append(fake)
        return torch.stack(out)

    def step() -> None:
        fake_b, fake_a = G_A(a), G_B(b)
        back_a, back_b = G_B(fake_b), G_A(fake_a)
        learning(False, D_A, D_B)
        identity = 5 * (l1(G_A(b), b) + l1(G_B(a), a))
        fool = (D_A(fake_b) - 1).square().mean() + (D_B(fake_a) - 1).square().mean()
        descend(of_G, fool + 10 * (l1(back_a, a) + l1(back_b, b)) + identity)
        learning(True, D_A, D_B)
        of_D.zero_grad()
        for D, real, fake, pool in ((D_A, b, fake_b, pools[0]), (D_B, a, fake_a, pools[1])):
            loss = (D(real) - 1).square().mean() + D(pooled(pool, fake)).square().mean()
            (0.5 * loss).backward()
        of_D.step()

    return step


def pix2pix(batch: int, size: int, width: int) -> Step:
    G, D = u_net(width, size.bit_length() - 1), patch_gan(6, width, nn.BatchNorm2d)
    of_G, of_D, a, b = adam(G), adam(D), *(pictures(batch, size) for _ in "AB")

    def bce(x: Tensor, real: bool) -> Tensor:
        return F.binary_cross_entropy_with_logits(x, torch.full_like(x, float(real)))

    def step() -> None:
        fake = G(a)
        learning(True, D)
        made = torch.cat([a, fake.detach()], 1)
        descend(of_D, 0.5 * (bce(D(made), False) + bce(D(torch.cat([a, b], 1)), True)))
        learning(False, D)
        descend(of_G, bce(D(torch.cat([a, fake], 1)), True) + 100 * F.l1_loss(fake, b))

    return step


def srgan(batch: int, size: int, width: int, blocks: int) -> Step:
    """x4, the game with pixels in place of VGG's features."""

    def block() -> nn.Module:
        conv = [nn.Conv2d(width, width, 3, 1, 1) for _ in "ab"]
        return Residual([conv[0], nn.BatchNorm2d(width), nn.PReLU(), conv[1], nn.BatchNorm2d(width)])

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), nn.PReLU())
            self.body = nn.Sequential(
                *[block() for _ in range(blocks)], nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width)
            )
            doubled = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
            again = [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
            self.tail = nn.Sequential(*doubled, *again, nn.Conv2d(width, 3, 9, 1, 4))

        def forward(self, x: Tensor) -> Tensor:
            x = self.head(x)
            return self.tail(x + self.body(x))

    layers, inputs = [nn.Conv2d(3, width, 3, 1, 1), nn.LeakyReLU(0.2, True)], width
    for i, factor in enumerate((1, 2, 2, 4, 4, 8, 8)):
        layers += [nn.Conv2d(inputs, factor * width, 3, 2 - i % 2, 1), nn.BatchNorm2d(factor * width)]
        layers, inputs = [*layers, nn.LeakyReLU(0.2, True)], factor * width
    dense = nn.Linear(inputs * (size // 16) ** 2, 16 * width)
    D = nn.Sequential(*layers, nn.Flatten(), dense, nn.LeakyReLU(0.2, True), nn.Linear(16 * width, 1))
    G, low, high = Generator(), pictures(batch, size // 4), pictures(batch, size)
    of_G, of_D = adam(G, lr=1e-4, beta1=0.9), adam(D, lr=1e-4, beta1=0.9)

    def step() -> None:
        made = G(low)
        loss_D = F.softplus(-D(high)).mean() + F.softplus(D(made.detach())).mean()
        descend(of_D, loss_D)
        descend(of_G, F.mse_loss(made, high) + 1e-3 * F.softplus(-D(made)).mean())

    return step


# --- from noise ---


def dcgan_networks(latent: int, width: int, size: int) -> tuple[nn.Module, nn.Module]:
    """PyTorch's example of DCGAN: D's answers [B], logits."""
    doublings = (size // 4).bit_length() - 1
    wide = width * 2 ** (doublings - 1)
    up = [nn.ConvTranspose2d(latent, wide, 4, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)]
    down = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for i in range(doublings - 1):
        n = wide // 2**i
        up += [nn.ConvTranspose2d(n, n // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(n // 2), nn.ReLU(True)]
        n = width * 2**i
        down += [nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * n), nn.LeakyReLU(0.2, True)]
    G = nn.Sequential(*up, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())
    return G, nn.Sequential(*down, nn.Conv2d(wide, 1, 4, bias=False), nn.Flatten(0))


def dcgan(batch: int, size: int, width: int) -> Step:
    G, D = dcgan_networks(100, width, size)
    of_G, of_D, x = adam(G), adam(D), pictures(batch, size)

    def step() -> None:
        of_D.zero_grad()
        F.softplus(-D(x)).mean().backward()
        fake = G(torch.randn(batch, 100, 1, 1))
        F.softplus(D(fake.detach())).mean().backward()
        of_D.step()
        descend(of_G, F.softplus(-D(fake)).mean())

    return step


def vae(batch: int, size: int, hidden: int, latent: int) -> Step:
    """PyTorch's example: 784-400-20."""
    pixels = size * size
    first, mean, spread = nn.Linear(pixels, hidden), nn.Linear(hidden, latent), nn.Linear(hidden, latent)
    second, last, x = nn.Linear(latent, hidden), nn.Linear(hidden, pixels), torch.rand(batch, pixels)
    optimizer = adam(first, mean, spread, second, last, lr=1e-3, beta1=0.9)

    def step() -> None:
        h = F.relu(first(x))
        mu, log_var = mean(h), spread(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        made = torch.sigmoid(last(F.relu(second(z))))
        kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
        descend(optimizer, F.binary_cross_entropy(made, x, reduction="sum") + kl)

    return step
