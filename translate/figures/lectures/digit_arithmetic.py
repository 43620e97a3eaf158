"""Three slanted threes less three upright threes plus three upright zeros, in codes: a slanted zero.

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


def typical(x: torch.Tensor, codes: torch.Tensor, share: float) -> torch.Tensor:
    """Of the pictures as slanted as that share of all is, the three nearest to their mean code: [3]."""
    lean = slant(x)
    alike = (lean - lean.quantile(share)).abs().argsort()[: max(4, len(x) // 20)]
    return alike[(codes[alike] - codes[alike].mean(0)).norm(dim=1).argsort()[:3]]


def draw(work: Work) -> Drawn:
    task, batch = autoencoder("vae", work), some(pictures(work, "labels"), 5000)
    x, label = batch["image"], batch["label"]
    threes, zeros = x[label == 3], x[label == 0]
    with torch.no_grad():
        of_threes, of_zeros = task.encode(threes), task.encode(zeros)
        chosen = [
            (threes, of_threes, typical(threes, of_threes, 0.85)),
            (threes, of_threes, typical(threes, of_threes, 0.15)),
            (zeros, of_zeros, typical(zeros, of_zeros, 0.15)),
        ]
        a, b, c = (codes[three].mean(0) for _, codes, three in chosen)
        before, after = (task.generate(noise=code[None]) for code in (c, a - b + c))
        near = a - b + c + 0.15 * torch.randn(5, len(a), generator=torch.Generator().manual_seed(work.seed))
        found = task.generate(noise=near)
        sums = torch.cat([task.generate(noise=m[None]) for m in (a, b, c)])
    three_each = torch.cat([shown[three] for shown, _, three in chosen])
    shown = {
        "slanted threes, upright threes, upright zeros: three each": three_each,
        "decodings of the three means, of a - b + c, and of codes near it": torch.cat([sums, after, found]),
    }
    return Drawn(
        rows(shown, 9), {"slant of the zero": float(slant(before)), "of a - b + c": float(slant(after))}
    )
