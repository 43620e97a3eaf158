"""Codes that InfoGAN found without labels: one chooses a shape, a continuous one changes it smoothly.

Chen et al. 2016 (arXiv 1606.03657), figure 2: each row a value of the first code, each column one of the
first continuous code from -1 to 1, the same noise everywhere. A reader trained on real digits tells which
one a sample is; codes are matched to digits one to one, as well as can be.
"""

import torch
from scipy.optimize import linear_sum_assignment

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, z
from translate.figures.plots import pictures as pictures_of
from translate.figures.plots import sheet
from translate.inference.catalog import HERE
from translate.metrics import reader
from translate.training.lesson import Lesson

WAYS = 9  # values of the continuous code


def draw(work: Work) -> Drawn:
    steps = work.of(2000, 30)
    options = dict(size=SIZE, channels=16, batch_size=64, learning_rate=2e-3, rate_d=1e-3, seed=work.seed)
    work.say("training InfoGAN")
    lesson = Lesson.of("infogan", pictures(work), steps=steps, data=work.data, flip=False, **options)
    lesson.learn(steps)
    task, c = lesson.task, lesson.config
    uniform = torch.linspace(-0.98, 0.98, WAYS)  # as the noise has it: normal
    shown, many = [], torch.arange(500) % c.codes
    with torch.no_grad():
        noise = z(task, 1, 3).repeat(WAYS, 1)
        noise[:, c.latent] = torch.special.ndtri((uniform + 1) / 2)
        for code in range(c.codes):
            shown.append(task.generate(noise, torch.full((WAYS,), code)))
        made = task.generate(z(task, 500, 4), many)
        read = task.classify(made).argmax(1)
        ways = torch.stack([row.std(0).mean() for row in shown]).mean()
    numbers = {"first code read off a sample": float((read == many).float().mean())}
    numbers["change along the continuous code, mean deviation of pixels"] = float(ways)
    predicted = reader.load(HERE / "pretrained" / "readers" / "lenet-mnist.safetensors").read(made)["class"]
    counts = torch.zeros(c.codes, 10).index_put_((many, predicted), torch.tensor(1.0), accumulate=True)
    match = linear_sum_assignment(counts.numpy(), maximize=True)
    numbers["digit that belongs to the code, by the reader"] = float(counts[match].sum() / len(many))
    figure, (panel,) = sheet(1, wide=4.0, high=4.6)
    pictures_of(panel, torch.cat(shown), WAYS, "first continuous code, from -1 to 1")
    names = dict(transform=panel.transAxes, fontsize=9)
    for code in range(c.codes):
        panel.text(-0.02, 1 - (code + 0.5) / c.codes, str(code), ha="right", va="center", **names)
    panel.text(-0.09, 0.5, "first code", rotation=90, ha="right", va="center", **names)
    return Drawn(figure, numbers)
