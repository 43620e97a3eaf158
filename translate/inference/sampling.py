"""A trained model at work: pictures from noise, captions and classes, in batches, reproducibly."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from translate import inputs
from translate.config import UserError, nearest
from translate.figures.scatter import scatter
from translate.inference import images, tiling
from translate.inference.images import Picture
from translate.task import Task

NOISE_BATCH = 16
CLOUD = 1000  # points of a picture


def slerp(a: Tensor, b: Tensor, place: float) -> Tensor:
    """From a (0) to b (1) at an even pace along the great circle (Shoemake 1985); straight where they are
    parallel."""
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1)
    angle = cosine.acos()
    if angle.sin() < 1e-4:
        return torch.lerp(a, b, place)
    return (((1 - place) * angle).sin() * a + (place * angle).sin() * b) / angle.sin()


class Sampler:
    """What every model can do; `Pipeline` adds what translates pictures."""

    def __init__(self, task: Task, name: str, bf16: bool):
        """task: in eval mode, on its device. bf16: run convolutions and matrix products in bfloat16."""
        self.task, self.name, self.bf16 = task, name, bf16
        self.device = next(task.parameters()).device

    @property
    def takes(self) -> tuple[str, ...]:
        """What it needs: names of `translate.inputs.INPUTS`."""
        return self.task.takes

    def others(self, n: int, seed: int, truncation: float = 0.0, **given: Any) -> dict[str, Any]:
        """What the model takes beside pictures and frames: as given, else drawn from the seed."""
        if given.get("label") is not None:
            self.check_given({"label": given["label"]})
            text = str(given["label"])
            if self.task.mixes and {"+", ":"} & {*text}:
                given["label"] = inputs.label_weights(self.task.info, text).expand(n, -1)
            else:
                given["label"] = torch.full((n,), inputs.label_number(self.task.info, given["label"]))
        if "noise" in self.takes and truncation:
            given.setdefault("noise", self.noise(n, seed, truncation))
        shown = dict.fromkeys({"image", "frames", "mask"} & {*self.takes}, True)  # come with the pictures
        values = inputs.from_seed(self.task, n, seed, **given, **shown)
        return {name: value for name, value in values.items() if name not in shown}

    def sample(
        self, n: int, *, seed: int = 0, truncation: float = 0.0, label: str | int | None = None
    ) -> list[Picture]:
        """`n` pictures from noise; the first k of them are those of `sample(k)` with the same seed,
        but for the rounding of kernels that go by the size of a batch.

        label: a class by name or number; default all of them in turn, where the model takes one.
        truncation: see `imagine`.
        """
        self.check("sample")
        count = n * CLOUD if self.task.info.kind == "points" else n
        return self._batches(self.others(count, seed, self.checked(truncation), label=label), seed)

    def imagine(
        self, caption: str, n: int = 1, *, seed: int = 0, truncation: float = 0.0,
        label: str | int | None = None,
    ) -> list[Picture]:  # fmt: skip
        """`n` pictures of a caption; the first k of them are those of `imagine(caption, k)`, same seed.

        truncation: numbers of the noise farther from 0 are drawn anew (Brock et al. 2019, arXiv 1809.11096):
        the smaller, the more typical and the less varied; 0 is off. See `reading`.
        """
        self.check("text")
        others = self.others(n, seed, self.checked(truncation), label=label, text=[caption] * n)
        return self._batches(others, seed)

    def from_noise(
        self, noise: Tensor, captions: list[str] | None = None, *, label: str | int | None = None,
        seed: int = 0,
    ) -> list[Picture]:  # fmt: skip
        """One picture for each row of noise [N, *noise_shape], with its caption for models that take text."""
        return self._batches(self.others(len(noise), seed, noise=noise, text=captions, label=label), seed)

    def _batches(self, values: dict[str, Any], seed: int) -> list[Picture]:
        """One picture for each row of the values, NOISE_BATCH at a time; of points, for each CLOUD."""
        pictures, count = [], len(next(iter(values.values())))
        if self.task.info.kind == "points":
            with self._reproducible(seed), self._inference():
                points = self.task(**inputs.on_device(values, self.device))
                self._finite(points.clone())
            return [images.decode(scatter({"samples": cloud})) for cloud in points.split(CLOUD)]
        for first in range(0, count, NOISE_BATCH):
            part = {name: value[first : first + NOISE_BATCH] for name, value in values.items()}
            with self._reproducible(seed), self._inference():
                batch = self._finite(self.task(**inputs.on_device(part, self.device)))
            pictures += [Picture(tensor=x[None], bits=self.task.info.bits) for x in batch]
        return pictures

    def follow(self, frames: Sequence[Picture], n: int = 1, *, seed: int = 0) -> list[Picture]:
        """The `n` frames after `frames` (oldest first, all of one size), each made from the last ones."""
        self.check("frames")
        if len({frame.size for frame in frames}) != 1:
            raise UserError(f"{self.name} needs frames of one size, the oldest first")
        enough = self.task.frames_in or len(frames)
        if len(frames) < enough:
            raise UserError(
                f"{self.name} sees {enough} frames to make the next one; {len(frames)} are too few"
            )
        channels = self.task.info.channels[self.task.sides()[0]]
        known = torch.stack([images.with_channels(frame, channels)[0] for frame in frames])
        padded, window = tiling.pad(known, self.task.stride)
        others, made = inputs.on_device(self.others(1, seed), self.device), []
        for _ in range(n):
            with self._reproducible(seed), self._inference():
                latest = padded[-enough:].to(self.device)
                y = self._finite(self.task(frames=latest[None], **others))
            padded = torch.cat([padded, y])
            made.append(Picture(tensor=y[(..., *window)], bits=self.task.info.bits))
        return made

    def encode(self, picture: Picture) -> Tensor:
        """Its latents [1, *noise_shape], of which `from_noise` makes it again: of the square in its middle,
        at the size of training. Raises UserError where the model has no encoder."""
        if not hasattr(self.task, "encode"):
            raise UserError(f"{self.name} has no encoder: it makes pictures but takes none")
        x = self.square(picture)
        with self._reproducible(0), self._inference():
            return self.task.encode(x.to(self.device)).float().cpu()

    def square(self, picture: Picture) -> Tensor:
        """The square in its middle, at the size of training: [1, C, size, size]."""
        size, x = self.task.config.size, images.with_channels(picture, [*self.task.info.channels.values()][0])
        side = min(x.shape[-2:])
        top, left = ((length - side) // 2 for length in x.shape[-2:])
        x = x[..., top : top + side, left : left + side].float()
        return F.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)

    def classify(self, picture: Picture, top: int = 3) -> dict[str, float]:
        """The likeliest names of what the picture's middle shows, and their probabilities, highest first.

        Raises UserError where the model names nothing.
        """
        if not hasattr(self.task, "classify"):
            raise UserError(f"{self.name} names nothing: it takes {' and '.join(self.takes)}")
        with self._reproducible(0), self._inference():
            shares = self.task.classify(self.square(picture).to(self.device))[0].float().cpu()
        names = self.task.info.classes
        values, numbers = shares.topk(min(top, len(names)))
        return {names[n]: share for n, share in zip(numbers.tolist(), values.tolist(), strict=True)}

    def checked(self, truncation: float) -> float:
        if truncation < 0:
            raise UserError(f"truncation {truncation} must be above 0, e.g. 1, or 0 for none")
        return truncation

    def noise(self, n: int, seed: int, truncation: float = 0.0) -> Tensor:
        """[n, *noise_shape], see `imagine`."""
        return inputs.draw_noise(self.task, n, torch.Generator().manual_seed(seed), truncation)

    def between(
        self, captions: tuple[str, str], seeds: tuple[int, int], n: int, *, truncation: float = 0.0
    ) -> list[Picture]:
        """`n` pictures on the way from one caption and seed to another, both ends included.

        Sentences go straight; noise goes round the origin, where Gaussian vectors lie (White 2016, arXiv
        1609.04468).
        """
        self.check("text")
        (start, end), pictures = (self.noise(1, seed, truncation) for seed in seeds), []
        with self._reproducible(seeds[0]), self._inference():
            e = self.task.sentences(list(captions))
        for place in torch.linspace(0, 1, n).tolist():
            z = slerp(start, end, place).to(self.device)
            with self._reproducible(seeds[0]), self._inference():
                picture = self._finite(self.task.paint(z, torch.lerp(e[:1], e[1:], place)))
            pictures.append(Picture(tensor=picture, bits=self.task.info.bits))
        return pictures

    def mixed(
        self, captions: tuple[str, str], share: float, n: int = 1, *, seed: int = 0, truncation: float = 0.0
    ) -> list[Picture]:
        """`n` pictures of what lies `share` of the way from one caption to another; seeds as in `imagine`."""
        self.check("text")
        noise = self.noise(n, seed, truncation)
        pictures = []
        with self._reproducible(seed), self._inference():
            start, end = self.task.sentences(list(captions)).split(1)
            e = torch.lerp(start, end, share)
            for z in noise.split(NOISE_BATCH):
                batch = self._finite(self.task.paint(z.to(self.device), e.expand(len(z), *e.shape[1:])))
                pictures += [Picture(tensor=x[None], bits=self.task.info.bits) for x in batch]
        return pictures

    def varied(
        self, caption: str, number: int, n: int, *, seed: int = 0, truncation: float = 0.0,
        amount: float = 0.3, again: int = 1,
    ) -> list[Picture]:  # fmt: skip
        """`n` pictures like number `number` of `imagine(caption, ..., seed=seed)`, the first of them it.

        amount: how far on the way to other noise, drawn from the seed `again`.
        """
        self.check("text")
        own = self.noise(number + 1, seed, truncation)[number:]
        others = self.noise(max(0, n - 1), again, truncation) if n > 1 else own[:0]
        noise = torch.cat([own, *(slerp(own, other[None], amount) for other in others)])
        return self.from_noise(noise, [caption] * n, seed=seed)

    def reading(self, caption: str):
        """What the model understood of a caption: `translate.reading.Reading`."""
        self.check("text")
        return self.task.reading(caption)

    def check(self, command: str, direction: str | None = None) -> None:
        """Raises UserError where the model is for another command (`image`, `sample`, `text`, `frames`) or
        does not translate in this direction."""
        fits = inputs.leading(self.takes).command
        if fits != command:
            names = {entry.command: name for name, entry in reversed(inputs.INPUTS.items())}
            takes = " and ".join(self.takes)
            raise UserError(
                f"{self.name} takes {takes}, not {names[command]}; use `python -m translate {fits}`"
            )
        if direction and direction not in self.task.directions:
            known = list(self.task.directions)
            hint = nearest(direction, known) or ";"
            raise UserError(f"{self.name} has no direction {direction!r}{hint} it has {', '.join(known)}")

    def check_given(self, given: dict[str, Any]) -> None:
        """Raises UserError for what the model does not take."""
        for name in given:
            if name not in self.takes:
                raise UserError(f"{self.name} takes {' and '.join(self.takes)}, not {name}")

    @contextlib.contextmanager
    def _reproducible(self, seed: int) -> Iterator[None]:
        """Inside, torch's random state follows from the seed; no memory left becomes a sentence."""
        try:
            with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(seed)
                yield
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "allocate memory" not in str(
                error
            ):
                raise
            raise UserError("the picture does not fit in memory; make it smaller") from None

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        """Per thread: no autograd, the chosen precision."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            yield

    def _finite(self, y: Tensor) -> Tensor:
        y = y.float().cpu()
        if not torch.isfinite(y).all():
            raise UserError(
                f"{self.name} gave values that are no numbers: its training went wrong; train it again"
            )
        return y.clamp_(-1, 1)
