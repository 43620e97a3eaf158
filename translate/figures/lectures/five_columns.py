"""IMLE, GLO, GAN, GLANN, real: IMLE blurs, random points of GLO's sphere are no digits, GLANN's are.

Hoshen, Li & Malik 2019 (arXiv 1812.08985), figure 3. GAN and GLANN are the shipped digits-gan and
digits-glann; GLO is digits-glann's own G at random codes instead of at T(noise); IMLE learns here. Numbers:
how sure the shipped reader of MNIST is of what it reads, and how sharp the pictures are.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, some, z
from translate.figures.plots import pictures as shown
from translate.figures.plots import sheet
from translate.inference.catalog import HERE
from translate.inference.pipeline import Pipeline
from translate.metrics import reader
from translate.training.lesson import Lesson


def sharpness(x: torch.Tensor) -> float:
    """Mean squared Laplacian over the variance."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = torch.nn.functional.conv2d(x.mean(1, keepdim=True), kernel)
    return float(edges.square().mean() / x.var())


def draw(work: Work) -> Drawn:
    data, steps, n = pictures(work), work.of(1500, 12), work.of(500, 100)
    work.say("training IMLE")
    options = dict(
        size=SIZE,
        channels=16,
        latent=32,
        batch_size=work.of(64, 8),
        candidates=work.of(10),
        data=work.data,
        flip=False,
    )
    imle = Lesson.of("imle", data, steps=steps, seed=work.seed, **options)
    imle.learn(steps)
    glann, gan = (Pipeline.from_pretrained(f"digits-{name}", "cpu", "fp32").task for name in ("glann", "gan"))
    codes = torch.randn(n, glann.config.latent, generator=torch.Generator().manual_seed(work.seed))
    with torch.no_grad():
        columns = {
            "IMLE": imle.task.generate(z(imle.task, n)), "GLO": glann.G(glann.projected(codes)),
            "GAN": gan.generate(z(gan, n)), "GLANN": glann.generate(z(glann, n)),
            "real": some(data, n)["image"],
        }  # fmt: skip
        judge = reader.load(HERE / "pretrained" / "readers" / "lenet-mnist.safetensors")
        figure, panels = sheet(5, wide=1.6, high=3.3)
        numbers: dict[str, float] = {}
        for panel, (name, made) in zip(panels, columns.items(), strict=True):
            shown(panel, made[:32], 4, name)
            sure = next(iter(judge(made).values())).softmax(1).amax(1)
            numbers |= {f"reader is sure, {name}": float(sure.mean()), f"sharpness, {name}": sharpness(made)}
    return Drawn(figure, numbers)
