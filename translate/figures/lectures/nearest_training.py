"""Below each made picture the training picture nearest to it: made ones are about as far as unseen ones.

A lecture's figure 4-10, "closest matches from the training set"; squared distance in pixels. The number is
the median distance over that of held-out pictures: about 1 or more where nothing is copied.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some, z
from translate.figures.plots import rows
from translate.metrics import neighbours


def draw(work: Work) -> Drawn:
    task, n = autoencoder("vae", work), work.of(400, 100)
    train = some(pictures(work), work.of(20_000, 1000))["image"]
    held_out = some(pictures(work, split="test"), n)["image"]
    with torch.no_grad():
        made = task.generate(noise=z(task, n, work.seed))
    found = neighbours.memorised(made.flatten(1), train.flatten(1), held_out.flatten(1))
    number = neighbours.nearest(made[:12].flatten(1), train.flatten(1))[1][:, 0]
    copy = neighbours.memorised(train[:n].flatten(1), train.flatten(1), held_out.flatten(1))
    shown = {"made by a VAE": made[:12], "nearest training pictures": train[number]}
    return Drawn(rows(shown, 12), {
        "distance to training pictures over held-out ones'": found.ratio,
        "the same of training pictures themselves": copy.ratio,
        "share that counts as copied": found.score.value,
    })  # fmt: skip
