"""Many pictures of one: mirrored, cut, in other colours; and what D sees of them, as G's gradient must pass.

A lecture's first pages, by the reader of every training (`--flip`, `--resize resize-crop`,
`--color-jitter`), and DiffAugment (Zhao et al. 2020, arXiv 2006.10738; `--augment`). Numbers: that a sample
is the picture or its mirror image, each about as often, and how many pixels G's gradient reaches through
each change.
"""

import torch

import datasets
from models.common import augment
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import rows
from translate.inference.catalog import HERE

FOLDER, SIZE, ACROSS = HERE / "pretrained" / "photo-starry-night" / "examples", 96, 10
READ = {
    "mirrored": dict(resize="resize", flip=True),
    "and cut": dict(resize="resize-crop", load_size=128, flip=True),
    "and in other colours": dict(resize="resize-crop", load_size=128, flip=True, color_jitter=0.4),
}


def draw(work: Work) -> Drawn:
    shown, numbers, count = {}, {}, work.of(400, 50)
    for title, options in READ.items():
        data = datasets.load("images", str(FOLDER), size=SIZE, **options)
        several = [data.sample(2, torch.Generator().manual_seed(work.seed + i)) for i in range(ACROSS)]
        shown[title] = torch.stack([one["image"] for one in several])
    data = datasets.load("images", str(FOLDER), size=SIZE, **READ["mirrored"])
    many = [data.sample(2, torch.Generator().manual_seed(i))["image"] for i in range(count)]
    plain = datasets.load("images", str(FOLDER), size=SIZE, resize="resize", flip=False)
    x = plain.sample(2, torch.Generator())["image"]
    kept, mirrored = ([torch.equal(one, two) for one in many] for two in (x, x.flip(2)))
    numbers["samples that are the picture or its mirror image"] = (sum(kept) + sum(mirrored)) / count
    numbers["of them mirrored"] = sum(mirrored) / count
    for policy in ("color", "translation", "cutout"):
        with torch.random.fork_rng([]):
            torch.manual_seed(work.seed)
            fake = x.expand(ACROSS, -1, -1, -1).clone().requires_grad_()
            seen = augment.augmented(fake, (policy,))
            (gradient,) = torch.autograd.grad(seen.sum(), fake)
        shown[f"what D sees by --augment {policy}"] = seen
        reached = gradient.abs().sum(1).gt(1e-6).float().mean()
        numbers[f"pixels that G's gradient reaches, {policy}"] = float(reached)
    return Drawn(rows(shown, ACROSS), numbers)
