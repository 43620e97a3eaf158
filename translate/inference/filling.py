"""Holes of any size in pictures of any size, filled by a network that knows small ones.

Each part of the hole is cut out with its surroundings. Where it is wider than the network learned to fill,
the cutting is made smaller by a whole factor f, filled, enlarged, and given the finest detail of known places
that look alike when small, as in contextual residual aggregation (Yi et al. 2020, 2005.09704, section 3.2):

    y = up(ŷ) + R[alike],   R = x - up(ŷ) where x is known

with one known place for each window, where the paper has weighted means, which blur grain.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.inference.exemplar import synthesised

Complete = Callable[[Tensor, Tensor], Tensor]  # [1, C, h, w] in [-1, 1] and mask [1, 1, h, w] to the picture
LONGEST = 768  # pixels, side of what the network is shown
LEAST_CONTEXT = 48  # pixels, around each part of a hole
WINDOW, STEP = 8, 6  # pixels of the small picture: windows of detail, and their distance
BATCH = 512  # windows compared at a time


def fill(
    image: Tensor, mask: Tensor, complete: Complete, width: int,
    exemplars: torch.Generator | None = None, progress: Callable[[int, int], None] | None = None,
) -> Tensor:  # fmt: skip
    """`image` [1, C, H, W] with the pixels where `mask` [1, 1, H, W] is 1 made anew; all others as they are.

    width: of the widest hole that `complete` was made for, in pixels. exemplars: what it made is then made
    again of known patches (see `exemplar`), with this generator. progress: called with (parts, of all).
    """
    image, left = image.clone(), mask > 0
    found = list(parts(left[0, 0]))
    for done, (rows, columns) in enumerate(found):
        if left[0, 0, rows, columns].any():  # else an earlier part took it along
            box = (..., *surroundings(rows, columns, left[0, 0]))
            x, hole, across = image[box], left[box].to(image.dtype), widest(left[0, 0][box])
            smaller = max(-(-across // width), -(-max(x.shape[-2:]) // LONGEST))

            def made(x: Tensor, hole: Tensor, across: int = across // smaller) -> Tensor:
                y = complete(x, hole)
                return y if exemplars is None else synthesised(y, hole, across, exemplars)

            y = completed(x, hole, made, smaller)
            image[box] = torch.where(hole > 0, y.clamp(-1, 1), x)
            left[box] = False
        if progress:
            progress(done + 1, len(found))
    return image


def parts(hole: Tensor) -> Iterator[tuple[slice, slice]]:
    """The boxes (rows, columns) around the connected parts of a hole [H, W], the largest first; parts nearer
    than 1/32 of the picture count as one."""
    from scipy import ndimage

    cell = max(1, max(hole.shape) // 32)
    coarse = F.max_pool2d(hole[None, None].float(), cell, ceil_mode=True)[0, 0] > 0
    labels, count = ndimage.label(coarse.numpy(), structure=[[1] * 3] * 3)
    boxes = []
    for number in range(1, count + 1):
        own = torch.from_numpy(labels == number).repeat_interleave(cell, 0).repeat_interleave(cell, 1)
        where = hole & own[: hole.shape[0], : hole.shape[1]]
        edges = [where.any(1 - axis).nonzero().flatten() for axis in (0, 1)]
        boxes.append(tuple(slice(int(edge[0]), int(edge[-1]) + 1) for edge in edges))
    yield from sorted(boxes, key=lambda box: -(box[0].stop - box[0].start) * (box[1].stop - box[1].start))


def surroundings(rows: slice, columns: slice, hole: Tensor) -> tuple[slice, slice]:
    """The box around a part of the hole [H, W] and as much around it as the part is wide."""
    margin = max(LEAST_CONTEXT, widest(hole[rows, columns]))
    whole = zip((rows, columns), hole.shape, strict=True)
    rows, columns = (slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in whole)
    return rows, columns


def widest(hole: Tensor) -> int:
    """Pixels across the widest place of a hole [H, W], at least 1, at most one too many."""
    from scipy import ndimage

    return max(1, round(2 * ndimage.distance_transform_edt(F.pad(hole, [1] * 4).numpy()).max()))


def completed(x: Tensor, hole: Tensor, complete: Complete, f: int) -> Tensor:
    """A cutting [1, C, h, w], filled at 1 / f of its size."""
    if f == 1:
        return complete(x * (1 - hole), hole)
    h, w = x.shape[-2:]
    odd = (0, -w % f, 0, -h % f)
    x, hole = (F.pad(part, odd, mode="replicate") for part in (x, hole))
    known = 1 - hole
    share = F.avg_pool2d(known, f)
    small = F.avg_pool2d(x * known, f) / share.clamp(min=1 / f**2)  # the means of known pixels
    small_hole = (share == 0).to(x.dtype)
    small = complete(small * (1 - small_hole), small_hole)
    rough = F.interpolate(small, scale_factor=float(f), mode="bicubic")
    return (rough + detail(x - rough, small, share, f))[..., :h, :w]


def detail(residue: Tensor, small: Tensor, share: Tensor, f: int) -> Tensor:
    """What `residue` [1, C, fh, fw] has in known places, carried to all windows that touch the hole.

    small: [1, C, h, w], by which places are compared. share: [1, 1, h, w], of the pixels that are known.
    """
    h, w = small.shape[-2:]
    if min(h, w) < WINDOW:
        return torch.zeros_like(residue)
    tops, lefts = ([*range(0, n - WINDOW, STEP), n - WINDOW] for n in (h, w))
    places = torch.tensor([(top, left) for top in tops for left in lefts])
    seen = windows(small, places)
    clear = -F.max_pool2d(-share, 5, 1, 2)  # what is filled shows two pixels around itself when enlarged
    whole = windows(clear, places).amin(1) == 1
    holed = windows(share, places).amin(1) < 1
    unknown, known = places[holed], places[whole]
    if not len(known) or not len(unknown):
        return torch.zeros_like(residue)
    among, ramp = seen[whole], fading(f)
    total, weight = torch.zeros_like(residue), torch.zeros_like(residue[:, :1])
    for some, look in zip(unknown.split(BATCH), seen[holed].split(BATCH), strict=True):
        alike = known[torch.cdist(look, among).argmin(1)]
        for (top, left), (y, x) in zip((f * some).tolist(), (f * alike).tolist(), strict=True):
            side = WINDOW * f
            to = (..., slice(top, top + side), slice(left, left + side))
            total[to] += ramp * residue[..., y : y + side, x : x + side]
            weight[to] += ramp
    return total / weight.clamp(min=1e-3)


def windows(x: Tensor, places: Tensor) -> Tensor:
    """The squares of WINDOW pixels of [1, C, h, w] whose first pixels are at [N, 2], flat: [N, C WINDOW²]."""
    views = x[0].unfold(1, WINDOW, 1).unfold(2, WINDOW, 1)  # [C, h', w', WINDOW, WINDOW]
    return views[:, places[:, 0], places[:, 1]].transpose(0, 1).flatten(1)


def fading(f: int) -> Tensor:
    """[f WINDOW, f WINDOW]: 1 inside, falling over what neighbouring windows share."""
    position = torch.arange(f * WINDOW) + 0.5
    edge = torch.minimum(position, f * WINDOW - position) / (f * (WINDOW - STEP))
    return edge.clamp(max=1)[:, None] * edge.clamp(max=1)
