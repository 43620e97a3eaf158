"""A VAE rebuilds pictures it has not seen far better than their mean does.

A lecture's first row for MNIST: test pictures above, decodings of their codes below.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.plots import rows


def draw(work: Work) -> Drawn:
    task, x = autoencoder("vae", work), some(pictures(work, split="test"), 100)["image"]
    with torch.no_grad():
        again = task.generate(noise=task.encode(x))
    error, trivial = ((x - other).square().mean() for other in (again, x.mean(0)))
    shown = {"unseen pictures": x[:12], "decodings of their codes": again[:12]}
    return Drawn(rows(shown, 12), {"squared error": float(error), "of the mean picture": float(trivial)})
