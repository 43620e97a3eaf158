"""All codes together: an autoencoder's lie anywhere, a VAE's and a WAE's fill N(0, I); a VAE's are wide.

Tolstikhin et al. 2018 (arXiv 1711.01558), figure 1: a VAE pushes the codes of each picture to the prior, so
that they overlap (ellipses: one deviation); a WAE only all of them together. Two dimensions, colours are
classes.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.lectures.random_samples import off_normal
from translate.figures.plots import sheet, titled


def draw(work: Work) -> Drawn:
    from matplotlib.patches import Ellipse

    batch = some(pictures(work, "labels", "test"), 600)
    x, label = batch["image"], batch["label"]
    figure, panels = sheet(3, wide=2.5)
    numbers: dict[str, float] = {}
    for panel, (name, method) in zip(panels, (("AE", "ae"), ("VAE", "vae"), ("WAE", "wae")), strict=True):
        task = autoencoder(method, work, latent=2)
        with torch.no_grad():
            codes = task.encode(x)
            if method == "vae":
                width = (0.5 * task.posterior(x)[1]).exp()
                for (a, b), (wide, high) in zip(codes[:40].tolist(), width[:40].tolist(), strict=True):
                    panel.add_patch(Ellipse((a, b), 2 * wide, 2 * high, fill=False, lw=0.5, color="#555555"))
                codes_all = codes + width * torch.randn(
                    codes.shape, generator=torch.Generator().manual_seed(7)
                )
                numbers["mean width of a VAE's code"] = float(width.mean())
            else:
                codes_all = codes
        panel.scatter(*codes.T.tolist(), s=3, c=label.tolist(), cmap="tab10", linewidths=0, rasterized=True)
        numbers[f"MMD² of all codes to N(0, I), {name}"] = off_normal(codes_all)
        titled(panel, f"{name}: MMD² {numbers[f'MMD² of all codes to N(0, I), {name}']:.3f}")
        if method != "ae":
            panel.set(xlim=(-4, 4), ylim=(-4, 4))
    return Drawn(figure, numbers)
