"""A critic's loss estimates how far samples are, as well as the critic can; the standard losses do not.

Arjovsky et al. 2017 (arXiv 1701.07875), figures 3 and 4. Quality is the Wasserstein distance of 256 made
points to 256 of the data, by the best assignment; the numbers are rank correlations over the training. As
in the authors' code the critic learns alone at first: an estimate is worth what the critic is.
"""

import torch
from scipy.optimize import linear_sum_assignment

import datasets
from datasets import points
from models.common import objectives
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, MADE, RED, sheet, spearman, titled
from translate.training.lesson import Lesson

SAME = dict(optimizer="adam", hidden=32, units=32, pieces=1, dropout=False, latent=8, batch_size=128)
LIPSCHITZ = dict(penalty=("gradient",), lambda_penalty=10.0, n_critic=5, beta1=0.0, beta2=0.9)
GAMES = {
    "Wasserstein": dict(objective="wasserstein", learning_rate=1e-3) | LIPSCHITZ,
    "standard": dict(objective="non-saturating", learning_rate=1e-3, beta1=0.5),
}


def ahead(lesson: Lesson, updates: int) -> None:
    """D alone learns, so many updates."""
    task, c = lesson.task, lesson.config
    with torch.random.fork_rng([]):
        torch.manual_seed(c.seed)
        for t in range(updates):
            x = lesson.stream.batch(t)["image"]
            with torch.no_grad():
                fake = task.G(torch.randn(len(x), *task.noise_shape))
            loss = task.objective.discriminate(task.D(x), task.D(fake))
            lesson.update("D", loss + objectives.regularise(task.D, x, fake, t, c))


def draw(work: Work) -> Drawn:
    data = datasets.load("points", "gaussian", size=8)
    real, _ = points.draw("gaussian", 256, seed=9)
    figure, panels = sheet(2, wide=3.8)
    numbers: dict[str, float] = {}
    for panel, (name, game) in zip(panels, GAMES.items(), strict=True):
        k = game.get("n_critic", 1)
        looks = work.of(20, 8)
        each = max(2, work.of(800, 32) // looks) * k
        lesson = Lesson.of("gan", data, data="gaussian", steps=looks * each, seed=work.seed, **SAME, **game)
        ahead(lesson, work.of(300, 60))
        z = torch.randn(256, 8, generator=torch.Generator().manual_seed(1))
        losses: dict[str, list[float]] = {"D": [], "G": []}
        apart, at = [], []
        for _ in range(looks):
            logs = lesson.learn(each)
            for which, values in losses.items():
                new = [one[which] for one in logs if which in one]
                values.append(sum(new) / len(new))
            with torch.no_grad():
                cost = torch.cdist(lesson.task.generate(z), real)
            apart.append(float(cost[linear_sum_assignment(cost)].mean()))
            at.append(lesson.t // k)
        shown = {f"loss of {which}": values for which, values in losses.items()}
        if name == "Wasserstein":  # minimised is minus the estimate
            shown = {"critic's estimate": [-value for value in losses["D"]]}
        for (label, values), colour in zip(shown.items(), (DATA, MADE), strict=False):
            panel.plot(at, values, color=colour, label=label)
            numbers[f"rank correlation with the distance, {name}, {label}"] = spearman(values, apart)
        panel.plot(at, apart, color=RED, ls="--", label="distance of samples to data")
        titled(panel, name, "updates of G", legend=True)
    return Drawn(figure, numbers)
