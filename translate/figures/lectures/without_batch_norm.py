"""Without batch norm, by DCGAN's step size, the standard game draws blots; the Wasserstein game, digits.

Arjovsky et al. 2017 (arXiv 1701.07875), figure 6, on digits: G's convolutions are all as wide, neither of the
networks has a norm, D is DCGAN's. The Wasserstein game has the gradient penalty (Gulrajani et al. 2017, arXiv
1704.00028), five updates of D for each turn of G, 300 of D alone before the first, and ten times the
published step size of 1e-4, as turns are few here. The standard game has DCGAN's step size, 2e-4, or the same
as the other's. Numbers: how far samples are from the data, the Wasserstein distance of 200 to 200 in the
features of a reader of digits, by the best assignment; how much samples differ, as a share of how much the
data do (deviation of pixels over pictures); and how many of the ten digits have a quarter of their share of
the samples, as the reader reads them: it names whatever it sees.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from models.common import objectives
from models.common.layers import init_normal
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, some, z
from translate.figures.plots import rows
from translate.metrics import features
from translate.task import DataInfo, find
from translate.training.lesson import Lesson

GAMES = {
    "standard, step 2e-4": ("dcgan", dict(learning_rate=2e-4, beta1=0.5)),
    "standard": ("dcgan", dict(learning_rate=1e-3, beta1=0.5)),
    "Wasserstein": ("wgan_gp", dict(learning_rate=1e-3)),
}
WIDTH, SHOWN, COMPARED = 32, 12, 200


def even(latent: int, channels: int) -> nn.Sequential:
    """z [B, latent] to pictures [B, channels, SIZE, SIZE] in [-1, 1]: DCGAN's G, as wide everywhere."""
    G = nn.Sequential(
        nn.Unflatten(1, (latent, 1, 1)), nn.ConvTranspose2d(latent, WIDTH, SIZE // 4), nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, WIDTH, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(WIDTH, channels, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    init_normal(G)
    return G


def lesson(method: str, data, config) -> Lesson:
    """A game of that method, with that G."""

    class Even(find(method)):
        def networks(self) -> tuple[nn.Module, nn.Module]:
            return even(self.config.latent, self.shape[0]), super().networks()[1]

    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        return Lesson(Even(config, DataInfo.of(data.info)), data, config)


def ahead(one: Lesson, updates: int) -> None:
    """D alone learns, so many updates, as in the authors' code."""
    task, c = one.task, one.config
    with torch.random.fork_rng([]):
        torch.manual_seed(c.seed)
        for t in range(updates):
            x = one.stream.batch(t)["image"]
            with torch.no_grad():
                fake = task.G(torch.randn(len(x), *task.noise_shape))
            loss = task.objective.discriminate(task.D(x), task.D(fake))
            one.update("D", loss + objectives.regularise(task.D, x, fake, t, c))


@dataclass(frozen=True)
class Look:
    """At a game after some turns of G; losses: of D and G, means since the last look."""

    turns: int
    losses: dict[str, float]
    made: Tensor
    apart: float
    spread: float
    digits: int


@lru_cache(3)
def looks(name: str, work: Work) -> list[Look]:
    """A game from its beginning to its end, looked at some twenty times."""
    work.say(f"training the {name} game")
    data, n, count = pictures(work), work.of(1000, 200), work.of(20, 8)
    method, game = GAMES[name]
    turns, k = max(2, work.of(400, 10) // count), find(method).Config().n_critic
    config = find(method).Config(
        data=work.data, size=SIZE, channels=work.of(16, 8), latent=64, flip=False, batch_size=64,
        seed=work.seed, steps=turns * k * count, norm_g="none", norm_d="none", mixed_precision="no",
        save_every=10**9, **game,
    )  # fmt: skip
    net, real = features.network("lenet-mnist"), some(data, n)["image"]
    seen, found = features.described(real.split(250), net).float(), []
    one = lesson(method, data, config)
    noise = z(one.task, n, 4)
    if k > 1:
        ahead(one, work.of(300, 30))
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
        for look in (found[len(found) // 3], found[-1]):
            shown[f"{name}, {look.turns:,} turns of G"] = look.made
        numbers |= {
            f"samples differ, {name}": look.spread,
            f"digits, {name}": look.digits,
            f"distance to the data, {name}": look.apart,
        }
    return Drawn(rows(shown, SHOWN), numbers)
