"""Batch norm in G lets the rest of a batch change a picture; reference and virtual batch norm do not.

Goodfellow 2016 (arXiv 1701.00160), section 4.3, a lecture's "strong intra-batch correlation". Each row is a
DCGAN's G in training with one norm; the same z in every column, each time in another batch, whose other z are
all near one. Number: the deviation of the pixels of one picture over those batches.
"""

import torch

from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import SIZE, pictures, z
from translate.figures.plots import rows
from translate.training.lesson import Lesson

NORMS, ACROSS, BATCH = ("batch", "reference", "virtual"), 10, 16


def draw(work: Work) -> Drawn:
    data, steps = pictures(work), work.of(600, 12)
    shown, numbers = {}, {}
    for norm in NORMS:
        work.say(f"training G with {norm} norm")
        lesson = Lesson.of(
            "dcgan", data, data=work.data, size=SIZE, channels=work.of(16, 8), latent=32, batch_size=BATCH,
            flip=False, norm_g=norm, steps=steps, seed=work.seed, learning_rate=5e-4,
        )  # fmt: skip
        lesson.learn(steps)
        G, mine = lesson.task.train().G, z(lesson.task, 1, 3)
        found = []
        with torch.no_grad():
            for number in range(ACROSS):
                others = z(lesson.task, 1, 10 + number) + 0.1 * z(lesson.task, BATCH - 1, 4)
                found.append(G(torch.cat([mine, others]))[0])
        shown[f"{norm} norm: the same z in {ACROSS} batches"] = made = torch.stack(found)
        numbers[f"deviation of the same picture, {norm} norm"] = float(made.std(0).mean())
    return Drawn(rows(shown, ACROSS), numbers)
