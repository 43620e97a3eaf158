"""A D that sees one point at a time cannot know a collapsed G; one that compares the points of a batch can.

Salimans et al. 2016 (arXiv 1606.03498), section 3.2. Real batches are of a ring of 8 Gaussians; each made
batch is of one of the eight, another one each time, so that every single point is as likely made as real.
Number: of new points, how many D names right, without features of the batch (one half is chance) and with.
"""

import torch

import datasets
from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, JUDGE, MADE, cloud, plane, sheet, titled
from translate.training.lesson import Lesson

KINDS = {"none": MADE, "stddev": JUDGE, "discrimination": DATA}
BATCH = 32


def batches(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Points of all modes, and of one: [BATCH, 2] each."""
    _, around = points.TOYS["ring"]
    every = torch.randint(8, (BATCH,), generator=generator)
    one = torch.randint(8, (1,), generator=generator).expand(BATCH)
    return around(every, generator), around(one, generator)


def draw(work: Work) -> Drawn:
    updates, data = work.of(600, 60), datasets.load("points", "ring", size=8)
    figure, panels = sheet(3, wide=2.8)
    for panel, made, title in zip(
        panels, batches(torch.Generator().manual_seed(1)), ("a real batch", "a made one"), strict=False
    ):
        cloud(panel, made, DATA if title == "a real batch" else MADE, size=12)
        plane(panel, -3, 3)
        titled(panel, title)
    numbers = {}
    for kind, colour in KINDS.items():
        generator = torch.Generator().manual_seed(work.seed)
        options = dict(data="ring", optimizer="adam", units=32, pieces=1, dropout=False, minibatch=kind)
        task = Lesson.of("gan", data, seed=work.seed, steps=updates, **options).task
        D, game = task.D, task.objective
        adam = torch.optim.Adam(D.parameters(), lr=3e-3, betas=(0.5, 0.999))
        right = []
        for _ in range(updates):
            real, made = (D(x)[:, 0] for x in batches(generator))
            right.append(float(((real > 0).float().mean() + (made <= 0).float().mean()) / 2))
            adam.zero_grad()
            game.discriminate(real, made).backward()
            adam.step()
        window = max(5, updates // 20)
        smooth = torch.tensor(right).unfold(0, window, 1).mean(1)
        panels[2].plot(range(window, updates + 1), smooth, color=colour, label=kind)
        numbers[f"named right at last, {kind}"] = float(smooth[-1])
    panels[2].set_ylim(0.4, 1.02)
    titled(panels[2], "points that D names right", "updates of D", legend=True)
    return Drawn(figure, numbers)
