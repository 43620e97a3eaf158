"""Against D as it is, one mode pays best for G; against D as it will be ten updates later, all modes do.

Metz et al. 2017 (arXiv 1611.02163), figure 2: a ring of 8 Gaussians, their networks and step sizes, G
descends the minimax loss. Why unrolling works is measured: of two sets of made points, all on the mode that D
likes most or on all modes, which has the lower loss for G, against D as it is and as it will be (10 updates
of 0.01 later). The pictures: the game with one D and with --unroll 5; the paper trains ten times as long.
"""

import torch

import datasets
from datasets import points
from models.common import choices
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, MADE, cloud, sheet, titled
from translate.training.lesson import Lesson

METZ = dict(
    optimizer="adam", learning_rate=1e-3, rate_d=1e-4, beta1=0.5, hidden=128, units=128, pieces=1,
    activation="tanh", dropout=False, latent=256, objective="minimax",
)  # fmt: skip


def modes(made: torch.Tensor) -> int:
    """Of the ring: those with at least a quarter of their share of points, each within 0.4 of its middle."""
    apart, near = torch.cdist(made, torch.tensor(points.CIRCLE)).min(1)
    share = torch.bincount(near[apart < 0.4], minlength=8) / len(made)
    return int((share > 0.25 / 8).sum())


def preferences(seed: int) -> dict[str, float]:
    """How much lower the loss of G is on one mode than on all, now and 10 updates of D later."""
    data, ahead = datasets.load("points", "ring", size=8), 10
    options = dict(data="ring", steps=100, seed=seed, batch_size=128, latent=256, unroll=ahead)
    lesson = Lesson.of("gan", data, **METZ | options | {"rate_d": 1e-2})
    lesson.learn(2)
    task, x = lesson.task, lesson.stream.batch(9)["image"]
    liked = torch.tensor(points.CIRCLE)[task.D(torch.tensor(points.CIRCLE)).argmax()]
    one = liked + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    every = lesson.stream.batch(10)["image"]
    now, later = [], []
    for made in (one, every):
        now.append(float(task.objective.fool(task.D, made, x).detach()))
        found = choices.look_ahead(task.objective, task.D, x, made, lambda D: D, lesson.update, ahead)
        later.append(float(found.detach()))
    return {
        "G's loss on one mode less that on all, D as it is": now[0] - now[1],
        "the same, D 10 updates later": later[0] - later[1],
    }


def draw(work: Work) -> Drawn:
    steps = work.of(2500, 20)
    data = datasets.load("points", "ring", size=8)
    figure, panels = sheet(5, 2, wide=1.8, high=2.0)
    numbers = preferences(work.seed)
    for row, (name, unroll) in enumerate((("one D", 0), ("5 updates ahead", 5))):
        work.say(f"training the game, {name}")
        lesson = Lesson.of(
            "gan", data, data="ring", steps=steps, seed=work.seed, batch_size=64, unroll=unroll,
            **METZ,
        )  # fmt: skip
        z = torch.randn(1000, 256, generator=torch.Generator().manual_seed(1))
        seen, spread = [], []
        for column, share in enumerate((0.1, 0.25, 0.5, 0.75, 1.0)):
            lesson.learn(round(share * steps) - lesson.t)
            with torch.no_grad():
                made = lesson.task.generate(z)
            panel = panels[5 * row + column]
            cloud(panel, made, MADE, size=4)
            cloud(panel, torch.tensor(points.CIRCLE), DATA, size=10)
            panel.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
            seen.append(modes(made))
            spread.append(float(made.std(0).mean()))
            titled(
                panel,
                f"{name}, {lesson.t:,}: {seen[-1]} of 8" if column == 0 else f"{lesson.t:,}: {seen[-1]}",
            )
        numbers |= {f"modes at last, {name}": seen[-1], f"most modes at once, {name}": max(seen)}
        numbers[f"deviation at last, {name}"] = spread[-1]
    return Drawn(figure, numbers)
