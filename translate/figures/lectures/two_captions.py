"""StackGAN's two captions, drawn: one bird red with black wings, one with a cream belly; words decide.

Zhang et al. 2017 (arXiv 1612.03242), as two lectures show them; drawn by the shipped bird-photos from the
same noises. Number: the share of pixels that are red, in either.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.plots import rows
from translate.inference.pipeline import Pipeline

CAPTIONS = (
    "This bird is completely red with black wings and pointy beak",
    "A small sized bird that has a cream belly and a short pointed bill",
)


def red(x: torch.Tensor) -> float:
    """Of pixels [B, 3, H, W]: much more red than green and blue."""
    return float(((x[:, 0] - x[:, 1:].amax(1)) > 0.35).float().mean())


def draw(work: Work) -> Drawn:
    pipeline = Pipeline.from_pretrained("bird-photos", "cpu", "fp32")
    n = work.of(6, 2)
    made = {
        caption: torch.cat([p.tensor for p in pipeline.imagine(caption, n, seed=work.seed + 1)])
        for caption in CAPTIONS
    }
    numbers = {f"red pixels, {caption[:34]}...": red(x) for caption, x in made.items()}
    return Drawn(rows(made, n), numbers)
