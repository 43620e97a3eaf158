"""Brush and backdrop of the drawn birds: anti-aliased shapes on a float picture, and what is behind a bird.

Points are complex numbers, so that turning is multiplying. Pictures run from 0 to 1, x right, y down.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFilter

INK = np.array((40, 36, 42), np.float32)
BARK = np.array((112, 84, 62), np.float32)
CELLS = 64  # backdrops are out of focus: painted on a coarse grid, so they look the same at every size
SKIES = (  # top, horizon, cloud
    ((104, 166, 222), (204, 229, 243), (250, 252, 255)),
    ((122, 190, 214), (222, 240, 236), (252, 254, 252)),
    ((140, 158, 206), (246, 214, 196), (255, 238, 224)),
    ((150, 172, 196), (220, 228, 234), (244, 246, 248)),
    ((96, 148, 190), (250, 226, 184), (255, 246, 228)),
)
FOLIAGE = (  # shade, middle, light
    ((116, 152, 112), (158, 188, 132), (206, 222, 164)),
    ((108, 146, 134), (150, 186, 168), (200, 222, 202)),
    ((170, 146, 96), (206, 184, 124), (236, 222, 172)),
    ((134, 158, 104), (184, 200, 130), (228, 232, 178)),
)
GROUNDS = (  # air above, far ground, near ground
    ((222, 232, 232), (206, 196, 160), (178, 162, 122)),
    ((214, 228, 238), (180, 200, 150), (142, 172, 112)),
    ((240, 228, 212), (222, 198, 164), (196, 166, 130)),
    ((210, 222, 232), (206, 208, 212), (176, 182, 190)),
)


def spline(points: Iterable[complex], closed: bool = False, steps: int = 8) -> ndarray:
    """The Catmull-Rom curve through the points; a closed one ends where it begins."""
    p = np.asarray(points, complex)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate((ends[0], p, ends[1]))
    t = np.arange(steps) / steps
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.append(curve.ravel(), p[-2])


def ribbon(line: ndarray, width: float, ends: float = 1.0) -> ndarray:
    """A brush stroke's outline along `line` [..., N]: `width` in the middle, `ends` times it at the ends."""
    n = line.shape[-1]
    swell = ends + (1 - ends) * np.sqrt(np.sin(np.linspace(0, math.pi, n)).clip(0))
    across = np.gradient(line, axis=-1)
    across = across * (0.5j * width * swell / (np.abs(across) + 1e-12))
    return np.concatenate((line + across, (line - across)[..., ::-1]), -1)


def circle(centre: complex, radius: float, steps: int = 24) -> ndarray:
    return centre + radius * np.exp(2j * math.pi * np.arange(steps) / steps)


class Painter:
    """A picture under work: `paint` is float32 [size, size, 3] in 0..255; `ink` draws black on white."""

    def __init__(self, paint: ndarray, ink: bool) -> None:
        self.paint, self.ink = paint, ink
        self.size = len(paint)
        self.finer = 4 if self.size <= 160 else 3 if self.size <= 320 else 2

    def box(self, *shapes: ndarray, margin: float = 0.0) -> tuple[slice, slice]:
        """The rows and columns that hold the shapes."""
        points = np.concatenate(shapes)
        sides = []
        for values in (points.imag, points.real):
            low = math.floor((values.min() - margin) * self.size) - 1
            high = math.ceil((values.max() + margin) * self.size) + 1
            low = min(max(low, 0), self.size - 1)
            sides.append(slice(low, max(min(high, self.size), low + 1)))
        return sides[0], sides[1]

    def cover(self, box: tuple[slice, slice], *shapes: ndarray) -> ndarray:
        """How much of each pixel in the box the union of the shapes covers: [h, w, 1] in 0..1."""
        rows, columns = box
        finer = self.finer
        size = ((columns.stop - columns.start) * finer, (rows.stop - rows.start) * finer)
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        corner = complex(columns.start, rows.start)
        for shape in shapes:
            points = (shape * self.size - corner) * finer - (0.5 + 0.5j)
            draw.polygon(points.view(np.float64).tolist(), fill=255)
        return np.asarray(mask.reduce(finer), np.float32)[..., None] / 255

    def lay(self, box: tuple[slice, slice], alpha: ndarray | float, colour: ndarray) -> None:
        """Lays a colour, or a picture of colours [h, w, 3], over the box."""
        under = self.paint[box]
        under += alpha * (colour - under)

    def fill(self, colour: ndarray, *shapes: ndarray, alpha: float = 1.0) -> None:
        box = self.box(*shapes)
        self.lay(box, self.cover(box, *shapes) * alpha, colour)

    def part(self, shape: ndarray, colour: ndarray, contour: float, lines: tuple[ndarray, ...] = ()) -> None:
        """A shape with a contour in a darker tone of its colour, and lines inside."""
        edge = ribbon(np.append(shape, shape[:1]), contour)
        box = self.box(edge)
        alpha = self.cover(box, shape, edge)
        strokes = self.cover(box, edge, *lines)
        self.lay(box, alpha, self.drawn(np.broadcast_to(colour, (*alpha.shape[:2], 3)), strokes))

    def drawn(self, layer: ndarray, strokes: ndarray) -> ndarray:
        """The layer with strokes on it: ink on paper, else a darker (on black: lighter) tone."""
        if self.ink:
            return 255 + strokes * (INK - 255)
        dark = layer.max(-1, keepdims=True) < 80
        return layer + strokes * np.where(dark, 26 - layer * 0.1, layer * -0.55)


def smooth(mask: ndarray, radius: float) -> ndarray:
    """A blurred [h, w, 1] coverage; the blur runs on every other pixel or fewer where it is wide."""
    h, w = mask.shape[:2]
    image = Image.fromarray((mask[..., 0] * 255).astype(np.uint8))
    step = max(int(radius / 3), 1)
    if step > 1:
        image = image.resize((max(w // step, 1), max(h // step, 1)), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(radius / step))
    if step > 1:
        image = image.resize((w, h), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)[..., None] / 255


def backdrop(kind: str, rng: np.random.Generator, size: int) -> ndarray:
    """What is far behind the bird, out of focus: float32 [size, size, 3]."""
    picture = {"sky": sky, "leaves": foliage, "ground": plain}[kind](rng)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def gradient(*tones: tuple[int, int, int], stops: tuple[float, ...] | None = None) -> Image.Image:
    """A vertical blend of tones on the coarse grid."""
    at = np.linspace(0, 1, len(tones)) if stops is None else stops
    y = (np.arange(CELLS) + 0.5) / CELLS
    column = np.stack([np.interp(y, at, channel) for channel in zip(*tones, strict=True)], -1)
    return Image.fromarray(np.repeat(column[:, None], CELLS, 1).astype(np.uint8))


def sky(rng: np.random.Generator) -> Image.Image:
    top, horizon, cloud = SKIES[rng.integers(len(SKIES))]
    picture = gradient(top, horizon)
    mask = Image.new("L", (CELLS * 2, CELLS * 2))
    draw = ImageDraw.Draw(mask)
    for x, y, w in rng.uniform((-0.1, 0.05, 0.2), (1.1, 0.75, 0.5), (3, 3)) * CELLS * 2:
        for along, up, r in rng.uniform((-0.5, -0.1, 0.12), (0.5, 0.02, 0.24), (9, 3)):
            r *= w * (1.15 - abs(along))
            draw.ellipse((x + along * w - r, y + up * w - r, x + along * w + r, y + up * w + r * 0.6), 235)
    mask = mask.filter(ImageFilter.GaussianBlur(2.2)).reduce(2)
    picture.paste(cloud, (0, 0), mask)
    return picture


def foliage(rng: np.random.Generator) -> Image.Image:
    shade, middle, light = FOLIAGE[rng.integers(len(FOLIAGE))]
    picture = gradient(light, middle, shade)
    draw = ImageDraw.Draw(picture)
    tones = np.array((shade, middle, light))
    for x, y, angle, length, pick, blend in rng.random((46, 6)):
        tone = tones[int(pick * 3)] * (1 - 0.4 * blend) + np.array(middle) * 0.4 * blend
        leaf = leaf_shape(complex(x, y) * CELLS * 1.1, (3 + 6 * length) * np.exp(2j * math.pi * angle))
        draw.polygon(leaf.view(np.float64).tolist(), fill=tuple(tone.astype(int).tolist()))
    picture = picture.filter(ImageFilter.GaussianBlur(1.6))
    glow = Image.new("L", picture.size)
    draw = ImageDraw.Draw(glow)
    for x, y, r, strength in rng.uniform((0, 0, 1.5, 30), (CELLS, CELLS, 5, 90), (9, 4)):
        draw.ellipse((x - r, y - r, x + r, y + r), int(strength))
    picture.paste((255, 252, 224), (0, 0), glow.filter(ImageFilter.GaussianBlur(0.8)))
    return picture


def plain(rng: np.random.Generator) -> Image.Image:
    air, far, near = GROUNDS[rng.integers(len(GROUNDS))]
    horizon = rng.uniform(0.5, 0.66)
    paler = tuple(int(v + (255 - v) * 0.5) for v in air)
    picture = gradient(air, paler, far, near, stops=(0, horizon - 0.02, horizon + 0.02, 1))
    draw = ImageDraw.Draw(picture)
    for x, w, h in rng.uniform((0, 0.1, 0.02), (1, 0.4, 0.1), (4, 3)) * CELLS:  # bushes on the horizon
        tone = tuple(int(f * 0.8 + a * 0.2) for f, a in zip(far, air, strict=True))
        draw.ellipse((x - w, horizon * CELLS - h, x + w, horizon * CELLS + h), tone)
    for x, y, w, pick in rng.random((14, 4)):
        y = (horizon + 0.06 + y * (0.94 - horizon)) * CELLS
        tone = tuple(int(a + (b - a) * pick) for a, b in zip(far, near, strict=True))
        draw.ellipse((x * CELLS - 14 * w, y - 1, x * CELLS + 14 * w, y + 1), tone)
    return picture.filter(ImageFilter.GaussianBlur(1.3))


def leaf_shape(stem: complex, along: complex) -> ndarray:
    """A pointed leaf from its stem to `stem + along`."""
    return stem + along * spline(
        (0, 0.3 + 0.22j, 0.65 + 0.2j, 1, 0.65 - 0.2j, 0.3 - 0.22j), closed=True, steps=4
    )
