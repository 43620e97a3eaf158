"""Mean of three slanted ones, minus that of three upright ones, plus three upright zeros: slanted zeros.

Radford et al. 2016 (arXiv 1511.06434), figure 7, on digits and a VAE's codes. Number: the slant, how far
ink moves sideways a row, of the zeros before and after.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.plots import rows


def slant(x: torch.Tensor) -> torch.Tensor:
    """Pixels right for each pixel up, by second moments: [B, 1, H, W] to [B]."""
    ink = (x[:, 0] + 1).clamp_min(0) / 2
    ink = ink / ink.sum((1, 2), keepdim=True).clamp_min(1e-6)
    up, right = torch.meshgrid(-torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="ij")
    up, right = (axis - (ink * axis).sum((1, 2), keepdim=True) for axis in (up, right))
    return (ink * up * right).sum((1, 2)) / (ink * up * up).sum((1, 2)).clamp_min(1e-6)


def draw(work: Work) -> Drawn:
    task, batch = autoencoder("vae", work), some(pictures(work, "labels"), 1500)
    x, label = batch["image"], batch["label"]
    ones, zeros = x[label == 1], x[label == 0]
    zeros = zeros[slant(zeros).abs().argsort()]
    upright = ones[slant(ones).abs().argsort()][:3]
    leaning = ones[(slant(ones) - 0.45).abs().argsort()][:3]  # half as much as the most slanted
    three = {"slanted ones": leaning, "upright ones": upright, "upright zeros": zeros[:3]}
    with torch.no_grad():
        a, b, c = (task.encode(shown).mean(0) for shown in three.values())
        before, after = (task.generate(noise=code[None]) for code in (c, a - b + c))
        near = a - b + c + 0.15 * torch.randn(5, len(a), generator=torch.Generator().manual_seed(work.seed))
        found = task.generate(noise=near)
    sums = torch.cat([task.generate(noise=m[None]).detach() for m in (a, b, c)])
    shown = {
        "slanted ones, upright ones, upright zeros: three each": torch.cat(list(three.values())),
        "decodings of the three means, of a - b + c, and of codes near it": torch.cat([sums, after, found]),
    }
    return Drawn(
        rows(shown, 9), {"slant of the zero": float(slant(before)), "of a - b + c": float(slant(after))}
    )
