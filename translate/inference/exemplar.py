"""A hole made of what is known around it: patches searched and voted, from coarse to fine.

Wexler et al. 2007 ("Space-Time Completion of Video", TPAMI 29(3)): the filling y is good where each of its
patches is like some known patch,

    y = argmax_y  Σ_p  max_q  exp(-‖y_p - x_q‖² / 2σ²),      q over the known patches (their eq. 2)

by turns: the likest known patch of every patch that touches the hole, then each pixel as the mean of what
those patches say, weighted by likeness and by nearness to what is known. Every known patch is compared, as
matrices, where Barnes et al. 2009 guess well.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 7  # pixels, side
NARROW = 6  # pixels: a hole this wide is where coarse to fine begins
LEAST = 3 * PATCH  # pixels, side of the coarsest level
FIRST, LAST = 8, 2  # turns at the coarsest level; at the least, at finer ones
MOST = 6_000  # known patches compared
AT_ONCE = 1024  # patches of the hole compared at a time
NEARNESS = 1.3  # by so much a patch weighs more for each pixel nearer to what is known
FIRM, DECIDED = 4, 12  # powers of the weights, and of the last: the word of few, or grain is averaged away
REACH = 28  # pixels into the hole, in which its colours are brought to those beside it
VARIED = 0.2  # deviation of the noise on the first guess, from which several fillings come


def synthesised(x: Tensor, hole: Tensor, widest: int, generator: torch.Generator) -> Tensor:
    """x [1, C, h, w], whose hole [1, 1, h, w] holds a first guess, with the hole made of known patches.

    widest: pixels across the widest place of the hole. generator: of the noise on the guess, and of which
    patches are compared where there are many. Where nothing is known, x comes back.
    """
    levels = [(x, hole)]
    while widest > NARROW and min(levels[-1][0].shape[-2:]) >= 2 * LEAST:
        levels.append(halved(*levels[-1]))
        widest //= 2
    guess = levels[-1][0]
    guess = guess + VARIED * torch.randn(guess.shape, generator=generator)
    for number, (true, missing) in enumerate(reversed(levels)):
        if number:
            guess = F.interpolate(guess, scale_factor=2.0, mode="bicubic")
        guess = torch.where(missing > 0, guess[..., : true.shape[-2], : true.shape[-1]], true)
        guess = voted(guess, missing, max(LAST, FIRST - 2 * number), generator)
    return guess


def halved(x: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Both at half the size: means of known pixels, where there are any of the four."""
    odd = (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)
    x, hole = (F.pad(part, odd, mode="replicate") for part in (x, hole))
    share = F.avg_pool2d(1 - hole, 2)
    known = F.avg_pool2d(x * (1 - hole), 2) / share.clamp(min=0.25)
    return torch.where(share > 0, known, F.avg_pool2d(x, 2)), (share == 0).to(x.dtype)


def voted(y: Tensor, hole: Tensor, turns: int, generator: torch.Generator) -> Tensor:
    """One level of `synthesised`."""
    covered = F.max_pool2d(hole, PATCH, 1)[0, 0] > 0 if min(y.shape[-2:]) >= PATCH else hole > 1
    asked, known = covered.nonzero(), (~covered).nonzero()  # first pixels of patches: [Q, 2], [K, 2]
    if not len(known) or not len(asked):
        return y
    known = known[torch.randperm(len(known), generator=generator)[:MOST]]
    near = patches(nearness(hole), asked).mean(1)
    trust = (NEARNESS ** -(near - near.min())).clamp(min=1e-6)
    sources = patches(y, known)
    norms = sources.square().sum(1)
    for turn in range(turns):
        seen = patches(y, asked)
        found = [(norms - 2 * some @ sources.T).min(1) for some in seen.split(AT_ONCE)]
        best = sources[torch.cat([one.indices for one in found])]
        distance = (best - seen).square().sum(1)
        spread = distance.quantile(0.75).clamp(min=1e-6)  # σ², as in their section 3.2
        likeness = -(DECIDED if turn == turns - 1 else FIRM) * distance / (2 * spread)
        weight = trust * likeness.clamp(min=-60).exp()
        votes = mean_of(best, weight, asked, y)
        y = torch.where(hole > 0, votes, y)
    return seamless(y, votes, hole)


def seamless(y: Tensor, votes: Tensor, hole: Tensor) -> Tensor:
    """y with the hole's colours shifted to meet those around it, less and less with depth.

    said: what patches say of all pixels. Those beside the hole are known better: the difference there is
    continued smoothly into the hole, as a membrane would (Pérez et al. 2003, "Poisson Image Editing").
    """
    beside = F.max_pool2d(hole, 2 * PATCH - 1, 1, PATCH - 1) - hole
    known, shift = beside, (y - votes) * beside
    for _ in range(REACH // PATCH):
        shares = F.avg_pool2d(known, 2 * PATCH + 1, 1, PATCH)
        around = F.avg_pool2d(shift * known, 2 * PATCH + 1, 1, PATCH) / shares.clamp(min=1e-6)
        shift = torch.where(beside > 0, shift, around)
        known = (shares > 1e-6).to(y.dtype)
    smooth = F.avg_pool2d(shift, PATCH, 1, PATCH // 2)
    return torch.where(hole > 0, y + smooth * (-nearness(hole) / REACH).exp(), y)


def patches(x: Tensor, places: Tensor) -> Tensor:
    """The squares of [1, C, h, w] whose first pixels are at [N, 2], flat: [N, C PATCH²]."""
    views = x[0].unfold(1, PATCH, 1).unfold(2, PATCH, 1)  # [C, h', w', PATCH, PATCH]
    return views[:, places[:, 0], places[:, 1]].transpose(0, 1).flatten(1)


def mean_of(best: Tensor, weight: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Every pixel's mean of what patches [N, C PATCH²] at [N, 2] say, weighted [N]: as `like`."""
    values = best.view(len(best), -1, PATCH, PATCH) * weight.view(-1, 1, 1, 1)
    sums, shares = torch.zeros_like(like[0]), torch.zeros(like.shape[-2:])
    for down in range(PATCH):
        for across in range(PATCH):
            rows, columns = places[:, 0] + down, places[:, 1] + across
            sums[:, rows, columns] += values[:, :, down, across].T
            shares[rows, columns] += weight
    return (sums / shares.clamp(min=1e-37))[None]


def nearness(hole: Tensor) -> Tensor:
    """How far each pixel of the hole is from what is known, else 0: [1, 1, h, w]."""
    from scipy import ndimage

    return torch.from_numpy(ndimage.distance_transform_edt(hole[0, 0].numpy())).float()[None, None]
