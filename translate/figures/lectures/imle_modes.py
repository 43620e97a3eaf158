"""IMLE drops no mode: every data point pulls the nearest sample; a GAN may stay with a few modes.

Li & Malik 2018 (arXiv 1809.09087), as a lecture draws it: a ring of 8 Gaussians, z in the plane, two dense
layers for both. IMLE draws as many candidates as there are points, anew for each update: of ten times as many
most are nobody's nearest, so what lies between the modes is never pulled away.
"""

import torch

import datasets
from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures.unrolled import METZ, modes
from translate.figures.plots import DATA, MADE, cloud, plane, sheet, titled
from translate.training.lesson import Lesson


def draw(work: Work) -> Drawn:
    steps = work.of(3000, 300)
    data = datasets.load("points", "ring", size=8)
    same = dict(data="ring", steps=steps, seed=work.seed, latent=2)
    lessons = {
        "GAN": Lesson.of("gan", data, **METZ | same),
        "IMLE": Lesson.of("imle", data, batch_size=128, channels=128, candidates=1, refresh=1, **same),
    }
    figure, panels = sheet(6, wide=1.8, high=2.0)
    numbers: dict[str, float] = {}
    for row, (name, lesson) in enumerate(lessons.items()):
        z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(1))
        for column, share in enumerate((0.1, 0.4, 1.0)):
            lesson.learn(round(share * steps) - lesson.t)
            with torch.no_grad():
                made = lesson.task.generate(z)
            panel = panels[3 * row + column]
            cloud(panel, made, MADE, size=3)
            cloud(panel, torch.tensor(points.CIRCLE), DATA, size=10)
            plane(panel, -3, 3)
            titled(panel, f"{name}, {lesson.t:,}: {modes(made)} of 8")
        apart = torch.cdist(torch.tensor(points.CIRCLE), made).min(1).values
        numbers |= {
            f"modes, {name}": modes(made),
            f"farthest mode from any sample, {name}": float(apart.max()),
        }
    return Drawn(figure, numbers)
