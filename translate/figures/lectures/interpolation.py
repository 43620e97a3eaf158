"""Between two codes lie digits; between two pictures lie double exposures.

A lecture's third row. Number: distance of the middle to the nearest training picture, for both.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import autoencoder, pictures, some
from translate.figures.plots import rows

WAY = 10


def draw(work: Work) -> Drawn:
    task, data = autoencoder("vae", work), pictures(work)
    x = some(pictures(work, split="test"), 80, seed=work.seed + 2)["image"]
    a, b = x[0::2], x[1::2]
    place = torch.linspace(0, 1, WAY)[None, :, None]
    with torch.no_grad():
        start, end = task.encode(a)[:, None], task.encode(b)[:, None]
        made = task.generate(noise=torch.lerp(start, end, place).flatten(0, 1)).unflatten(0, (len(a), WAY))
        middle = task.generate(noise=(start[:, 0] + end[:, 0]) / 2)
    blended = torch.lerp(a[:, None], b[:, None], place[..., None, None])
    known = some(data, min(len(data), 5000))["image"].flatten(1)
    near = {
        name: float(torch.cdist(m.flatten(1), known).min(1).values.mean())
        for name, m in (("codes", middle), ("pixels", (a + b) / 2))
    }
    shown = {"between codes": made[:3].flatten(0, 1), "between pixels": blended[:1].flatten(0, 1)}
    numbers = {f"middle's distance to the nearest training picture, between {k}": v for k, v in near.items()}
    return Drawn(rows(shown, WAY), numbers)
