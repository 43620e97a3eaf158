"""A fixed function makes a ring of a Gaussian: z/10 + z/|z|; a generator is such a function, learned.

Doersch 2016 (arXiv 1606.05908), figure 2.
"""

import torch

from datasets import points
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import DATA, MADE, cloud, sheet, titled


def draw(work: Work) -> Drawn:
    n = work.of(2000, 200)
    z = torch.randn(n, 2, generator=torch.Generator().manual_seed(work.seed))
    ring, _ = points.draw("ring-map", n, work.seed)
    figure, panels = sheet(2)
    for panel, shown, colour in zip(panels, (z, ring), (DATA, MADE), strict=True):
        cloud(panel, shown, colour)
        panel.set_aspect("equal")
        panel.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3))
    titled(panels[0], "z ~ N(0, I)")
    titled(panels[1], "z/10 + z/|z|")
    radius = ring.norm(dim=1)
    return Drawn(figure, {"least radius": float(radius.min()), "mean radius": float(radius.mean())})
