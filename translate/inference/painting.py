"""A style at the size where its strokes show, and the result at full resolution.

A network of strokes knows them at a few pixels' width: in a picture of 12 megapixels they would be too fine
to see. So it paints a smaller copy, a small enlarging network keeps the strokes crisp on the way back, and
how much of the photograph stays is mixed in OKLab (Ottosson 2020), where halfway looks halfway.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.inference import images
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.inference.pipeline import Pipeline, Progress
from translate.task import Task

STROKES = 4  # times the side that a painter was trained at: where its strokes show
THINNEST, BROADEST = 0.4, 2.5  # brushes
STRIP = 256  # rows at a time
WORTH = 1.25  # times smaller that the painted copy must be for the enlarging network to be used
# Ottosson 2020: linear sRGB to the responses of cones. OKLab is linear in their cube roots, so mixing those
# mixes in OKLab, and its second matrix is not needed.
CONES = torch.tensor([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip


def paints(task: Task | type[Task]) -> bool:
    """Whether it has a manner that shows at any size: it learned from pieces of two collections."""
    return task.data == "unpaired" and task.takes[:1] == ("image",)


def painted_at(size: int | None, brush: float = 1.0) -> int:
    """Pixels of the longer side that a painter trained at `size` is to see: broader strokes in fewer."""
    return round(STROKES * (size or 192) / min(BROADEST, max(THINNEST, brush)))


def quickest(enlargers: list[Entry]) -> Entry | None:
    """Of models that enlarge the one with the fewest weights, which keeps strokes crisp."""
    return min(enlargers, key=lambda e: (e.folder / "weights.safetensors").stat().st_size, default=None)


def smaller(picture: Picture, side: int) -> Picture:
    """The same with `side` pixels on the longer side; as it is where it has fewer."""
    scale = side / max(picture.size)
    if scale >= 1:
        return picture
    size = [max(1, round(length * scale)) for length in picture.tensor.shape[-2:]]
    tensor, alpha = (
        None if x is None else F.interpolate(x.float(), size, mode="bicubic", antialias=True)
        for x in (picture.tensor, picture.alpha)
    )
    alpha = None if alpha is None else alpha.clamp(0, 1)
    return dataclasses.replace(picture, tensor=tensor.clamp(-1, 1), alpha=alpha)


def paint(
    pipeline: Pipeline,
    picture: Picture,
    side: int,
    *,
    direction: str = "AtoB",
    keep_alpha: bool = True,
    label: str | None = None,
    progress: Progress | None = None,
) -> Picture:
    """The painted copy, with `side` pixels on the longer side at the most. label: a style, or a mixture."""
    copy = smaller(picture, side) if side else picture
    return pipeline.translate(
        copy, direction=direction, work_size=0, keep_alpha=keep_alpha, label=label, progress=progress
    )


def whole(
    painted: Picture, picture: Picture, enlarger: Pipeline | None = None, strength: float = 1.0
) -> Picture:
    """A painted copy at the picture's size, `strength` of it and the rest the picture."""
    size, y = picture.tensor.shape[-2:], painted.tensor.float()
    if max(size) > WORTH * max(y.shape[-2:]) and enlarger is not None and y.shape[1] == 3:
        y = enlarger.translate(Picture(tensor=y)).tensor.float()
    if y.shape[-2:] != size:
        larger = y.shape[-1] > size[-1]
        y = F.interpolate(y, size, mode="bicubic", antialias=larger).clamp_(-1, 1)
    if painted.alpha is not None:  # the outline is the picture's own
        y = images.over_white(images.off_white(y, picture.alpha), picture.alpha)
    if strength < 1:
        y = mixed(picture.tensor, y, strength)
    alpha = None if painted.alpha is None else picture.alpha
    return dataclasses.replace(picture, tensor=y, alpha=alpha)


def mixed(x: Tensor, y: Tensor, share: float) -> Tensor:
    """(1 - share) x + share y in OKLab: [1, 1 or 3, H, W] in [-1, 1], sRGB; [1, 3, H, W]."""
    out = torch.empty(1, 3, *x.shape[-2:])
    for top in range(0, x.shape[-2], STRIP):
        one, other = (cones(z[..., top : top + STRIP, :].float()) for z in (x, y))
        linear = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(CONES), one.lerp_(other, share) ** 3)
        out[..., top : top + STRIP, :] = gamma(linear.clamp_(0, 1))
    return out


def cones(x: Tensor) -> Tensor:
    """Cube roots of the responses of cones to sRGB in [-1, 1]."""
    x = x.expand(-1, 3, -1, -1).add(1).div(2)
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04) + 0.055) / 1.055) ** 2.4)
    return torch.einsum("ij,bjhw->bihw", CONES, linear).clamp_(min=0) ** (1 / 3)


def gamma(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] as sRGB in [-1, 1] (IEC 61966-2-1)."""
    x = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.003) ** (1 / 2.4) - 0.055)
    return x.mul(2).sub(1)
