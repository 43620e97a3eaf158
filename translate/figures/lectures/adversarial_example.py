"""A small change along the sign of the gradient, hardly seen, and a network reads another digit.

Goodfellow et al. 2015 (arXiv 1412.6572), eq. 4: x + ε sign(∇ₓ L(x, y)), as a lecture's panda and gibbon;
why a mapping that must only please a fixed D learns no pictures. The network is the shipped reader of MNIST;
the same change in a random direction is beside it.
"""

import torch
import torch.nn.functional as F

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import pictures, some
from translate.figures.plots import rows
from translate.inference.catalog import HERE
from translate.metrics import reader

EPSILON = 0.4  # of values in [-1, 1]: a fifth of the way from black to white


def draw(work: Work) -> Drawn:
    batch = some(pictures(work, "labels", "test"), work.of(1000, 150), seed=work.seed)
    net = reader.load(HERE / "pretrained" / "readers" / "lenet-mnist.safetensors")

    def answers(x: torch.Tensor) -> torch.Tensor:
        return next(iter(net(x).values()))

    right = answers(batch["image"]).argmax(1) == batch["label"]
    x, y = batch["image"][right].clone().requires_grad_(), batch["label"][right]
    (gradient,) = torch.autograd.grad(F.cross_entropy(answers(x), y), x)
    generator = torch.Generator().manual_seed(work.seed)
    signs = torch.rand(x.shape, generator=generator).sub(0.5).sign()
    with torch.no_grad():
        moved = {
            "": x,
            "random signs": x + EPSILON * signs,
            "gradient's signs": x + EPSILON * gradient.sign(),
        }
        moved = {name: other.clamp(-1, 1) for name, other in moved.items()}
        read = {name: answers(other) for name, other in moved.items()}
    fooled = read["gradient's signs"].argmax(1) != y
    chosen = torch.cat([fooled.nonzero()[:, 0], (~fooled).nonzero()[:, 0]])[:10]
    shown = {}
    for name, other in moved.items():
        predicted = " ".join(str(int(i)) for i in read[name].argmax(1)[chosen])
        shown[f"{name and f'with {name}, '}read as {predicted}"] = other[chosen]
    numbers = {"unchanged pictures among those tried that are read right": float(right.float().mean())}
    for name in ("random signs", "gradient's signs"):
        numbers[f"still read right with {name}"] = float((read[name].argmax(1) == y).float().mean())
    return Drawn(rows(shown, len(chosen)), numbers)
