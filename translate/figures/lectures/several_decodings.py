"""Several codes drawn for one picture decode to nearly that picture: a code is a place with a width.

A lecture's second row: z ~ q(z|x) eight times. Numbers: root mean squared differences.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.plots import rows

EACH = 9


def draw(work: Work) -> Drawn:
    task, x = autoencoder("vae", work), some(pictures(work, split="test"), 4, seed=work.seed + 1)["image"]
    generator = torch.Generator().manual_seed(work.seed)
    with torch.no_grad():
        mu, log_var = task.posterior(x)
        epsilon = torch.randn(len(x), EACH, mu.shape[1], generator=generator)
        codes = mu[:, None] + (0.5 * log_var).exp()[:, None] * epsilon
        made = task.generate(noise=codes.flatten(0, 1)).unflatten(0, (len(x), EACH))
    shown = torch.cat([x[:, None], made], 1).flatten(0, 1)
    within = (made - made.mean(1, keepdim=True)).square().mean().sqrt()
    between = (made.mean(1) - made.mean((0, 1))).square().mean().sqrt()
    figure = rows({"a picture, then decodings of codes drawn for it": shown}, EACH + 1)
    return Drawn(figure, {"among decodings of one picture": float(within), "among pictures": float(between)})
