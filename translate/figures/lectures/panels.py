"""Four panels of a game in one dimension: p_g goes to p_data, and D to a half everywhere.

Goodfellow et al. 2014 (arXiv 1406.2661), figure 1: data in blue, made points in orange, D in green; below,
where G takes z. The data are N(4, 0.5²).
"""

import torch

import datasets
from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, GREY, JUDGE, MADE, sheet, titled
from translate.training.lesson import Lesson

SETTINGS = dict(
    optimizer="adam", learning_rate=2e-3, beta1=0.0, beta2=0.9, ema=0.98, lr_schedule="linear", hidden=32,
    units=32, pieces=1, dropout=False, latent=1, batch_size=128, penalty=("r1",), lambda_penalty=1.0,
)  # fmt: skip


def draw(work: Work) -> Drawn:
    steps = work.of(2000, 200)
    data = datasets.load("points", "gaussian-1d", size=8)
    lesson = Lesson.of("gan", data, data="gaussian-1d", steps=steps, seed=work.seed, **SETTINGS)
    z = torch.randn(1000, 1, generator=torch.Generator().manual_seed(1))
    real, _ = points.draw("gaussian-1d", 1000, seed=9)
    figure, panels = sheet(4, wide=2.3, high=2.6)
    x = torch.linspace(-2, 6, 161)
    p_data = torch.distributions.Normal(4.0, 0.5).log_prob(x).exp()
    numbers = {}
    for panel, share in zip(panels, (0.0, 0.08, 0.25, 1.0), strict=True):
        lesson.learn(round(share * steps) - lesson.t)
        with torch.no_grad(), lesson.task.using_average():
            made, D = lesson.task.generate(z), lesson.task.D(x[:, None]).sigmoid()[:, 0]
        panel.plot(x, p_data, color=DATA, label="p_data")
        panel.hist(made[:, 0].tolist(), 40, range=(-2, 6), density=True, color=MADE, alpha=0.6, label="p_g")
        panel.plot(x, D, color=JUDGE, label="D")
        for start, end in zip(z[:40, 0].tolist(), made[:40, 0].tolist(), strict=True):
            panel.plot([start, end], [-0.6, -0.1], color=GREY, lw=0.4)
        panel.set(xlim=(-2, 6), ylim=(-0.6, 1.4), yticks=[])
        titled(panel, f"update {lesson.t:,}", "z below, x above", legend=share == 0)
        apart = (made[:, 0].sort().values - real[:, 0].sort().values).abs().mean()
        numbers[f"W(p_g, p_data) at update {lesson.t}"] = float(apart)
    inside = (x > 3) & (x < 5)
    numbers["largest |D - 1/2| within two deviations of the data"] = float((D[inside] - 0.5).abs().max())
    return Drawn(figure, numbers)
