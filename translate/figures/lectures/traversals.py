"""Where the KL term costs more, codes tell less of a picture: latents of a β-VAE beside those of a VAE.

Higgins et al. 2017 (openreview Sy2fzU9gl), figures 1 to 3, on digits: the networks are the same 784-400-10,
only β differs. Each row moves one latent, those whose means vary most, from -2.5 to 2.5; the others are 0.
Numbers: KL in nats, and latents in use, whose mean has a variance above 0.01 over the data (Burda et al.
2016, arXiv 1509.00519, section 5.2).
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.plots import rows

BETAS, ACROSS, SHOWN = (1.0, 6.0), 11, 4


def draw(work: Work) -> Drawn:
    x, shown, numbers = some(pictures(work), 1000)["image"], {}, {}
    for beta in BETAS:
        task = autoencoder("beta_vae", work, latent=10, beta=beta, likelihood="bernoulli", learning_rate=1e-3)
        with torch.no_grad():
            mu, log_var = task.posterior(x)
            kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(1).mean()
            spread = mu.var(0)
            for place in spread.argsort(descending=True)[:SHOWN].tolist():
                codes = torch.zeros(ACROSS, 10)
                codes[:, place] = torch.linspace(-2.5, 2.5, ACROSS)
                shown[f"β = {beta:g}, a latent of variance {spread[place]:.2f}"] = task.generate(noise=codes)
        numbers |= {f"KL in nats, β = {beta:g}": float(kl)}
        numbers |= {f"latents in use, β = {beta:g}": int((spread > 0.01).sum())}
    return Drawn(rows(shown, ACROSS), numbers)
