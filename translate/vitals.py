"""What the doctor measures: what passes through a game, how weights move, what pictures look like."""

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translate.task import Task
from translate.training.stream import collate

Evidence = dict[str, float]
BLIND = {"minimax": 2 * math.log(2), "non-saturating": 2 * math.log(2), "least-squares": 1.0, "hinge": 2.0}


@dataclass
class Vitals:
    """What was measured at one check. Of quantities that a method has not, None or nothing."""

    t: int
    logs: dict[str, float] = field(default_factory=dict)  # means since the last check
    norms: dict[str, float] = field(default_factory=dict)  # largest gradient norms since then
    moved: dict[str, float] = field(default_factory=dict)  # |Δw| / |w| an update, by network
    game: str = ""
    rank: float | None = None  # how often D rates a real picture above a made one
    loss_D: float | None = None  # over its value where D answers 0 to everything
    fool: float | None = None  # loss of G in the game
    pull: float | None = None  # E |∂ loss of G / ∂ D's answer|, 1 at most
    moments: float | None = None  # |μ - μ'|² + |σ - σ'|² of made and real pictures at 8 x 8
    samples: Evidence = field(default_factory=dict)  # of pictures made for the purpose
    begins: int = 0  # the update from which all that is exported learns

    @property
    def age(self) -> int:
        """Updates of what makes the pictures."""
        return self.t - self.begins


class Ear:
    """Stands for a task's game and hears what passes through it; all else is the game's."""

    def __init__(self, game: Any, alone: bool = True):
        """alone: D sees nothing but the picture, so that it can be asked about others."""
        self.game, self.alone = game, alone
        self.forget()

    def forget(self) -> None:
        self.ranks: deque[Tensor] = deque(maxlen=64)
        self.losses: deque[Tensor] = deque(maxlen=64)
        self.fools: deque[Tensor] = deque(maxlen=64)
        self.pulls: deque[Tensor] = deque(maxlen=64)
        self.made: Tensor | None = None
        self.real: Tensor | None = None
        self.D: Any = None

    def discriminate(self, real: Tensor, fake: Tensor, *more: Any, **given: Any) -> Tensor:
        loss = heard = self.game.discriminate(real, fake, *more, **given)
        if given.get("mismatched") is not None:  # what D says of a real picture depends on its caption, too
            heard = 2 * self.game.as_fake(fake.detach()).mean()
        a, b = (x.detach().float().reshape(len(x), -1).mean(1) for x in (real, fake))
        above = (a[:, None] > b[None]).float() + 0.5 * (a[:, None] == b[None]).float()
        self.ranks.append(above.mean())
        self.losses.append(heard.detach())
        return loss

    def fool(self, D, fake: Tensor, real: Tensor) -> Tensor:
        def heard(x: Tensor) -> Tensor:
            answer = D(x)
            if x is fake:
                self.pulls.append(self.pull(answer.detach().float()))
            return answer

        loss = self.game.fool(heard, fake, real)
        self.fools.append(loss.detach())
        self.made, self.real, self.D = fake.detach(), real.detach(), D if self.alone else None
        return loss

    def pull(self, s: Tensor) -> Tensor:
        """E |∂ loss of G / ∂ D's answer s|, at most about 1."""
        slope = {
            "minimax": s.sigmoid(), "non-saturating": (-s).sigmoid(), "least-squares": (2 * (s - 1)).abs(),
        }.get(self.name, torch.ones_like(s))  # fmt: skip
        return slope.mean()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "game":  # of an ear that is just being copied
            raise AttributeError(name)
        return getattr(self.game, name)


def mean(values: Iterable[Tensor]) -> float | None:
    return float(torch.stack([v.float() for v in values]).mean()) if values else None


def samples(data, count: int) -> dict:
    """A batch of samples from all over the data."""
    count = min(count, len(data))
    chosen = [i * len(data) // count for i in range(count)]
    return collate([data.sample(i, torch.Generator().manual_seed(i)) for i in chosen])


def small(data, key: str, count: int) -> Tensor:
    """Thumbnails [count, C x 16 x 16] of pictures from all over the data, one at a time."""
    count = min(count, len(data))
    chosen = (i * len(data) // count for i in range(count))
    pictures = (data.sample(i, torch.Generator().manual_seed(i))[key] for i in chosen)
    return torch.cat([thumbs(picture[None], 16).flatten(1) for picture in pictures])


@contextlib.contextmanager
def undisturbed(task: Task) -> Iterator[None]:
    """Inside, the task is in eval mode; then each module is as it was."""
    modes = [(module, module.training) for module in task.modules()]
    task.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def remembered(task: Task) -> dict[str, list[Tensor]]:
    """A few numbers of a few weight matrices of each network that learns."""
    found = {}
    for name, network in task.named_children():
        weights = [p for p in network.parameters() if p.ndim > 1 and p.requires_grad]
        chosen = weights[:: max(1, len(weights) // 8)][:8]
        found |= {name: [p.detach().flatten()[:4096].clone() for p in chosen]} if chosen else {}
    return found


def moved(before: dict[str, list[Tensor]], task: Task, updates: int) -> dict[str, float]:
    """|Δw| / |w| an update, of each network's remembered weights, the median."""
    found = {}
    for name, now in remembered(task).items():
        ratios = sorted(
            float((w - old).norm() / old.norm().clamp(min=1e-12)) / updates
            for w, old in zip(now, before.get(name, []), strict=False)
        )
        if ratios:
            found[name] = ratios[len(ratios) // 2]
    return found


class DeadUnits:
    """Hears every ReLU of the networks in the next pass."""

    def __init__(self, task: Task):
        self.shares: dict[str, float] = {}
        self.hooks = [
            module.register_forward_hook(lambda m, x, y, name=name: self.hear(name, y))
            for name, module in task.named_modules() if isinstance(module, nn.ReLU)
        ]  # fmt: skip

    def hear(self, name: str, y: Tensor) -> None:
        channels = y.detach().float().transpose(0, 1).flatten(1)
        if len(channels) < 8:  # so few may be silent by chance
            return
        self.shares[name] = float((channels.max(1).values <= 0).float().mean())

    def found(self) -> Evidence:
        for hook in self.hooks:
            hook.remove()
        return {"largest share of dead units in a layer": max(self.shares.values(), default=0.0)}


def hidden(task: Task, source: Tensor, made: Tensor) -> Evidence:
    """How much larger the cycle's error gets where what goes back carries noise of 0.02."""
    back = {
        noise: task(image=made + noise * torch.randn_like(made), direction="BtoA") for noise in (0.0, 0.02)
    }
    plain, noisy = (float((y.float() - source).abs().mean()) for y in back.values())
    return {"cycle error with noise over without": noisy / max(plain, 1e-3)}


def reading(task: Task, learns: Iterable[str], captions: list[str], real: Tensor, made: Tensor) -> Evidence:
    """How far D's answer falls from a real picture to a wrong caption, over how far to a made picture.

    learns: names of the networks that do; of StackGAN's two Ds one does.
    """
    D = next((getattr(task, name) for name in ("D", "D_2", "D_1") if name in learns), None)
    if not hasattr(D, "match") or real.shape != made.shape:
        return {}
    sentences = task.sentences(captions)
    seen, other = D(real), sentences.roll(1, 0)
    match, mismatch, drawn = (
        float(D.match(*pair).float().mean())
        for pair in ((seen, sentences), (seen, other), (D(made), sentences))
    )
    width = match - drawn
    return (
        {"D's answer to the caption over that to the picture": (match - mismatch) / width}
        if width > 0.2
        else {}
    )


def depends(task: Task, values: dict[str, Any], made: Tensor) -> Evidence:
    """How far pictures move with the noise alone and with everything else alone."""
    rolled = {k: v[1:] + v[:1] if isinstance(v, list) else v.roll(1, 0) for k, v in values.items()}
    by_noise = float((task(**values | {"noise": rolled["noise"]}).float() - made).abs().mean())
    by_rest = float((task(**rolled | {"noise": values["noise"]}).float() - made).abs().mean())
    found = {"change by the noise over that by the input": by_noise / max(by_rest, 1e-6)}
    if "text" in values:
        found["change by the caption over that by the noise"] = by_rest / max(by_noise, 1e-6)
    return found


# --- measures of pictures [B, C, H, W] ------------------------------------------------------------------


def thumbs(x: Tensor, side: int = 8) -> Tensor:
    """[B, C, side, side], each pixel a mean."""
    return F.adaptive_avg_pool2d(x.detach().float(), min(side, *x.shape[-2:]))


def spread(x: Tensor) -> float:
    """Median distance of two thumbnails: how much the pictures differ."""
    flat = thumbs(x).flatten(1)
    return float(torch.pdist(flat).median()) if len(flat) > 1 else 0.0


def moment_distance(made: Tensor, real: Tensor) -> float:
    """|μ - μ'|² + |σ - σ'|² of thumbnails, over the real ones' |σ|²."""
    a, b = (thumbs(x).flatten(1) for x in (made, real))
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        return 0.0
    apart = (a.mean(0) - b.mean(0)).square().sum() + (a.std(0) - b.std(0)).square().sum()
    return float(apart / b.std(0).square().sum().clamp(min=1e-4))


def grid_power(x: Tensor) -> tuple[float, float]:
    """Mean power of the spectrum's lines of period 2, and of all of it: of the luma, a pixel.

    Transposed convolutions draw a checkerboard there (Odena et al. 2016).
    """
    luma = x.detach().float().mean(1)
    height, width = (side // 2 * 2 for side in luma.shape[-2:])
    spectrum = torch.fft.fft2(
        luma[..., :height, :width] - luma[..., :height, :width].mean((1, 2), keepdim=True)
    )
    power = spectrum.abs().square() / (height * width) ** 2  # sums to the variance
    lines = (
        power[:, height // 2].sum() + power[:, :, width // 2].sum() - power[:, height // 2, width // 2].sum()
    )
    return float(lines / len(luma)), float(power.sum() / len(luma))


def grid_over(made: Tensor, real: Tensor) -> float:
    """The grid's power in made pictures over that in real ones, or over a thousandth of all of theirs."""
    lines, whole = grid_power(real)
    return grid_power(made)[0] / max(lines, 1e-3 * whole, 1e-6)


def correlation(a: Tensor, b: Tensor) -> float:
    """Of the pixels' luma, over all pictures."""
    a, b = (thumbs(x.mean(1, keepdim=True), 32).flatten() for x in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-9))
