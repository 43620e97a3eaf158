"""GAN (Goodfellow et al. 2014, arXiv 1406.2661): G draws, D tells drawn from real, with dense layers.

    min_G max_D V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))                                    (eq. 1)
    k times: D ascends V by a batch of x and z; then G descends it                          (algorithm 1)
    best D: D*(x) = p_data(x) / (p_data(x) + p_g(x)), then V = -log 4 + 2 JSD(p_data ‖ p_g)    (eqs. 2, 6)
    with JSD = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = (p + q) / 2; a lecture forgets the halves

Here both minimise: D descends -V, and G by default -E log D(G(z)) (section 3), since log(1 - D) is flat where
D is sure; `--objective minimax` is eq. 1 itself. One update of this program is one of D; G has its turn after
every k = --n-critic of them. The networks and the step sizes are the authors' for MNIST
(github.com/goodfeli/adversarial, mnist.yaml). Deviations: z is normal, not uniform; G learns from the z that
D has just seen.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from datasets.options import Images
from models.common import choices, objectives
from models.common.normalise import WithReference, compared, norm, referenced, spectrally
from translate.task import DataInfo, Task, UserError


class Maxout(nn.Module):
    """The largest of `pieces` linear functions, for each unit (Goodfellow et al. 2013, arXiv 1302.4389)."""

    def __init__(self, inputs: int, units: int, pieces: int):
        super().__init__()
        self.pieces, self.linear = pieces, nn.Linear(inputs, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)


def activation(kind: str) -> nn.Module:
    return {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.2), "tanh": nn.Tanh}[kind]()


class Generator(nn.Module):
    """z [B, d] to pictures [B, *shape] in [-1, 1], or to points of that shape, anywhere."""

    def __init__(self, c: "Config", shape: tuple[int, ...]):
        super().__init__()
        layers, inputs = [], c.latent
        for _ in range(2):
            layers += [nn.Linear(inputs, c.hidden), norm(c.norm_g, c.hidden, c.batch_size, vectors=True)]
            layers += [activation(c.activation)]
            inputs = c.hidden
        self.layers, self.shape = nn.Sequential(*layers, nn.Linear(inputs, math.prod(shape))), shape

    def forward(self, z: Tensor) -> Tensor:
        x = self.layers(z).unflatten(1, self.shape)
        return x.tanh() if len(self.shape) > 1 else x


class Discriminator(nn.Sequential):
    """Pictures or points [B, *shape] to logits [B, 1]."""

    def __init__(self, c: "Config", shape: tuple[int, ...]):
        layers, inputs = [nn.Flatten()], math.prod(shape)
        for drop in (0.2, 0.5):  # before the first layer and before the second
            layers += [nn.Dropout(drop)] if c.dropout else []
            if c.pieces > 1:
                layers += [Maxout(inputs, c.units, c.pieces), norm(c.norm_d, c.units, c.batch_size, True)]
            else:
                layers += [nn.Linear(inputs, c.units), norm(c.norm_d, c.units, c.batch_size, True)]
                layers += [activation(c.activation if c.activation == "tanh" else "leaky")]
            inputs = c.units
        layer, inputs = compared(c.minibatch, inputs)
        layers += [layer, *([nn.Dropout(0.5)] if c.dropout else []), nn.Linear(inputs, 1)]
        super().__init__(*layers)


class Shallow(nn.Sequential):
    """Points [B, d] to logits [B, 1] by one layer of ReLUs, which sees a quarter of x (Metz et al. 2017)."""

    def __init__(self, c: "Config", shape: tuple[int, ...]):
        super().__init__(Quartered(), nn.Linear(*shape, c.units), nn.ReLU(), nn.Linear(c.units, 1))


class Quartered(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 4


@dataclass(frozen=True, kw_only=True)
class Config(Images, choices.ChoicesConfig):
    """GAN (Goodfellow et al. 2014)"""

    data: str = "digits"  # or digits, scikit-learn's (built in); or a toy: gaussian, ring, grid, lines, ...
    size: int = 28
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = "resize"
    latent: int = 100  # dimensions of z
    network: Literal["goodfellow", "metz"] = "goodfellow"  # metz: for points, a D of one layer of ReLUs
    hidden: int = 1200  # units in each of G's two layers
    units: int = 240  # units in each of D's two layers
    pieces: int = 5  # of D's maxout units; 1: --activation, leaky for relu
    activation: Literal["relu", "tanh"] = "relu"  # of G
    dropout: bool = True  # in D: a fifth of the picture, half of the units
    optimizer: Literal["adam", "rmsprop", "sgd"] = "sgd"  # its momentum rises from 0.5 to 0.7
    learning_rate: float = 0.1  # and falls by 4 millionths each update, as published
    batch_size: int = 100
    steps: int = 125_000  # 250 epochs of MNIST


class GAN(Task):
    Config, data, takes, exported = Config, "images", ("noise",), ("G",)
    also = ("points",)  # kinds of data it learns from as well

    def __init__(self, config: Config, info: DataInfo):
        super().__init__(config, info)
        points, channels = info.kind == "points", info.channels["image"]
        choices.check(config, pictures=not points)
        self.shape = (channels,) if points else (channels, config.size, config.size)
        if getattr(config, "network", "") == "metz" and not points:
            raise UserError("--network metz is for points, such as --data ring; leave it away for pictures")
        self.noise_shape = (config.latent,)
        G, D = self.networks()
        for network, kind in ((G, config.norm_g), (D, config.norm_d)):
            if kind == "spectral":
                spectrally(network)
        self.G = referenced(G, config.norm_g, torch.randn(config.batch_size, config.latent))
        self.D = referenced(D, config.norm_d, torch.zeros(config.batch_size, *self.shape))
        self.objective = objectives.game(config.objective)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """G and D, initialised. As published: weights within ±0.05 in G and ±0.005 in D for pictures;
        for points orthogonal, 0.8 times with --network metz (Metz et al. 2017, appendix A), 1.4 times with
        tanh (their notebook, github.com/poolio/unrolled_gan); else torch's."""
        c, metz = self.config, self.config.network == "metz"
        G, D = Generator(c, self.shape), (Shallow if metz else Discriminator)(c, self.shape)
        pictures, gain = len(self.shape) > 1, 0.8 if metz else 1.4
        for network, width in ((G, 0.05), (D, 0.005)):
            for layer in network.modules():
                if isinstance(layer, nn.Linear) and (pictures or metz or c.activation == "tanh"):
                    nn.init.zeros_(layer.bias)
                    if pictures:
                        nn.init.uniform_(layer.weight, -width, width)
                    else:
                        nn.init.orthogonal_(layer.weight, gain)
        return G, D

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config
        rates = {"G": c.learning_rate, "D": c.rate_d or c.learning_rate}
        return {name: choices.optimizer(getattr(self, name), c, rate) for name, rate in rates.items()}

    def lr_scale(self, t: int, name: str) -> float:
        """With sgd, as published: 1.000004⁻ᵗ."""
        return super().lr_scale(t, name) * (1.000004**-t if self.config.optimizer == "sgd" else 1.0)

    def step(self, batch: dict, t: int, update) -> dict[str, Tensor]:
        c, x = self.config, batch["image"]
        if t == 0 and isinstance(self.D, WithReference):
            self.D.choose(x)
        choices.gather_momentum(c, t, update)
        due = (t + 1) % c.n_critic == 0  # G's turn
        z = torch.randn(len(x), *self.noise_shape, device=x.device)
        with torch.set_grad_enabled(due):
            fake = self.G(z)
        D = choices.seen(self.D, c, t)
        real_logits, fake_logits = D(x), D(fake.detach())
        loss_D = choices.discriminate(self.objective, real_logits, fake_logits, c)
        logs = {"D": loss_D.detach()}
        D_learns, G_learns = choices.who_learns(self.objective, real_logits, fake_logits, c, update)
        if D_learns:
            loss_D = loss_D + objectives.regularise(D, x, fake, t, c)
            update("D", loss_D + choices.consistency(self.D, x, c))
            choices.clip(self.D, c)
        if due and G_learns:
            if c.unroll:
                loss_G = choices.look_ahead(
                    self.objective, self.D, x, fake, lambda D: choices.seen(D, c, t), update, c.unroll
                )
            else:
                loss_G = self.objective.fool(D, fake, x)
            update("G", loss_G)
            logs["G"] = loss_G.detach()
        if c.selective:
            skipped = (("D skipped", D_learns), ("G skipped", G_learns))
            logs |= {name: torch.tensor(float(not learns), device=x.device) for name, learns in skipped}
        return logs

    def generate(self, noise: Tensor) -> Tensor:
        return self.G(noise)

    def preview(self, batch: dict) -> dict[str, Tensor]:
        made = super().preview(batch)
        return {"real": batch["image"]} | made if len(self.shape) == 1 else made

    @classmethod
    def tiny(cls) -> Config:
        tiny = dict(size=16, latent=8, batch_size=4, steps=2, n_critic=min(cls.Config.n_critic, 2))
        small = {"channels": 4} if hasattr(cls.Config, "channels") else dict(hidden=16, units=8, pieces=2)
        return cls.Config(**tiny, **small, mixed_precision="no")
