"""Semi-supervised GAN: D names K classes from few labels, and fakes (Salimans et al. 2016, arXiv 1606.03498).

    L = L_supervised + L_unsupervised                                                        (section 5)
    L_supervised   = -E log p(y | x, y < K+1)                                                of the few labels
    L_unsupervised = -½ {E log D(x) + E log(1 - D(G(z)))},   D(x) = Z / (Z + 1),   Z(x) = Σ_k exp l_k(x)
    L_G = ‖E f(x) - E f(G(z))‖²      feature matching (section 3.1): f is D's last hidden layer before its
                                     noise, the means are those of a batch, ‖·‖² a mean over the features

The logit of class K+1 is fixed at 0, so softplus(log Z) = -log(1 - D). As in the authors' program, and unlike
the paper's print: ½ in L_unsupervised; weights normalised (Salimans & Kingma 2016, arXiv 1602.07868) with
scales that do not learn but in the last layer, and set by 500 pictures before the first update; as many
labelled pictures as others in every update, so all 100 of them; another batch for G than for D; L1 instead of
squares for the convolutional networks; tested with averaged weights (`--ema`).
Deviations: G learns from the z that D has just seen; the average forgets its start faster.

A lecture's table has two cells in the wrong column: 1677, 221, 93 and 90 of 10,000 test digits are wrong with
20, 50, 100 and 200 labels.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets.options import Labels
from translate.config import RunConfig
from translate.task import DataInfo, Task, UserError

INITIAL = 500  # pictures that set scales and biases before the first update


class Normalised(nn.Module):
    """y = g W x / ‖w‖ + b, ‖w‖ of each output's weights (Salimans & Kingma 2016, eq. 2).

    scale: whether g learns. bias: whether there is one. slope: of the leaky ReLU behind; 1 is none.
    """

    def __init__(self, shape: tuple[int, ...], scale: bool = False, bias: bool = True, slope: float = 0.0):
        super().__init__()
        self.W, self.slope, g = nn.Parameter(0.1 * torch.randn(shape)), slope, torch.ones(shape[0])
        if scale:
            self.g = nn.Parameter(g)
        else:
            self.register_buffer("g", g)
        self.b = nn.Parameter(torch.zeros(shape[0])) if bias else None

    def linear(self, x: Tensor) -> Tensor:
        return F.linear(x, self.W)

    def before(self, x: Tensor) -> Tensor:
        """g W x / ‖w‖."""
        y = self.linear(x)
        s = self.g / self.W.flatten(1).square().sum(1).sqrt()
        return y * s.view(-1, *[1] * (y.dim() - 2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        if self.b is not None:
            y = y + self.b.view(-1, *[1] * (y.dim() - 2))
        return y if self.slope == 1 else F.leaky_relu(y, self.slope) if self.slope else F.relu(y)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """g and b so that each output has mean 0 and variance 1 over these inputs (eq. 5, section 3); where
        they are all alike, the mean alone."""
        y = self.before(x).transpose(0, 1).flatten(1).float()
        deviation = y.std(1, unbiased=False)
        deviation = torch.where(deviation > 1e-4, deviation, 1.0)
        self.g.div_(deviation)
        self.b.copy_(-y.mean(1) / deviation)


class NormalisedConv(Normalised):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 0):
        super().__init__((outputs, inputs, kernel, kernel), slope=0.2)
        self.way = dict(stride=stride, padding=padding)

    def linear(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.W, **self.way)


class Noise(nn.Module):
    """Adds normal noise of this deviation, in training."""

    def __init__(self, deviation: float):
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, torch.randn_like(x), alpha=self.deviation) if self.training else x


class Unit(nn.Module):
    """[-1, 1] to [0, 1], as vectors."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).add(1).div(2)


class Classifier(nn.Module):
    """D: pictures [B, C, H, W] to logits [B, K]. `features` is the last hidden layer, before its noise."""

    def __init__(self, c: "Config", channels: int, classes: int):
        super().__init__()
        w = c.width
        if c.network == "dense":
            widths = [channels * c.size**2, w, w // 2, w // 4, w // 4, w // 4]
            layers: list[nn.Module] = [Unit()]
            for i in range(5):
                layers += [Noise(0.5 if i else 0.3), Normalised((widths[i + 1], widths[i]))]
            self.noise = Noise(0.5)
        else:
            same, half = dict(padding=1), dict(padding=1, stride=2)
            layers, widths = [nn.Dropout(0.2)], [channels, w // 10]
            layers += [NormalisedConv(*widths, **same), NormalisedConv(w // 10, w // 10, **same)]
            layers += [NormalisedConv(w // 10, w // 10, **half), nn.Dropout(0.5)]
            layers += [NormalisedConv(w // 10, w // 5, **same), NormalisedConv(w // 5, w // 5, **same)]
            layers += [NormalisedConv(w // 5, w // 5, **half), nn.Dropout(0.5)]
            layers += [NormalisedConv(w // 5, w // 5), NormalisedConv(w // 5, w // 5, 1)]
            layers += [NormalisedConv(w // 5, w // 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            widths, self.noise = [w // 5], nn.Identity()
        self.layers = nn.Sequential(*layers)
        self.last = Normalised((classes, widths[-1]), scale=True, slope=1)
        self.register_buffer("initialised", torch.tensor(False))

    def features(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.noise(self.features(x)))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Data-dependent: layer after layer, each by what comes through those before it."""
        for layer in [*self.layers, self.noise, self.last]:
            if isinstance(layer, Normalised):
                layer.initialise(x)
            x = layer(x)
        self.initialised.fill_(True)


class Generator(nn.Module):
    """z [B, d], normal, to pictures [B, C, size, size] in [-1, 1]. Its own noise is uniform: Φ(z)."""

    def __init__(self, c: "Config", channels: int):
        super().__init__()
        self.shape = (channels, c.size, c.size)
        w = c.width
        if c.network == "dense":
            layers: list[nn.Module] = []
            for inputs in (c.latent, w // 2):
                layers += [nn.Linear(inputs, w // 2, bias=False), Shifted(w // 2), nn.Softplus()]
            layers += [Normalised((math.prod(self.shape), w // 2), scale=True, slope=1), nn.Sigmoid()]
        else:
            w, side = 512 * w // 960, c.size // 8
            layers = [nn.Linear(c.latent, w * side**2, bias=False), nn.BatchNorm1d(w * side**2), nn.ReLU()]
            layers += [nn.Unflatten(1, (w, side, side))]
            for inputs, outputs in ((w, w // 2), (w // 2, w // 4)):
                double = nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1, bias=False)
                layers += [double, nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.ConvTranspose2d(w // 4, channels, 5, 2, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
            elif isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.05)
        self.unit = c.network == "dense"

    def forward(self, z: Tensor) -> Tensor:
        x = self.layers(torch.special.ndtr(z.float()))
        return (2 * x - 1 if self.unit else x).unflatten(1, self.shape) if x.dim() == 2 else x


class Shifted(nn.Module):
    """Batch norm with a bias alone, no scale."""

    def __init__(self, features: int):
        super().__init__()
        self.norm, self.b = nn.BatchNorm1d(features, affine=False), nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x) + self.b


@dataclass(frozen=True, kw_only=True)
class Config(Labels, RunConfig):
    """Semi-supervised GAN (Salimans et al. 2016)"""

    size: int = 28
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = "resize"
    labelled: int = 10  # so many pictures of each class keep their label: 100 of MNIST; 0: all
    network: Literal["dense", "conv"] = "dense"  # dense: the paper's for MNIST; conv: for CIFAR-10
    width: int = 1000  # of D's first layer if dense; conv: 960 for the paper's 96 and 192 channels
    latent: int = 100  # dimensions of z
    unlabelled: float = 1.0  # weight of the unlabelled pictures; 0: labels alone, without G
    learning_rate: float = 3e-3  # Adam's; CIFAR-10: 3e-4
    beta1: float = 0.5  # Adam's first moment
    ema: float = 0.9999  # of all weights
    batch_size: int = 200  # 100 for D and 100 for G
    steps: int = 180_000  # 300 epochs of D on MNIST
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "no"  # small matrices: half is no faster


class SemiGAN(Task):
    Config, data, takes, exported = Config, "labels", ("noise",), ("G", "D")
    known: tuple[Tensor, Tensor] | None = None  # the labelled pictures and their labels: the data's, no state

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        if config.network == "conv" and (config.size % 8 or config.size < 16 or config.width < 20):
            raise UserError(
                f"--network conv needs a --size in multiples of 8 from 16 on and a --width from 20 on, not "
                f"{config.size} and {config.width}"
            )
        self.noise_shape = (config.latent,)
        self.G = Generator(config, info.channels["image"])
        self.D = Classifier(config, info.channels["image"], len(info.classes))

    def before_training(self, dataset) -> None:
        c, device = self.config, next(self.parameters()).device
        generator = torch.Generator().manual_seed(c.seed)

        def read(numbers: list[int]) -> tuple[Tensor, Tensor]:
            samples = [dataset.sample(number, generator) for number in numbers]
            labels = torch.tensor([sample["label"] for sample in samples])
            return torch.stack([sample["image"] for sample in samples]).to(device), labels.to(device)

        if c.labelled:
            labels = dataset.labels
            self.known = read((labels >= 0).nonzero()[:, 0].tolist())
        if not self.D.initialised:
            first = torch.randperm(len(dataset), generator=generator)[:INITIAL].tolist()
            torch.manual_seed(c.seed)  # D's noise, on every process
            self.D.train().initialise(read(first)[0])

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        adam = dict(lr=self.config.learning_rate, betas=(self.config.beta1, 0.999), fused=True)
        names = ("G", "D") if self.config.unlabelled else ("D",)
        return {name: torch.optim.Adam(getattr(self, name).parameters(), **adam) for name in names}

    def labelled(self, x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """`count` of the labelled pictures, each as often as the others or once less; without
        `--labelled`, those of the batch."""
        if self.known is None:
            mine = y >= 0
            return x[mine], y[mine]
        x, y = self.known
        rows = torch.cat([torch.randperm(len(y), device=y.device) for _ in range(-(-count // len(y)))])
        return x[rows[:count]], y[rows[:count]]

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, n = self.config, (len(batch["label"]) + 1) // 2
        x, x_G = batch["image"][:n], batch["image"][-n:]
        x_l, y = self.labelled(x, batch["label"][:n], n)
        if not c.unlabelled:
            supervised = F.cross_entropy(self.D(x_l).float(), y)
            update("D", supervised)
            return {"supervised": supervised.detach()}
        fake = self.G(torch.randn(max(n, 2), *self.noise_shape, device=x.device))
        logits = self.D(torch.cat([x_l, x, fake.detach().to(x.dtype)])).float()
        l_l, l_x, l_fake = logits.split([len(x_l), n, len(fake)])
        supervised = F.cross_entropy(l_l, y, reduction="sum") / max(1, len(y))
        unsupervised = unlabelled_loss(l_x, l_fake)
        update("D", supervised + c.unlabelled * unsupervised)
        with torch.no_grad():
            real = self.D.features(x_G).float().mean(0)
        apart = real - self.D.features(fake).float().mean(0)
        matching = apart.square().mean() if c.network == "dense" else apart.abs().mean()
        update("G", matching)
        losses = {"supervised": supervised, "unsupervised": unsupervised, "G": matching}
        return {name: loss.detach() for name, loss in losses.items()}

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(noise)

    def classify(self, image: Tensor) -> Tensor:
        """Pictures [B, C, H, W] in [-1, 1] to the probabilities of the K classes [B, K]."""
        return self.D(image).float().softmax(1)

    @classmethod
    def tiny(cls) -> Config:
        return cls.Config(
            size=16, width=16, latent=8, labelled=0, batch_size=4, steps=2, mixed_precision="no", ema=0.0
        )


def unlabelled_loss(real: Tensor, fake: Tensor) -> Tensor:
    """L_unsupervised of logits [B, K] of real and of drawn pictures."""
    real, fake = real.logsumexp(1), fake.logsumexp(1)  # log Z
    return 0.5 * (F.softplus(real) - real).mean() + 0.5 * F.softplus(fake).mean()
