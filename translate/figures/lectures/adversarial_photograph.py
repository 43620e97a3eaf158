"""Eight grey levels along the sign of the gradient, and a network calls a photograph something else.

Goodfellow et al. 2015 (arXiv 1412.6572), eq. 4, as a lecture's panda and gibbon: EfficientNet-lite0,
ImageNet's classes, parts of the photographs shipped as examples. Random signs, as large, change less.
"""

import torch
import torch.nn.functional as F

from translate.figures.lecture import Drawn, Work
from translate.figures.plots import pictures, sheet
from translate.inference import images
from translate.inference.catalog import HERE
from translate.metrics import features

LEVELS, SIDE = 8, 224
FOLDER = HERE / "pretrained" / "photo-starry-night" / "examples"
NAMES = ("chelsea", "coffee", "raccoon", "astronaut", "china", "rocket")


def crops(count: int, generator: torch.Generator) -> torch.Tensor:
    """Squares of the photographs in turn, of 0.7 to 1 of the shorter side, mirrored or not: grey levels
    [N, 3, SIDE, SIDE]."""
    photographs = [images.decode(FOLDER / f"{name}.jpg").tensor for name in NAMES]
    found = []
    for number in range(count):
        x = photographs[number % len(photographs)]
        share, down, across, mirror = torch.rand(4, generator=generator).tolist()
        share = 1.0 if number < len(photographs) else 0.7 + 0.3 * share
        side = int(share * min(x.shape[-2:]))
        top, left = (int(u * (length - side)) for u, length in zip((down, across), x.shape[-2:], strict=True))
        cut = x[..., top : top + side, left : left + side]
        cut = F.interpolate(cut, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(-1, 1)
        found.append((cut.flip(3) if mirror < 0.5 else cut).add(1).mul(127.5).round())
    return torch.cat(found)


def draw(work: Work) -> Drawn:
    from torchvision.models import MobileNet_V2_Weights

    classes = MobileNet_V2_Weights.DEFAULT.meta["categories"]
    generator = torch.Generator().manual_seed(work.seed)
    net = features.network("efficientnet-lite0")
    x = crops(work.of(60, 6), generator)

    def answers(x: torch.Tensor) -> torch.Tensor:
        return net.logits(net(x))

    signs = {
        "": torch.zeros_like(x),
        "random signs": torch.rand(x.shape, generator=generator).sub(0.5).sign(),
    }
    signs["gradient's signs"] = torch.empty_like(x)
    for part, sign in zip(x.split(6), signs["gradient's signs"].split(6), strict=True):
        seen = part.clone().requires_grad_()
        logits = answers(seen)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1)), seen)
        sign.copy_(gradient.sign())
    shown, names, numbers, first = {}, {}, {}, None
    for name, sign in signs.items():
        moved = (x + LEVELS * sign).clamp(0, 255)
        with torch.no_grad():
            predicted = torch.cat([answers(part).argmax(1) for part in moved.split(6)])
        first = predicted if first is None else first
        shown[name or "as it is"] = moved[:6] / 127.5 - 1
        names[name or "as it is"] = [classes[n] for n in predicted[:6].tolist()]
        if name:
            numbers[f"answers changed by {name}"] = float((predicted != first).float().mean())
    figure, panels = sheet(6, len(shown), wide=1.2, high=1.4)
    for number, panel in enumerate(panels):
        row, column = divmod(number, 6)
        title, many = list(shown.items())[row]
        pictures(panel, many[column : column + 1], 1, names[title][column])
        if column == 0:
            panel.text(
                -0.05, 0.5, title, transform=panel.transAxes, rotation=90, ha="right", va="center", fontsize=9
            )
    return Drawn(figure, numbers)
