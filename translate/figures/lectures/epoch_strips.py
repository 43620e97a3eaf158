"""What a GAN draws of the same noise as it learns, and how far its pictures are from the data.

A lecture's rows for 20 to 2000 epochs. Distance: MMD of 256 pictures to 256 of the data, in pixels.
"""

import torch

from models.common import mmd
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, some, z
from translate.figures.plots import rows
from translate.training.lesson import Lesson


def apart(made: torch.Tensor, real: torch.Tensor) -> float:
    """MMD² with kernels as wide as half, one and two times the data's own distances."""
    made, real = made.flatten(1), real.flatten(1)
    typical = float(mmd.squared_distances(real, real).median())
    return float(mmd.mmd2(made, real, mmd.rbf([typical * s / 2 for s in (0.5, 1.0, 2.0)])))


def draw(work: Work) -> Drawn:
    data, steps = pictures(work), work.of(1200, 40)
    options = dict(size=SIZE, channels=16, latent=32, batch_size=work.of(64, 16), data=work.data, flip=False)
    lesson = Lesson.of("dcgan", data, steps=steps, seed=work.seed, ema=0.99, **options)
    noise, many, real = z(lesson.task, 10, 3), z(lesson.task, 256, 4), some(data, 256)["image"]
    shown, numbers = {}, {}
    for share in (0.0, 0.05, 0.15, 0.4, 1.0):
        lesson.learn(round(share * steps) - lesson.t)
        with torch.no_grad(), lesson.task.using_average():
            shown[f"update {lesson.t:,}"] = lesson.task.generate(noise)
            numbers[f"MMD² to the data, update {lesson.t}"] = apart(lesson.task.generate(many), real)
    return Drawn(rows(shown, 10), numbers)
