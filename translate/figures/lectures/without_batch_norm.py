"""Without batch norm, a dense G makes one picture in the standard game; in the Wasserstein game it learns.

Arjovsky et al. 2017 (arXiv 1701.07875), figure 7, on digits: G has four dense layers of 512 ReLUs, D is
DCGAN's without any norm. The standard game has DCGAN's step size, 2e-4; the Wasserstein game clips to 0.01
and has five updates of D for each turn of G, as published, and ten times the published step size of 5e-5, as
turns are few here. Numbers: how much samples differ, as a share of how much the data do (deviation of pixels
over pictures, 0: all are one picture); how many of the ten digits have a quarter of their share of the
samples, as a reader of digits reads them: it names whatever it sees; and how far samples are from the data:
the Wasserstein distance of 200 to 200 in that reader's features, by the best assignment.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, some, z
from translate.figures.plots import rows
from translate.metrics import features
from translate.task import DataInfo, find
from translate.training.lesson import Lesson

GAMES = {
    "standard": ("dcgan", dict(learning_rate=2e-4, beta1=0.5)),
    "Wasserstein": ("wgan", dict(learning_rate=5e-4)),
}
HIDDEN, SHOWN, COMPARED = 512, 12, 200


def dense(latent: int, shape: tuple[int, ...]) -> nn.Sequential:
    """z [B, latent] to pictures [B, *shape] in [-1, 1], by four layers of ReLUs."""
    layers: list[nn.Module] = []
    for inputs in (latent, HIDDEN, HIDDEN, HIDDEN):
        layers += [nn.Linear(inputs, HIDDEN), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, math.prod(shape)), nn.Unflatten(1, shape), nn.Tanh())


def lesson(method: str, data, config) -> Lesson:
    """A game of that method, with the dense G."""

    class Dense(find(method)):
        def networks(self) -> tuple[nn.Module, nn.Module]:
            return dense(self.config.latent, self.shape), super().networks()[1]

    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        return Lesson(Dense(config, DataInfo.of(data.info)), data, config)


@dataclass(frozen=True)
class Look:
    """At a game after some turns of G; losses: of D and G, means since the last look."""

    turns: int
    losses: dict[str, float]
    made: Tensor
    apart: float
    spread: float
    digits: int


@lru_cache(2)
def looks(name: str, work: Work) -> list[Look]:
    """A game from its beginning to its end, looked at some twenty times."""
    work.say(f"training the {name} game")
    data, n, count = pictures(work), work.of(1000, 200), work.of(20, 5)
    method, game = GAMES[name]
    turns, k = max(2, work.of(1000, 10) // count), 5 if method == "wgan" else 1
    config = find(method).Config(
        data=work.data, size=SIZE, channels=work.of(16, 8), latent=64, flip=False, batch_size=64,
        seed=work.seed, steps=turns * k * count, norm_g="none", norm_d="none", mixed_precision="no",
        save_every=10**9, **game,
    )  # fmt: skip
    net, real = features.network("lenet-mnist"), some(data, n)["image"]
    seen, found = features.described(real.split(250), net).float(), []
    one = lesson(method, data, config)
    noise = z(one.task, n, 4)
    for _ in range(count):
        logs = one.learn(turns * k)
        with torch.no_grad():
            made = one.task.generate(noise)
        described = features.described(made.split(250), net).float()
        cost = torch.cdist(described[:COMPARED], seen[:COMPARED])
        read = torch.bincount(net.logits(described).argmax(1), minlength=10) / n
        losses = {which: [log[which] for log in logs if which in log] for which in ("D", "G")}
        found.append(Look(
            one.t // k, {which: sum(many) / len(many) for which, many in losses.items()}, made[:SHOWN],
            float(cost[linear_sum_assignment(cost)].mean()), float(made.std(0).mean() / real.std(0).mean()),
            int((read > 0.25 / 10).sum()),
        ))  # fmt: skip
    return found


def draw(work: Work) -> Drawn:
    shown, numbers = {}, {}
    for name in GAMES:
        found = looks(name, work)
        for look in (found[len(found) // 10], found[len(found) // 3], found[-1]):
            shown[f"{name}, {look.turns:,} turns of G"] = look.made
        numbers |= {
            f"samples differ, {name}": look.spread,
            f"digits, {name}": look.digits,
            f"distance to the data, {name}": look.apart,
        }
    return Drawn(rows(shown, SHOWN), numbers)
