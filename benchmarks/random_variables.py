"""Figures of random variables made of uniform ones: `python -m benchmarks.random_variables`.

Writes `docs/random-inverse.png`, `-rejection.png` and `-metropolis.png`: samples in grey, the density in red.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

SIZE, LEFT, BELOW = (480, 320), 20, 40  # pixels


@dataclass(frozen=True, kw_only=True)
class Settings:
    samples: int = 20_000
    output: Path = Path(__file__).resolve().parent.parent / "docs"


class Plot:
    """A picture with an x axis from `low` to `high`."""

    def __init__(self, title: str, low: float, high: float, top: float, bottom: float = 0.0):
        from PIL import Image, ImageDraw, ImageFont

        self.picture = Image.new("RGB", SIZE, "white")
        self.pen, self.font = ImageDraw.Draw(self.picture), ImageFont.load_default(13)
        self.low, self.high, self.top, self.bottom = low, high, top, bottom
        self.pen.text((LEFT, 6), title, fill="black", font=self.font)
        for i in range(5):
            x = low + i * (high - low) / 4
            self.pen.text(
                (self.at(x, bottom)[0], SIZE[1] - BELOW + 8), f"{x:g}", "black", self.font, anchor="ma"
            )
        self.pen.line([self.at(low, bottom), self.at(high, bottom)], fill="black")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        width, height = SIZE[0] - 2 * LEFT, SIZE[1] - BELOW - 30
        return (
            LEFT + width * (x - self.low) / (self.high - self.low),
            30 + height * (self.top - y) / (self.top - self.bottom),
        )

    def histogram(self, samples, bins: int = 60) -> None:
        counts = samples.histc(bins, self.low, self.high) / len(samples) * bins / (self.high - self.low)
        for i, count in enumerate(counts.tolist()):
            x = [self.low + (i + k) * (self.high - self.low) / bins for k in (0, 1)]
            self.pen.rectangle([self.at(x[0], min(count, self.top)), self.at(x[1], 0)], fill="#b8b8b8")

    def curve(self, function) -> None:
        import torch

        xs = torch.linspace(self.low, self.high, 400, dtype=torch.float64)
        points = [self.at(x, y) for x, y in zip(xs.tolist(), function(xs).tolist(), strict=True)]
        self.pen.line(points, fill="#c00000", width=2)

    def points(self, samples, colour: str) -> None:
        for x, y in samples.tolist():
            px, py = self.at(x, y)
            self.pen.rectangle([px, py, px + 1, py + 1], fill=colour)


def inverse(n: int, generator) -> Plot:
    import torch

    from translate.random_variables import inverse_transform

    samples = inverse_transform(lambda u: -torch.log1p(-u), n, generator)
    plot = Plot("Inverse transform: x = -log(1 - u), u uniform, is exponential", 0, 6, 1.05)
    plot.histogram(samples)
    plot.curve(lambda x: (-x).exp())
    return plot


def rejected(n: int, generator) -> Plot:
    import torch

    from translate.random_variables import rejection

    def density(x):
        return (1 - x**2).clamp_min(0).sqrt()

    def propose(k, generator):
        return 2 * torch.rand(k, generator=generator, dtype=torch.float64) - 1

    samples, share = rejection(density, propose, lambda x: torch.full_like(x, 0.5), 2.0, n, generator)
    plot = Plot(f"Rejection: a half circle; {share:.1%} of uniform proposals kept (pi/4)", -1, 1, 0.75)
    plot.histogram(samples)
    plot.curve(lambda x: density(x) * 2 / math.pi)
    return plot


def walked(n: int, generator) -> Plot:
    import torch

    from translate.random_variables import metropolis_hastings

    def log_density(x):  # a ring of radius 1, as a lecture's z / 10 + z / |z| makes one
        return -0.5 * ((x.norm(dim=1) - 1) / 0.1).square()

    chain, share = metropolis_hastings(
        log_density, torch.zeros(20, 2, dtype=torch.float64), 100 + n // 100, 0.3, generator
    )
    plot = Plot(f"Metropolis-Hastings: a ring; {share:.0%} of moves made; one walk in red", -2, 2, 1.4, -1.4)
    plot.points(chain[100:].flatten(0, 1), "#909090")
    walk = [plot.at(*point) for point in chain[:60, 0].tolist()]
    plot.pen.line(walk, fill="#c00000", width=1)
    return plot


def main(settings: Settings) -> None:
    import torch

    for name, draw in {"inverse": inverse, "rejection": rejected, "metropolis": walked}.items():
        plot = draw(settings.samples, torch.Generator().manual_seed(0))
        path = settings.output / f"random-{name}.png"
        plot.picture.save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
