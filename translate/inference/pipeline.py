"""A trained model in use: pictures of any size in, pictures of the same size out."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from translate.config import UserError, nearest
from translate.inference import images, tiling
from translate.inference.catalog import locate
from translate.inference.engines import OpenVINO, Packed
from translate.inference.images import Picture
from translate.machine import bf16_is_fast
from translate.task import Task
from translate.training.checkpoint import read_model

Precision = Literal["auto", "fp32", "bf16"]
Engine = Literal["torch", "openvino"]
Source = str | Path | bytes | Image.Image | Picture
Progress = Callable[[int, int], None]
LEAST = 32  # smaller inputs are padded to this: below it a network's inner maps have no neighbours left
ENOUGH_DECIBELS = 40  # bf16 against fp32 on the trained weights, from config.json's "bf16_psnr"
NOISE_BATCH = 16
WHOLE_PIXELS = 2_000_000  # larger pictures go through the network in tiles
ENLARGED_AT_ONCE = 768  # pixels, side of a tile of a network that enlarges: often enough to show progress
LARGEST = 200_000_000  # pixels of a result


def reflect(length: int, start: int, count: int) -> Tensor:
    """Indices [count] into `length` values, mirrored at both ends as often as needed; `start` lie before."""
    period = max(1, 2 * (length - 1))
    i = (torch.arange(count) - start) % period
    return torch.where(i < length, i, period - i)


def pad(x: Tensor, stride: int, least: int = LEAST) -> tuple[Tensor, tuple[slice, slice]]:
    """Mirror [B, C, H, W] up to multiples of `stride`; also the slices that cut the original out again."""
    window = []
    for axis in (-2, -1):
        length = x.shape[axis]
        whole = -(-max(length, least) // stride) * stride
        start = (whole - length) // 2
        if whole > length:
            x = x.index_select(axis, reflect(length, start, whole).to(x.device))
        window.append(slice(start, start + length))
    return x, (window[0], window[1])


def slerp(a: Tensor, b: Tensor, place: float) -> Tensor:
    """From a (0) to b (1) at an even pace along the great circle (Shoemake 1985); straight where they are
    parallel."""
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1)
    angle = cosine.acos()
    if angle.sin() < 1e-4:
        return torch.lerp(a, b, place)
    return (((1 - place) * angle).sin() * a + (place * angle).sin() * b) / angle.sin()


class Pipeline:
    """`Pipeline.from_pretrained("sketch-to-emoji")(image="drawing.png")[0].save("emoji.png")`"""

    def __init__(self, task: Task, *, name: str = "the model", bf16: bool = False, engine: Engine = "torch"):
        """task: in eval mode, on its device. bf16: run convolutions and matrix products in bfloat16.

        engine: `openvino` compiles translators for this CPU; pictures that need tiles stay with torch.
        """
        self.task, self.name, self.bf16 = task, name, bf16
        self.device = next(task.parameters()).device
        self.engine = None  # for whole pictures; None: the task itself
        translator = task.takes == "image" and self.device.type == "cpu"
        if engine == "openvino":
            if not translator:
                raise UserError(f"--engine openvino translates pictures on a CPU; {name} needs torch")
            self.engine = OpenVINO(task, bf16)
        elif translator and bf16 and Packed.available():
            self.engine = Packed(task)
        self.whole_pixels, self.core = WHOLE_PIXELS, tiling.CORE
        if task.enlarges > 1:
            self.whole_pixels, self.core = ENLARGED_AT_ONCE**2, ENLARGED_AT_ONCE

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str | torch.device | None = None,
        precision: Precision = "auto",
        engine: Engine = "torch",
    ) -> "Pipeline":
        """A model by name (in `pretrained/`, then `runs/`), by folder, or by Hub id (`owner/name`).

        device: default an accelerator where there is one. precision: auto is bf16 where the processor is fast
        at it and the model's config.json says that it was measured to hold 40 dB against fp32.
        engine: see `Pipeline`; openvino is an optional package.
        Raises UserError where there is no such model.
        """
        folder = locate(model)
        if device is None:
            device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        try:
            device = torch.device(device)
            task = read_model(folder, device)
        except (
            RuntimeError,
            AssertionError,
        ) as error:  # an unknown name; a device this machine does not have
            raise UserError(f"device {device}: {str(error).splitlines()[0]}; try cpu") from None
        task.requires_grad_(False)
        if precision == "auto":
            measured = json.loads((folder / "config.json").read_text()).get("bf16_psnr") or 0
            bf16 = measured >= ENOUGH_DECIBELS and bf16_is_fast(device)
        else:
            bf16 = precision == "bf16"
        return cls(task, name=folder.name, bf16=bf16, engine=engine)

    @property
    def takes(self) -> str:
        """What it needs: "image", "noise" or "text"."""
        return self.task.takes

    @property
    def directions(self) -> dict[str, str]:
        """Human label of each direction, e.g. `{"line → openmoji": "AtoB"}`, the default first."""
        a, b = (self.task.info.names.get(key, key.upper()) for key in ("a", "b"))
        return {f"{a} → {b}" if d == "AtoB" else f"{b} → {a}": d for d in self.task.directions}

    @property
    def usual_size(self) -> int:
        """The `work_size` that suits the model: 0 (full size) or the size it was trained at."""
        return self.task.config.size if self.task.stride >= self.task.config.size else 0

    def __call__(
        self,
        image: Source | Sequence[Source] | None = None,
        *,
        text: str | Sequence[str] | None = None,
        n: int | None = None,
        direction: str = "AtoB",
        seed: int = 0,
        truncation: float = 0.0,
        work_size: int | None = None,
        keep_alpha: bool = True,
    ) -> list[Image.Image]:
        """Translate `image` (a file, bytes, a Pillow image or a list), draw `n` pictures from noise or of
        each `text`.

        Same seed, same pictures. Raises UserError for what is no picture or does not suit the model.
        """
        if self.takes == "text":
            if not text or image is not None:
                raise UserError(f"{self.name} makes pictures from captions; give text=")
            texts = [text] if isinstance(text, str) else list(text)
            found = [self.imagine(caption, n or 1, seed=seed, truncation=truncation) for caption in texts]
            return [images.to_image(picture.tensor) for pictures in found for picture in pictures]
        if self.takes == "noise":
            if image is not None:
                raise UserError(f"{self.name} makes pictures from noise and takes none; give n= and seed=")
            return [images.to_image(picture.tensor) for picture in self.sample(n or 1, seed=seed)]
        if image is None:
            raise UserError(f"{self.name} translates pictures; give image=")
        sources = list(image) if isinstance(image, list | tuple) else [image]
        pictures = (s if isinstance(s, Picture) else images.decode(s) for s in sources)
        options = dict(direction=direction, seed=seed, work_size=work_size, keep_alpha=keep_alpha)
        done = (self.translate(picture, **options) for picture in pictures)
        return [images.to_image(picture.tensor, picture) for picture in done]

    def translate(
        self,
        picture: Picture,
        *,
        direction: str = "AtoB",
        seed: int = 0,
        work_size: int | None = None,
        keep_alpha: bool = True,
        self_ensemble: bool = False,
        progress: Progress | None = None,
    ) -> Picture:
        """One picture, of any size, to one of the same size, alpha, bit depth and format.

        Colours are the model's: one that learned colour pictures colours a grey one.
        work_size: bring the longer side to so many pixels on the way in, and the result back to full size;
        0 is full size. None: full size, but the size of training where the network takes a picture as a whole
        (a U-Net down to one pixel, which sees something else in a larger picture).
        keep_alpha: False lays the picture on white for good, for models that change its outline.
        self_ensemble: the mean of eight results, of the picture mirrored and turned (Timofte et al. 2016,
        arXiv 1511.02228): eight times as long.
        progress: called with (tiles done, tiles in all).
        """
        self.check("image", direction)
        self.check_size(picture)
        known = self.task.info.channels
        channels = known["low"] if "low" in known else known["a" if direction == "AtoB" else "b"]
        x = images.with_channels(picture, channels)
        work_size = self.usual_size if work_size is None else work_size
        if work_size:
            scale = work_size / max(picture.size)
            size = [max(1, round(side * scale)) for side in x.shape[-2:]]
            x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(-1, 1)
        x, window = pad(x, self.task.stride)
        generate = self._ensemble if self_ensemble else self._generate
        y = generate(x, direction, seed, progress, torch.float32 if picture.bits == 16 else torch.float16)
        grow = y.shape[-1] // x.shape[-1]  # 1, or the factor of a model that enlarges
        y = y[(..., *(slice(grow * cut.start, grow * cut.stop) for cut in window))]
        width, height = (grow * side for side in picture.size)
        if work_size:
            y = F.interpolate(y, (height, width), mode="bicubic", antialias=True).clamp(-1, 1)
        if grow > 1 and picture.tensor.shape[1] == 1:  # an enlargement invents no colours
            y = y.mean(1, keepdim=True)
        alpha = picture.alpha if keep_alpha else None
        if alpha is not None and grow > 1:
            alpha = F.interpolate(alpha, (height, width), mode="bicubic").clamp(0, 1)
        return dataclasses.replace(picture, tensor=y, alpha=alpha)

    def _ensemble(
        self, x: Tensor, direction: str, seed: int, progress: Progress | None, large: torch.dtype
    ) -> Tensor:
        """The mean over the eight symmetries of the square, each result turned back."""
        mean = None
        for way in range(8):
            axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if way & bit]
            turned = x.flip(axes).transpose(-1, -2) if way & 4 else x.flip(axes)

            def told(done: int, of: int, before: int = way) -> None:
                if progress:
                    progress(before * of + done, 8 * of)

            y = self._generate(turned, direction, seed, told, large)
            y = (y.transpose(-1, -2) if way & 4 else y).flip(axes)
            mean = y / 8 if mean is None else mean.add_(y, alpha=1 / 8)
        return mean

    def _generate(
        self, x: Tensor, direction: str, seed: int, progress: Progress | None, large: torch.dtype
    ) -> Tensor:
        """[1, C, H, W] padded to the stride -> [1, C', gH, gW] on the CPU.

        In tiles where it is large; then, where the network enlarges, of type `large`.
        """

        def generate(part: Tensor) -> Tensor:
            with self._inference():
                part = part.to(self.device).contiguous(memory_format=torch.channels_last)
                return self._finite(self.task.generate(part, direction=direction))

        with self._reproducible(seed):
            if x.shape[-2] * x.shape[-1] <= self.whole_pixels:
                with self._inference():
                    y = self._finite(self.engine(x, direction)) if self.engine else generate(x)
                if progress:
                    progress(1, 1)
                return y
            stride, side = self.task.stride, max(LEAST, self.task.stride)
            margin = tiling.reach(self.task, lambda: generate(x[..., :side, :side]), side)
            core = self.core
            while True:
                try:
                    with self._inference():
                        return tiling.tiled(
                            self.task,
                            generate,
                            x,
                            stride=stride,
                            margin=margin,
                            core=core,
                            dtype=large if self.task.enlarges > 1 else torch.float32,
                            group_pixels=tiling.GROUP_PIXELS * (2 if self.bf16 else 1),
                            progress=progress,
                        )
                except torch.OutOfMemoryError:
                    if core <= 128:
                        raise
                    core //= 2

    def sample(self, n: int, *, seed: int = 0) -> list[Picture]:
        """`n` pictures from noise; the first k of them are those of `sample(k)` with the same seed."""
        self.check("noise")
        generator = torch.Generator().manual_seed(seed)
        pictures = []
        while len(pictures) < n:
            count = min(NOISE_BATCH, n - len(pictures))
            noise = [torch.randn(self.task.noise_shape, generator=generator) for _ in range(count)]
            with self._reproducible(seed), self._inference():
                batch = self._finite(self.task.generate(torch.stack(noise).to(self.device)))
            pictures += [Picture(tensor=x[None], bits=self.task.info.bits) for x in batch]
        return pictures

    def imagine(self, caption: str, n: int = 1, *, seed: int = 0, truncation: float = 0.0) -> list[Picture]:
        """`n` pictures of a caption; the first k of them are those of `imagine(caption, k)`, same seed.

        truncation: numbers of the noise farther from 0 are drawn anew (Brock et al. 2019, arXiv 1809.11096):
        the smaller, the more typical and the less varied; 0 is off. See `reading`.
        """
        self.check("text")
        if truncation < 0:
            raise UserError(f"truncation {truncation} must be above 0, e.g. 1, or 0 for none")
        return self.from_noise(self.noise(n, seed, truncation), [caption] * n, seed=seed)

    def noise(self, n: int, seed: int, truncation: float = 0.0) -> Tensor:
        """[n, *noise_shape], see `imagine`."""
        generator = torch.Generator().manual_seed(seed)
        noise = []
        for _ in range(n):
            z = torch.randn(self.task.noise_shape, generator=generator)
            if truncation:
                torch.nn.init.trunc_normal_(z, a=-truncation, b=truncation, generator=generator)
            noise.append(z)
        return torch.stack(noise)

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

    def from_noise(self, noise: Tensor, captions: list[str], *, seed: int = 0) -> list[Picture]:
        """One picture for each row of noise [N, *noise_shape] and its caption."""
        pictures = []
        for first in range(0, len(noise), NOISE_BATCH):
            part, told = noise[first : first + NOISE_BATCH], captions[first : first + NOISE_BATCH]
            with self._reproducible(seed), self._inference():
                batch = self._finite(self.task.generate(part.to(self.device), told))
            pictures += [Picture(tensor=x[None], bits=self.task.info.bits) for x in batch]
        return pictures

    def reading(self, caption: str):
        """What the model understood of a caption: `translate.text.Reading`."""
        self.check("text")
        return self.task.reading(caption)

    def check_size(self, picture: Picture) -> None:
        """Raises UserError where the result would be too large."""
        (width, height), factor = picture.size, self.task.enlarges
        if factor > 1 and factor**2 * width * height > LARGEST:
            raise UserError(
                f"{picture.name}: {width} × {height} px enlarged {factor} times are "
                f"{factor**2 * width * height / 1e6:.0f} megapixels; the most is {LARGEST / 1e6:.0f}, "
                "so give a smaller picture"
            )

    def check(self, takes: str, direction: str | None = None) -> None:
        """Raises UserError where the model needs something else or does not translate in this direction."""
        if self.takes != takes:
            verbs = {"image": "image", "noise": "sample", "text": "text"}
            use = f"python -m translate {verbs[self.takes]}" if self.takes in verbs else ""
            raise UserError(
                f"{self.name} takes {self.takes}, not {takes}" + (f"; use `{use}`" if use else "")
            )
        if direction and direction not in self.task.directions:
            known = list(self.task.directions)
            hint = nearest(direction, known) or ";"
            raise UserError(f"{self.name} has no direction {direction!r}{hint} it has {', '.join(known)}")

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
