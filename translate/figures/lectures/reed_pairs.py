"""What D is told: picture with its sentence, 1; with another's, 0; made picture with a sentence, 0.

Reed et al. 2016 (arXiv 1605.05396), algorithm 1; a lecture's (train, picture) and (cat, picture). GAN-CLS
learns on drawn birds; numbers are D's mean answers to the three kinds of pairs of them.
"""

import textwrap

import torch

import datasets
from translate.figures.lecture import Drawn, Work
from translate.figures.lectures import InMemory, some
from translate.figures.plots import pictures, sheet
from translate.training.lesson import Lesson


def draw(work: Work) -> Drawn:
    steps, size = work.of(1500, 80), 32 if work.budget > 0.2 else 16
    data = InMemory(datasets.load("captions", "birds", size=size), work.of(400, 8))
    lesson = Lesson.of(
        "gan_cls", data, size=size, steps=steps, seed=work.seed, batch_size=work.of(32, 8), channels=16,
        words=64, text_steps=steps // 4, text_rate=1e-3, smooth=0.9, learning_rate=5e-4,
    )  # fmt: skip
    lesson.learn(steps)
    task, batch = lesson.task, some(data, min(64, len(data)))
    e, wrong = task.sentences(list(batch["caption"])), task.sentences(list(batch["wrong"]))
    noise = torch.randn(len(e), *task.noise_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = task.paint(noise, e)
        pairs = {
            "its own sentence": (batch["image"], e), "another's": (batch["image"], wrong), "made": (made, e)
        }  # fmt: skip
        answers = {name: task.D.match(task.D(x), t).sigmoid() for name, (x, t) in pairs.items()}
    figure, panels = sheet(3, wide=2.9, high=3.9)
    words = {"its own sentence": "caption", "another's": "wrong", "made": "caption"}
    for panel, (name, (x, _)) in zip(panels, pairs.items(), strict=True):
        pictures(
            panel,
            x[:1],
            1,
            f"{name}:\nshould be {int(name == 'its own sentence')}, D says {answers[name].mean():.2f}",
        )
        sentence = str(batch[words[name]][0])
        lines = "\n".join(textwrap.wrap(sentence, 40, max_lines=3))
        panel.text(0.5, -0.04, lines, transform=panel.transAxes, ha="center", va="top", fontsize=7)
    return Drawn(figure, {f"D, {name}": float(answer.mean()) for name, answer in answers.items()})
