"""Noise that gives good pictures, for `--anchors` of a trained DF-GAN.

    python -m recipes.good_noise --model runs/birds --data cub_birds.zip --output runs/birds-anchored

Which noise gives pictures that look like photographs, whatever the caption? A logistic regression tells
photographs from the model's own pictures by what EfficientNet-lite0 sees of them (the network through which a
projected discriminator looks, too; no network that scores the model). Its log-odds rate pictures of some
captions for each of `tries` noises: all of them for a few captions, the better half for more. The best are
written into a copy of the model, whose noise is drawn near them (`models/common/anchors.py`).
"""

import dataclasses
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from translate.config import UserError

BATCH = 32
FIRST, THEN = 3, 5  # captions for all, and more for the better half


@dataclass(frozen=True, kw_only=True)
class Settings:
    model: str  # name or folder of a model of captions that has the setting `anchors`
    data: str  # what it was trained on
    output: Path  # folder for the copy
    anchors: int = 64  # noises to keep
    spread: float = 0.3  # how far from them noise is drawn, 0 to 1
    tries: int = 512  # noises to rate
    pictures: int = 2000  # of the model, that photographs are told from
    seed: int = 0


def batched(values: Iterable) -> Iterator[list]:
    """Lists of BATCH values; of fewer at the end."""
    values = iter(values)
    return iter(lambda: list(islice(values, BATCH)), [])


def separated(real, made, weight: float = 10.0):
    """Slopes [D] and offset of a logistic regression: features [N, D] of photographs against [M, D] of made
    pictures.

    Both classes weigh the same. weight: of the squared slopes, of standardised features; heavy, as there are
    about as many features as pictures. The result is for features as they are.
    """
    import torch
    import torch.nn.functional as F

    mean, scale = real.mean(0), real.std(0) + 1e-3
    right, false = (real - mean) / scale, (made - mean) / scale
    slopes, offset = (real.new_zeros(n).requires_grad_() for n in (real.shape[1], 1))
    solver = torch.optim.LBFGS([slopes, offset], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        solver.zero_grad()
        fits = F.softplus(-(right @ slopes + offset)).mean() + F.softplus(false @ slopes + offset).mean()
        total = fits + weight * slopes.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        solver.step(loss)
    slopes = slopes.detach() / scale
    return slopes, offset.detach() - slopes @ mean


def best(rate, z, captions: list[str], count: int):
    """The `count` rows of noise [N, *noise_shape] with the best mean of `rate(z, caption)` [N], best first.

    FIRST captions for all of them, THEN more for the better half. Also returned: how well the ratings of the
    better half by the first captions foretell those by the others (their correlation).
    """
    import torch
    from tqdm import tqdm

    few, more = captions[:FIRST], captions[FIRST:]
    first = torch.stack([rate(z, caption) for caption in tqdm(few, unit=" captions")]).mean(0)
    half = first.argsort(descending=True)[: max(count, len(z) // 2)]
    then = torch.stack([rate(z[half], caption) for caption in tqdm(more, unit=" captions")]).mean(0)
    both = len(few) * first[half] + len(more) * then
    foretold = float(torch.corrcoef(torch.stack([first[half], then]))[0, 1])
    return z[half[both.argsort(descending=True)[:count]]], foretold


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch
    from tqdm import tqdm

    import datasets
    from models.common.features import EfficientNetLite
    from translate.inference.catalog import locate
    from translate.training import checkpoint

    folder = locate(settings.model)
    task, facts = checkpoint.read_model(folder), checkpoint.read_config(folder)[3]
    if not hasattr(task.config, "anchors"):
        raise UserError(f"{settings.model} has no setting `anchors`; models of --task df_gan have")
    net = EfficientNetLite("lite0", "recipes.good_noise", "training")
    generator = torch.Generator().manual_seed(settings.seed)
    options = dict(size=task.config.size, resize="resize", flip=False)
    data = datasets.load("captions", settings.data, **options)

    @torch.inference_mode()
    def seen(pictures):
        return torch.cat([net(x, (2,), last=True)[-1].mean((2, 3)) for x in pictures.split(BATCH)])

    @torch.inference_mode()
    def painted(z, captions: list[str]):
        return seen(task.paint(z, task.sentences(captions)))

    @torch.inference_mode()
    def rate(z, caption: str):
        found = [painted(part, [caption] * len(part)) @ slopes + offset for part in z.split(BATCH)]
        return torch.cat(found)

    def some(count: int) -> list[str]:
        """Captions of the training part, each of another picture."""
        chosen = torch.randint(len(data), (count,), generator=generator).tolist()
        return [data.sample(i, generator)["caption"] for i in chosen]

    samples = (data.sample(i, generator) for i in tqdm(range(len(data)), unit=" photographs"))
    real = torch.cat([seen(torch.stack(part)) for part in batched(s["image"] for s in samples)])
    made = []
    for part in batched(tqdm(some(settings.pictures), unit=" pictures")):
        made.append(painted(torch.randn(len(part), *task.noise_shape, generator=generator), part))
    slopes, offset = separated(real, torch.cat(made))
    z = torch.randn(settings.tries, *task.noise_shape, generator=generator)
    z, foretold = best(rate, z, some(FIRST + THEN), settings.anchors)
    print(f"ratings by some captions and by others: correlation {foretold:.2f}")
    config = dataclasses.replace(task.config, anchors=settings.anchors, spread=settings.spread)
    anchored = type(task)(config, task.info)
    anchored.load_state_dict(task.state_dict(), strict=False)
    anchored.anchors.noise.copy_(z)
    checkpoint.write_model(settings.output, anchored.eval(), facts["steps"], facts["images"], torch.float16)
    print(f"{settings.output}: noise near {settings.anchors} of {settings.tries}")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
