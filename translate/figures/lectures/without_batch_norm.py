"""Convolutions without batch norm: the Wasserstein game comes to several digits before the standard one does.

Arjovsky et al. 2017 (arXiv 1701.07875), figure 6, on digits: G and D are DCGAN's without any norm. The
standard game has DCGAN's step size, 2e-4; the Wasserstein game clips to 0.01 and has five updates of D for
each turn of G, as published, and ten times the published step size of 5e-5, as turns are few here. Numbers:
the Frechet distance of samples to the data in the features of a reader of digits, and how many of the ten
digits have a quarter of their share of the samples, as it reads them: it names whatever it sees.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, some, z
from translate.figures.plots import rows
from translate.metrics import features, frechet
from translate.training.lesson import Lesson

GAMES = {
    "standard": ("dcgan", dict(learning_rate=2e-4, beta1=0.5)),
    "Wasserstein": ("wgan", dict(learning_rate=5e-4)),
}
SHOWN = 12


def draw(work: Work) -> Drawn:
    data, turns, n = pictures(work), work.of(2000, 12), work.of(1000, 200)
    net = features.network("lenet-mnist")
    seen = features.described(some(data, n)["image"].split(250), net)
    shown, numbers = {}, {}
    for name, (method, game) in GAMES.items():
        work.say(f"training the {name} game")
        k = 5 if method == "wgan" else 1
        lesson = Lesson.of(
            method, data, data=work.data, size=SIZE, channels=work.of(24, 8), latent=64, flip=False,
            batch_size=work.of(64, 16), steps=turns * k, seed=work.seed, norm_g="none", norm_d="none", **game,
        )  # fmt: skip
        noise, many = z(lesson.task, SHOWN, 3), z(lesson.task, n, 4)
        for share in (0.1, 0.4, 1.0):
            lesson.learn(round(share * turns) * k - lesson.t)
            with torch.no_grad():
                made = lesson.task.generate(many)
                shown[f"{name}, {lesson.t // k:,} turns of G"] = lesson.task.generate(noise)
            found = features.described(made.split(250), net)
            read = torch.bincount(net.logits(found).argmax(1), minlength=10) / n
            numbers[f"Frechet distance, {name}, {lesson.t // k} turns"] = float(
                frechet.frechet(found, seen).value
            )
            numbers[f"digits, {name}, {lesson.t // k} turns"] = int((read > 0.25 / 10).sum())
    return Drawn(rows(shown, SHOWN), numbers)
