"""On a ring of 8 modes G runs from one to the next; looking five updates of D ahead, it covers all of them.

Metz et al. 2017 (arXiv 1611.02163), figure 2, with the networks of appendix A (`--network metz`) and the
minimax loss; the step size of 1e-3 is ten times theirs, so that 1,500 turns of G do for 12,500. Numbers: the
modes that G's points are at in the second half of the training, over seeds, and why: of two sets of points,
all on the mode that D likes most or on all modes, which has the lower loss for G, against D as it is and as
it will be (10 updates of 0.01 later).
"""

import torch

import datasets
from datasets import points
from models.common import choices
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, MADE, cloud, plane, sheet, titled
from translate.training.lesson import Lesson

METZ = dict(
    network="metz", optimizer="adam", learning_rate=1e-3, rate_d=1e-3, beta1=0.5, hidden=128, units=128,
    latent=256, batch_size=128, objective="minimax",
)  # fmt: skip
AHEAD, TURNS, SEEDS = 5, 1500, 2


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
    turns, looks = work.of(TURNS, 20), (0.1, 0.25, 0.5, 0.75, 1.0)
    data = datasets.load("points", "ring", size=8)
    figure, panels = sheet(6, 2, wide=1.8, high=2.0)
    numbers = preferences(work.seed)
    z = torch.randn(1000, METZ["latent"], generator=torch.Generator().manual_seed(1))
    for row, (name, unroll) in enumerate((("one D", 0), (f"{AHEAD} updates ahead", AHEAD))):
        later = []
        for number in range(work.of(SEEDS, 1)):
            work.say(f"training the game, {name}, seed {work.seed + number}")
            lesson = Lesson.of(
                "gan", data, data="ring", steps=turns, seed=work.seed + number, unroll=unroll, **METZ
            )
            at, seen = [], []
            for look in range(1, 21):
                lesson.learn(round(look / 20 * turns) - lesson.t)
                with torch.no_grad():
                    made = lesson.task.generate(z)
                at.append(lesson.t)
                seen.append(modes(made))
                if number == 0 and look / 20 in looks:
                    panel = panels[6 * row + looks.index(look / 20)]
                    cloud(panel, made, MADE, size=4)
                    cloud(panel, torch.tensor(points.CIRCLE), DATA, size=10)
                    plane(panel, -3, 3)
                    first = f"{name}, " if look / 20 == looks[0] else ""
                    titled(panel, f"{first}{lesson.t:,}: {seen[-1]}")
            panels[6 * row + 5].plot(at, seen, lw=1)
            later += seen[10:]
        panels[6 * row + 5].set_ylim(-0.3, 8.3)
        titled(panels[6 * row + 5], "modes of 8, each seed", "turns of G")
        numbers[f"modes in the second half, {name}"] = sum(later) / len(later)
    return Drawn(figure, numbers)
