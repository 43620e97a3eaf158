"""Where the future is uncertain, squares blur it; an adversary decides for one (Mathieu et al. 2016).

From one frame of moving digits nobody can say where they are three frames later. The mean over all ways has
the least squared error, and is a blur; a D that sees both frames takes no blur for true. So PSNR is higher
with squares, sharpness with D.
"""

import torch

import datasets
from datasets.base import Dataset
from translate.figures.lecture import Drawn, Work
from translate.figures.plots import rows
from translate.metrics.next_frames import scores
from translate.training.lesson import Lesson
from translate.training.stream import collate

SIZE, AHEAD, SHOWN = 32, 3, 10
WAYS = {
    "squares": dict(lambda_adv=0.0, lambda_gdl=0.0),
    "the adversary": dict(lambda_adv=1.0, lambda_lp=0.2, lambda_gdl=0.2),
}


class Later(Dataset):
    """Of films, the first frame and the last one alone."""

    def __init__(self, data):
        self.data, self.info = data, data.info

    def sample(self, index: int, generator: torch.Generator) -> dict:
        sample = self.data.sample(index, generator)
        return sample | {"frames": sample["frames"][[0, -1]]}


def draw(work: Work) -> Drawn:
    film = dict(size=SIZE, length=1 + AHEAD)
    data, test = (Later(datasets.load("frames", "moving-digits", split=s, **film)) for s in ("train", "test"))
    frames = collate([test.sample(i, torch.Generator()) for i in range(work.of(200, 40))])["frames"]
    given, real = frames[:, :1], frames[:, 1]
    shown = {"the frame": given[:, 0], f"{AHEAD} frames later": real}
    numbers = {"PSNR, the frame copied": scores(given[:, 0], real)["PSNR"]}
    for name, weights in WAYS.items():
        work.say(f"training by {name}")
        options = dict(channels=8, batch_size=8, learning_rate=1e-3, data="moving-digits", seed=work.seed)
        steps = work.of(800, 10)
        lesson = Lesson.of("next_frame", data, steps=steps, size=SIZE, length=2, **options, **weights)
        lesson.learn(steps)
        with torch.no_grad():
            shown[f"by {name}"] = made = lesson.task.generate(given)
        found = scores(made, real)
        numbers |= {f"{score}, {name}": found[score] for score in ("PSNR", "sharpness")}
    return Drawn(rows({title: many[:SHOWN] for title, many in shown.items()}, SHOWN), numbers)
