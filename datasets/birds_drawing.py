"""Draws one bird, part by part, in soft colour or in ink.

A bird is laid out looking right, y up, its body two units long around 0, and then placed on the picture.
"""

import cmath
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy import ndarray

from datasets.birds_painter import BARK, INK, Painter, backdrop, circle, ribbon, smooth, spline

if TYPE_CHECKING:
    from datasets.birds import Bird

PALETTE = {
    "black": (44, 41, 47),
    "white": (247, 245, 240),
    "grey": (143, 147, 154),
    "brown": (122, 77, 45),
    "red": (208, 40, 40),
    "orange": (244, 134, 28),
    "yellow": (252, 214, 48),
    "green": (62, 152, 66),
    "blue": (46, 106, 208),
    "purple": (126, 62, 170),
    "pink": (247, 150, 188),
}

SPOTS = (  # on the wing: along it, across it
    (0.14, 0.35), (0.16, 0.7), (0.27, 0.2), (0.29, 0.52), (0.3, 0.84), (0.42, 0.35), (0.44, 0.7),
    (0.55, 0.2), (0.57, 0.52), (0.58, 0.84), (0.7, 0.36), (0.72, 0.7), (0.84, 0.5),
)  # fmt: skip


class Build(NamedTuple):
    """What size changes beside the scale: little birds are all head, big ones have a neck."""

    unit: float  # half the body's length, as a share of the picture
    head: float
    neck: float
    plump: float
    eye: float


BUILDS = {
    "small": Build(0.150, 0.56, 0.02, 1.10, 0.125),
    "medium": Build(0.185, 0.47, 0.16, 1.00, 0.100),
    "large": Build(0.215, 0.39, 0.44, 0.95, 0.080),
}


class Figure(NamedTuple):
    """The lines of a bird, in units of half its body's length."""

    body: ndarray
    crown: ndarray
    belly: ndarray
    tail: list[ndarray]
    upper: ndarray  # of the wing, shoulder to tip
    lower: ndarray
    beak: list[ndarray]
    eye: complex
    feet: tuple[complex, complex]
    hips: tuple[complex, complex]
    feathers: ndarray


def figure(bird: "Bird", rng: np.random.Generator) -> Figure:
    build = BUILDS[bird.size]
    turn = cmath.exp(1j * bird.tilt)
    look = cmath.exp(1j * bird.look)
    r = build.head
    centre = turn * (0.80 + 0.32j) + build.neck * cmath.exp(1j * (bird.tilt + 0.9))

    def head(*points: complex) -> ndarray:
        return centre + r * look * np.array(points)

    def trunk(*points: complex) -> ndarray:
        p = np.array(points)
        return turn * (p.real + 1j * p.imag * build.plump)

    def polar(degrees: float, radius: float = 1.0) -> complex:
        return cmath.rect(radius, math.radians(degrees))

    crest = bird.crest
    top = head(
        polar(20), polar(58, 1.02), polar(95, 1.03), polar(132, 1.02 + crest), polar(165, 1 + 0.2 * crest)
    )
    back = trunk(0.42 + 0.60j, -0.05 + 0.62j, -0.60 + 0.42j, -1.0 + 0.16j)
    under = trunk(-1.02 - 0.06j, -0.66 - 0.36j, -0.15 - 0.62j, 0.42 - 0.62j, 0.86 - 0.30j)
    throat = head(polar(-88, 1.0), polar(-48, 0.98), polar(-12, 0.97))
    body = spline(np.concatenate((top, back, under, throat)), closed=True)

    brow = head(1.3 + 0.02j, 0.8 + 0.08j, 0.34 + 0.26j, -0.25 + 0.16j, -0.7 - 0.12j, -1.25 - 0.15j)
    crown = np.concatenate((spline(brow, steps=4), head(-2 + 0.5j, -1 + 2.2j, 1 + 2j, 2 + 0.5j)))
    chin = head(1.4 - 0.16j, 0.75 - 0.22j, 0.15 - 0.55j, -0.3 - 0.95j)
    bib = np.concatenate((chin, trunk(0.25 + 0.02j, -0.4 - 0.18j, -0.9 - 0.12j, -1.3 - 0.2j)))
    belly = np.concatenate((spline(bib, steps=4), trunk(-1.4 - 1.2j, 0.6 - 1.6j, 2 - 0.6j), head(2 - 1.5j)))

    root = trunk(-0.88 + 0.04j)[0]
    tail = []
    spread = np.linspace(-1, 1, 4)
    for k in spread[np.argsort(-np.abs(spread))]:
        aim = -turn * cmath.exp(1j * (bird.tail_angle + 0.10 * k))
        long = 1.05 + 0.12 * (1 - k * k) * bird.tail_shape
        blade = (0.1j, 0.5 + 0.12j, 0.88 + 0.115j, 1.0, 0.88 - 0.115j, 0.5 - 0.12j, -0.1j)
        feather = spline(blade, closed=True, steps=5)
        tail.append(root + aim * (feather.real * long + 1j * feather.imag))

    droop = cmath.exp(1j * bird.wing_lift)
    shoulder = 0.60 + 0.16j

    def wing(*points: complex) -> ndarray:
        p = np.array(points)
        return turn * (shoulder + droop * (p - shoulder))

    upper = spline(wing(shoulder, 0.38 + 0.36j, -0.1 + 0.40j, -0.7 + 0.24j, -1.42 - 0.06j))
    lower = spline(wing(shoulder, 0.50 - 0.12j, 0.08 - 0.32j, -0.55 - 0.26j, -1.42 - 0.06j))

    front = 0.93  # where the beak begins, in head radii
    beaks = {
        "short": ((0, 0.26 + 0.02j, 0.52 - 0.12j), (0.52 - 0.12j, 0.24 - 0.24j, 0 - 0.22j)),
        "pointed": ((0, 0.5 - 0.02j, 1.05 - 0.14j), (1.05 - 0.14j, 0.5 - 0.2j, 0 - 0.2j)),
        "long": ((0, 0.9 - 0.02j, 1.9 - 0.18j), (1.9 - 0.18j, 0.9 - 0.14j, 0 - 0.18j)),
        "hooked": (
            (0, 0.34 + 0.08j, 0.70 - 0.06j, 0.74 - 0.42j),
            (0.74 - 0.42j, 0.56 - 0.2j, 0.3 - 0.18j, 0 - 0.16j),
        ),
    }
    up, low = beaks[bird.beak_shape]  # upper and lower edge of the upper bill, in head radii
    bill_top = np.concatenate((spline(up, steps=6), spline(low, steps=6)[1:]))
    ends = {"short": 0.42 - 0.2j, "pointed": 0.86 - 0.2j, "long": 1.6 - 0.24j, "hooked": 0.52 - 0.26j}
    end = ends[bird.beak_shape]
    bill_low = spline((0 - 0.12j, end.real * 0.6 - 0.16j, end, end.real * 0.45 - 0.36j, 0 - 0.34j), steps=6)
    beak = [centre + r * look * (front - 0.12 + 0.12j + b) for b in (bill_low, bill_top)]

    hips = trunk(-0.02 - 0.5j, -0.24 - 0.48j)
    leg = 0.42 if bird.background != "ground" else 0.6
    ground = min(hips.imag) - leg
    feet = np.array([hips[0].real + 0.1 + 1j * ground, hips[1].real + 0.02 + 1j * ground])

    u, v = np.meshgrid(np.arange(-0.8, 0.95, 0.17), np.arange(-0.5, 0.62, 0.14))
    u = u + 0.085 * (np.arange(len(u)) % 2)[:, None]
    spots = (u + 1j * v).ravel() + 0.03 * (rng.standard_normal(u.size) + 1j * rng.standard_normal(u.size))
    arc = np.array((0.05 + 0.055j, -0.02 + 0.045j, -0.05, -0.02 - 0.045j, 0.05 - 0.055j))
    feathers = ribbon(trunk(*spots)[:, None] + turn * arc, 0.022, 0.2)
    eye = head(0.34 + 0.14j)[0]
    return Figure(body, crown, belly, tail, upper, lower, beak, eye, tuple(feet), tuple(hips), feathers)


def draw(bird: "Bird", size: int, style: str = "colour") -> ndarray:
    """The bird's picture, uint8 [size, size, 3]: in `colour` on a background, or as `ink` lines on white."""
    ink = style == "ink"
    rng = np.random.default_rng((2017, bird.index))
    build = BUILDS[bird.size]
    fig = figure(bird, rng)
    paint = backdrop(bird.background, rng, size)
    if ink:
        paint = np.full((size, size, 3), 255, np.float32)
    painter = Painter(paint, ink)
    jitter = rng.uniform(-1, 1, (12, 3))
    parts = ("crown", "back", "belly", "wing", "tail", "beak")
    # No two birds are of the same red: up to 7 grey levels per channel, the same for equally named parts.
    shift = dict(zip(PALETTE, jitter * 7, strict=False))
    named = {part: getattr(bird, part) for part in parts}
    tone = {part: np.array(PALETTE[colour], np.float32) + shift[colour] for part, colour in named.items()}

    everything = np.concatenate((fig.body, *fig.tail, *fig.beak, np.array(fig.feet)))
    width, height = np.ptp(everything.real), np.ptp(everything.imag)
    unit = min(build.unit, 0.92 / width, 0.84 / height)
    side = -1 if bird.facing == "left" else 1
    middle = (everything.real.min() + everything.real.max()) / 2
    lowest = fig.feet[0].imag
    free = (1 - unit * width) / 2 - 0.03
    x = 0.5 + bird.x * max(free, 0) * 0.7
    high = unit * (everything.imag.max() - lowest)
    below = unit * max(lowest - everything.imag.min(), 0)
    floor = np.clip(0.5 + high * 0.5 + 0.1 + bird.y * 0.05, high + 0.04, 0.96 - below)

    def place(z: ndarray) -> ndarray:
        return x + side * unit * (np.real(z) - middle) + 1j * (floor - unit * (np.imag(z) - lowest))

    line = 0.011 if ink else 0.009
    perch(painter, bird, rng, place(np.array(fig.feet)), unit, line)
    body = place(fig.body)
    wing_points = place(np.concatenate((fig.upper, fig.lower[::-1])))
    if not ink:
        halo = painter.box(body, wing_points, *map(place, fig.tail), margin=0.08)
        mask = smooth(painter.cover(halo, body, wing_points, *map(place, fig.tail)), 0.03 * size)
        painter.lay(halo, mask * 0.28, painter.paint[halo] * 0.55)
    legs(painter, fig, place, unit, line)
    for i, feather in enumerate(fig.tail):
        painter.part(place(feather), tone["tail"] * (0.92 + 0.04 * (i % 2)), line)
    for i, b in enumerate(fig.beak):
        painter.part(place(b), tone["beak"] * (0.86 if i == 0 else 1), line)
    paint_body(painter, fig, place, tone, unit, line)
    paint_wing(painter, bird, fig, place, tone["wing"], unit, line)
    paint_eye(painter, fig, place, build.eye * unit, side, line)
    return np.rint(painter.paint).clip(0, 255).astype(np.uint8)


def perch(painter, bird, rng, feet, unit, line):
    y = feet[0].imag
    if bird.background == "ground":
        if not painter.ink:
            pool = (-0.3, -0.1 - 0.02j, 0.2 - 0.02j, 0.32, 0.1 + 0.025j, -0.2 + 0.02j)
            shadow = feet.mean() + 0.02j + spline(pool, closed=True) * unit * 5
            box = painter.box(shadow, margin=0.05)
            painter.lay(
                box, smooth(painter.cover(box, shadow), 0.02 * painter.size) * 0.35, np.array((70, 60, 60))
            )
        return
    slope = bird.slope
    xs = np.linspace(-0.1, 1.1, 9)
    wobble = rng.uniform(-0.012, 0.012, 9)
    away = xs - feet[0].real
    branch = spline(xs + 1j * (y + 0.022 + slope * away + wobble * np.minimum(np.abs(away) * 4, 1)))
    painter.part(ribbon(branch, 0.05), BARK, line)
    if not painter.ink:
        painter.fill(BARK * 1.35, ribbon(branch - 0.012j, 0.012, 0.3), alpha=0.7)


def legs(painter, fig, place, unit, line):
    tone = np.array((96, 76, 66), np.float32)
    for hip, foot in zip(fig.hips, fig.feet, strict=True):
        shin = place(np.array((hip, (hip + foot) / 2 - 0.06, foot)))
        bends = [spline((0, 0.12 * d + 0.04j, 0.26 * d - 0.08j), steps=4) for d in (1, 0.55, -0.8)]
        toes = [place(foot + 0.04j + bend) for bend in bends]
        shapes = [ribbon(spline(shin), 0.055 * unit)] + [ribbon(t, 0.05 * unit, 0.5) for t in toes]
        painter.fill(INK if painter.ink else tone, *shapes)


def paint_body(painter, fig, place, tone, unit, line):
    body = place(fig.body)
    edge = ribbon(body, line)
    box = painter.box(edge)
    alpha = painter.cover(box, body, edge)
    belly = painter.cover(box, place(fig.belly))
    crown = painter.cover(box, place(fig.crown))
    if painter.ink:
        painter.lay(box, alpha, painter.drawn(np.zeros((*alpha.shape[:2], 3)), painter.cover(box, edge)))
        return
    belly = smooth(belly, 0.04 * unit * painter.size * 3)
    crown = smooth(crown, 0.02 * unit * painter.size * 2)
    layer = tone["back"] + belly * (tone["belly"] - tone["back"])
    layer = layer + crown * (tone["crown"] - layer)
    texture = painter.cover(box, *[place(f) for f in fig.feathers])
    layer = painter.drawn(layer, texture * 0.35 * (1 - crown))
    layer = shaded(layer, alpha, 0.22 * unit * painter.size)
    layer = painter.drawn(layer, painter.cover(box, edge) * 0.9)
    painter.lay(box, alpha, layer)


def shaded(layer, alpha, radius):
    depth = smooth(alpha, radius)
    up, left = np.gradient(depth[..., 0])
    relief = ((up * 1.0 + left * 0.45) * radius * 2.2)[..., None]
    light, dark = relief.clip(0, 1), (-relief).clip(0, 1)
    layer = layer + (255 - layer) * light * 0.32
    return layer * (1 - 0.38 * dark)


def paint_wing(painter, bird, fig, place, tone, unit, line):
    upper, lower = place(fig.upper), place(fig.lower)

    def at(u, v):
        i = np.clip(u, 0, 1) * (len(upper) - 1)
        grid = np.arange(len(upper))
        up = np.interp(i, grid, upper.real) + 1j * np.interp(i, grid, upper.imag)
        low = np.interp(i, grid, lower.real) + 1j * np.interp(i, grid, lower.imag)
        return up + v * (low - up)

    shape = np.concatenate((upper, lower[-2:0:-1]))
    edge = ribbon(np.append(shape, shape[:1]), line)
    box = painter.box(edge)
    alpha = painter.cover(box, shape, edge)
    t = np.linspace(0, 1, 25)
    lines = []
    for v in (0.2, 0.36, 0.52, 0.68, 0.84):
        u = 0.42 + 0.1 * (1 - v) + (0.95 - 0.42 - 0.08 * (1 - v)) * t
        lines.append(ribbon(at(u, v + 0 * t), line * 0.7, 0.3))
    for u0, n in ((0.2, 3), (0.4, 4)):
        lines.append(ribbon(at(u0 + 0.07 * np.abs(np.sin(math.pi * n * t)) ** 0.7, t), line * 0.7, 0.6))
    strokes = painter.cover(box, *lines)
    rim = painter.cover(box, edge)
    marks = np.zeros_like(alpha)
    if bird.wing_pattern == "striped":
        bars = []
        for u0 in (0.16, 0.34, 0.52, 0.70):
            b = at(u0 + 0.05 * np.sin(math.pi * t), t)
            e = at(u0 + 0.085 + 0.05 * np.sin(math.pi * t), t)
            bars.append(np.concatenate((b, e[::-1])))
        marks = painter.cover(box, *bars)
    elif bird.wing_pattern == "spotted":
        marks = painter.cover(box, *[circle(at(u, v), 0.07 * unit, 12) for u, v in SPOTS])
    if painter.ink:
        lines = np.maximum(np.maximum(strokes, rim), marks)
        painter.lay(box, alpha, painter.drawn(np.zeros((*alpha.shape[:2], 3)), lines))
        return
    mark = np.array(PALETTE["white"] if tone.mean() < 175 else PALETTE["black"], np.float32)
    shadow = smooth(alpha, 0.05 * unit * painter.size * 2)
    drop = np.roll(shadow, max(int(0.08 * unit * painter.size), 1), 0)
    painter.lay(box, drop * 0.35, painter.paint[box] * 0.6)
    layer = np.broadcast_to(tone, (*alpha.shape[:2], 3))
    layer = layer + marks * (mark - layer)
    layer = painter.drawn(layer, strokes * 0.55)
    layer = shaded(layer, alpha, 0.14 * unit * painter.size)
    layer = painter.drawn(layer, rim)
    painter.lay(box, alpha, layer)


def paint_eye(painter, fig, place, radius, side, line):
    eye = place(np.array([fig.eye]))[0]
    if painter.ink:
        painter.fill(np.full(3, 255.0), circle(eye, radius * 1.4))
        painter.fill(INK, circle(eye, radius * 1.15))
    else:
        painter.fill(np.array((238, 226, 206)), circle(eye, radius * 1.35))
        painter.fill(np.array((84, 50, 34)), circle(eye, radius * 1.12))
        painter.fill(np.array((20, 16, 20)), circle(eye, radius * 0.85))
    painter.fill(np.full(3, 255.0), circle(eye + radius * (0.3 - 0.4j), radius * 0.36))
