"""A dense GAN learns the bump at (5, 5): made points walk onto the data and spread as it does.

A lecture's figure 22-19. Blue are the data, orange made points; mean and deviation are the numbers.
"""

import torch

import datasets
from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, MADE, cloud, plane, sheet, titled
from translate.training.lesson import Lesson

SETTINGS = dict(
    optimizer="adam", learning_rate=2e-3, beta1=0.0, beta2=0.9, ema=0.99, lr_schedule="linear", hidden=32,
    units=32, pieces=1, dropout=False, latent=2, batch_size=128, penalty=("r1",), lambda_penalty=1.0,
)  # fmt: skip


def draw(work: Work) -> Drawn:
    steps = work.of(1800, 250)
    data = datasets.load("points", "gaussian", size=8)
    lesson = Lesson.of("gan", data, data="gaussian", steps=steps, seed=work.seed, **SETTINGS)
    z = torch.randn(600, 2, generator=torch.Generator().manual_seed(1))
    real, _ = points.draw("gaussian", 600, seed=9)
    figure, panels = sheet(6, wide=1.7, high=2.0)
    numbers = {}
    for panel, share in zip(panels, (0.0, 0.05, 0.1, 0.2, 0.5, 1.0), strict=True):
        lesson.learn(round(share * steps) - lesson.t)
        with torch.no_grad(), lesson.task.using_average():
            made = lesson.task.generate(z)
        cloud(panel, real, DATA, size=2)
        cloud(panel, made, MADE, size=2)
        plane(panel, -1, 9)
        titled(panel, f"update {lesson.t:,}")
        if share in (0.0, 1.0):
            numbers[f"mean off by, update {lesson.t}"] = float((made.mean(0) - 5).norm())
            numbers[f"deviation, update {lesson.t}"] = float(made.std(0).mean())
    return Drawn(figure, numbers)
