"""Without batch norm the standard game chases one mode, then the next; the Wasserstein game spreads at once.

Arjovsky et al. 2017 (arXiv 1701.07875), figures 6 and 7, as a toy: the same dense networks of ReLUs, no
norm anywhere, on a ring of 8 Gaussians; only the game differs, and that D has five updates for each of G in
the Wasserstein game, as published. At 2,500 turns of G both have found all modes here; at 750 one of them.
"""

import torch

import datasets
from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures.unrolled import modes
from translate.figures.plots import DATA, MADE, cloud, plane, sheet, titled
from translate.training.lesson import Lesson

SAME = dict(optimizer="adam", hidden=128, units=128, pieces=1, dropout=False, latent=16, batch_size=128)
LIPSCHITZ = dict(penalty=("gradient",), lambda_penalty=0.1, n_critic=5, beta1=0.0, beta2=0.9)
GAMES = {
    "standard": dict(objective="non-saturating", learning_rate=1e-3, beta1=0.5),
    "Wasserstein": dict(objective="wasserstein", learning_rate=1e-3) | LIPSCHITZ,
}


def draw(work: Work) -> Drawn:
    data = datasets.load("points", "ring", size=8)
    figure, panels = sheet(4, 2, wide=1.9, high=2.1)
    numbers: dict[str, float] = {}
    z = torch.randn(1000, 16, generator=torch.Generator().manual_seed(1))
    for row, (name, game) in enumerate(GAMES.items()):
        steps = work.of(2500, 60) * game.get("n_critic", 1)
        work.say(f"training the {name} game")
        lesson = Lesson.of("gan", data, data="ring", steps=steps, seed=work.seed, **SAME, **game)
        for column, share in enumerate((0.1, 0.3, 0.6, 1.0)):
            lesson.learn(round(share * steps) - lesson.t)
            with torch.no_grad():
                made = lesson.task.generate(z)
            panel = panels[4 * row + column]
            cloud(panel, made, MADE, size=4)
            cloud(panel, torch.tensor(points.CIRCLE), DATA, size=10)
            plane(panel, -3, 3)
            turns = lesson.t // game.get("n_critic", 1)
            if column == 1:
                numbers[f"modes after {turns:,} turns of G, {name}"] = modes(made)
            titled(
                panel,
                f"{name}, {turns:,} of G: {modes(made)} of 8" if column == 0 else f"{turns:,}: {modes(made)}",
            )
        apart = torch.cdist(torch.tensor(points.CIRCLE), made).min(1).values
        numbers |= {
            f"modes, {name}": modes(made),
            f"farthest mode from any point, {name}": float(apart.max()),
        }
    return Drawn(figure, numbers)
