"""Points in a plane, or along a line, as a picture."""

import math

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (148, 103, 189))
SIDE, MARGIN, SHARP, BINS = 360, 34, 3, 60


def scatter(clouds: dict[str, Tensor]) -> Image.Image:
    """Named clouds [N, D] in one frame: D = 1 as histograms, D > 2 by the first two coordinates.

    The frame holds the first cloud and most of the others: a few strays do not shrink the rest.
    """
    points = {name: cloud.detach().float().cpu() for name, cloud in clouds.items()}
    if next(iter(points.values())).shape[1] == 1:
        return histogram({name: cloud[:, 0] for name, cloud in points.items()})
    points = {name: cloud[:, :2] for name, cloud in points.items()}
    first, *others = points.values()
    trimmed = [cloud.quantile(torch.tensor([0.02, 0.98]), 0) for cloud in others]
    inside = torch.cat([first, *trimmed])
    low, high = inside.amin(0), inside.amax(0)
    middle, half = (low + high) / 2, max(0.55 * float((high - low).max()), 1e-6)
    frame, pen, font = canvas(points, middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)
    for cloud, colour in zip(points.values(), COLOURS * len(points), strict=False):
        places = MARGIN + (cloud - middle + half) / (2 * half) * SIDE
        radius = max(0.8, min(2.5, 40 / math.sqrt(len(cloud))))
        for x, y in places.tolist():
            y = 2 * MARGIN + SIDE - y
            if MARGIN <= x <= MARGIN + SIDE and MARGIN <= y <= MARGIN + SIDE:
                box = [SHARP * (x - radius), SHARP * (y - radius), SHARP * (x + radius), SHARP * (y + radius)]
                pen.ellipse(box, fill=(*colour, 140))
    return frame.resize([length // SHARP for length in frame.size], Image.Resampling.LANCZOS).convert("RGB")


def histogram(values: dict[str, Tensor]) -> Image.Image:
    """Densities of named numbers [N], drawn as steps."""
    everything = torch.cat(list(values.values()))
    low, high = (float(q) for q in everything.quantile(torch.tensor([0.002, 0.998])))
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-6 else (low, high)
    width = (high - low) / BINS
    density = {name: torch.histc(x, BINS, low, high) / (len(x) * width) for name, x in values.items()}
    top = 1.1 * max(float(d.max()) for d in density.values())
    frame, pen, font = canvas(values, low, high, 0.0, top)
    for heights, colour in zip(density.values(), COLOURS * len(values), strict=False):
        edge = [MARGIN + SIDE * i / BINS for i in range(BINS + 1)]
        tops = [MARGIN + SIDE * (1 - float(height) / top) for height in heights]
        steps = [(x, y) for i, y in enumerate(tops) for x in (edge[i], edge[i + 1])]
        pen.line([(SHARP * x, SHARP * y) for x, y in steps], fill=colour, width=2 * SHARP)
    return frame.resize([length // SHARP for length in frame.size], Image.Resampling.LANCZOS).convert("RGB")


def canvas(names, left, right, bottom, top):
    """An empty frame with its bounds and the names of what comes in it; a pen and a font for it."""
    side = SIDE + 2 * MARGIN
    frame = Image.new("RGBA", (SHARP * side, SHARP * side), "white")
    pen, font = ImageDraw.Draw(frame, "RGBA"), ImageFont.load_default(12 * SHARP)
    corners = [SHARP * MARGIN] * 2 + [SHARP * (MARGIN + SIDE)] * 2
    pen.rectangle(corners, outline=(150, 150, 150), width=SHARP)
    for x, y, value, anchor in (
        (MARGIN, side - MARGIN + 4, left, "la"), (side - MARGIN, side - MARGIN + 4, right, "ra"),
        (MARGIN - 4, side - MARGIN, bottom, "rs"), (MARGIN - 4, MARGIN, top, "ra"),
    ):  # fmt: skip
        pen.text((SHARP * x, SHARP * y), f"{float(value):.3g}", fill="black", font=font, anchor=anchor)
    x = MARGIN
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        pen.ellipse([SHARP * v for v in (x, 14, x + 8, 22)], fill=colour)
        pen.text((SHARP * (x + 12), SHARP * 18), name, fill="black", font=font, anchor="lm")
        x += 26 + pen.textlength(name, font=font) / SHARP
    return frame, pen, font
