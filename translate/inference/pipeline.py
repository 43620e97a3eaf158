"""A trained model in use: pictures of any size in, pictures of the same size out."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from translate import inputs
from translate.config import UserError
from translate.inference import classes, filling, images, tiling
from translate.inference.catalog import locate
from translate.inference.engines import DTYPES, OpenVINO, Packed, way_of
from translate.inference.images import Picture
from translate.inference.sampling import Sampler
from translate.probe import Choice, Way
from translate.task import Task
from translate.training.checkpoint import read_model

Precision = Literal["auto", "fp32", "bf16"]
Engine = Literal["torch", "openvino"]
Source = str | Path | bytes | Image.Image | Picture
Progress = Callable[[int, int], None]
ENOUGH_DECIBELS = 40  # bf16 against fp32 on the trained weights, from config.json's "bf16_psnr"
WHOLE_PIXELS = 2_000_000  # larger pictures go through the network in tiles
ENLARGED_AT_ONCE = 768  # pixels, side of a tile of a network that enlarges: often enough to show progress
LARGEST = 200_000_000  # pixels of a result
PLAIN = Choice(Way(), reason="as told")


def digits_of(folder: Path, precision: Precision) -> tuple[str, ...]:
    """In how many digits a model may run: `auto` has bfloat16 among them where it is known to be faithful."""
    if precision == "auto":
        measured = json.loads((folder / "config.json").read_text()).get("bf16_psnr") or 0
        return ("float32", "bf16") if measured >= ENOUGH_DECIBELS else ("float32",)
    return ("float32",) if precision == "fp32" else (precision,)


def opened(source: Source) -> Picture:
    return source if isinstance(source, Picture) else images.decode(source)


class Pipeline(Sampler):
    """`Pipeline.from_pretrained("sketch-to-emoji")(image="drawing.png")[0].save("emoji.png")`"""

    def __init__(
        self,
        task: Task,
        *,
        name: str = "the model",
        choice: Choice = PLAIN,
        engine: Engine = "torch",
    ):
        """task: in eval mode, on its device. choice: the way to run it, and why.

        engine: `openvino` compiles translators for this CPU; pictures that need tiles stay with torch.
        """
        way = choice.way
        super().__init__(task, name, way.bf16)
        self.choice = choice
        self.engine = None  # for whole pictures; None: the task itself
        translator = task.takes == ("image",) and self.device.type == "cpu"
        if engine == "openvino":
            if not translator:
                raise UserError(f"--engine openvino translates pictures on a CPU; {name} needs torch")
            self.engine = OpenVINO(task, way.bf16)
        elif way.packed:
            self.engine = Packed(task, DTYPES[way.digits])
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

        device: default an accelerator where there is one. precision: auto is bf16 where that was measured to
        be faster here (translate.probe) and, in the model's config.json, to hold 40 dB against fp32.
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
        return cls(task, name=folder.name, choice=way_of(task, digits_of(folder, precision)), engine=engine)

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
        label: str | int | None = None,
        mask: Source | None = None,
        frames: Sequence[Source] | None = None,
        n: int | None = None,
        direction: str = "AtoB",
        seed: int = 0,
        truncation: float = 0.0,
        work_size: int | None = None,
        keep_alpha: bool = True,
    ) -> list[Image.Image]:
        """Translate `image` (a file, bytes, a Pillow image or a list), or fill its `mask`; draw `n` pictures
        of each `text`, of a `label` (a class by name or number) or of noise; or the `n` next `frames`.

        What is not given follows from the seed: same seed, same pictures. Raises UserError for what is no
        picture or does not suit the model.
        """
        given = dict(image=image, text=text, label=label, mask=mask, frames=frames)
        given = {name: value for name, value in given.items() if value not in (None, "", [], ())}
        self.check_given(given)
        needed = next(name for name in inputs.INPUTS if name in self.takes)
        if inputs.INPUTS[needed].command not in ("sample", "classify") and needed not in given:
            raise UserError(f"{self.name} takes {' and '.join(self.takes)}; give {needed}=")
        if needed == "shown":
            raise UserError(f"{self.name} makes no pictures, it names them: use classify()")
        match inputs.leading(self.takes).command:
            case "text":
                texts = [text] if isinstance(text, str) else list(text)
                options = dict(seed=seed, truncation=truncation, label=label)
                found = [self.imagine(caption, n or 1, **options) for caption in texts]
                return [images.to_image(picture.tensor) for pictures in found for picture in pictures]
            case "sample":
                made = self.sample(n or 1, seed=seed, truncation=truncation, label=label)
                return [images.to_image(picture.tensor) for picture in made]
            case "frames":
                made = self.follow([opened(frame) for frame in frames], n or 1, seed=seed)
                return [images.to_image(picture.tensor) for picture in made]
        sources = list(image) if isinstance(image, list | tuple) else [image]
        options = dict(direction=direction, seed=seed, work_size=work_size, keep_alpha=keep_alpha)
        options |= dict(label=label, mask=None if mask is None else opened(mask))
        done = (self.translate(opened(source), **options) for source in sources)
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
        label: str | int | None = None,
        mask: Picture | None = None,
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
        label, mask: for models that take them; white in the mask is filled.
        progress: called with (tiles done, tiles in all).
        """
        self.check("image", direction)
        self.check_size(picture)
        source, target = self.task.sides(direction)
        x = self.seen(picture, source)
        others = self.others(1, seed, label=label)
        if "mask" in self.takes:
            return self.fill(picture, x, self.hole(picture, mask), others, seed, keep_alpha, progress)
        work_size = self.usual_size if work_size is None else work_size
        if work_size:
            scale = work_size / max(picture.size)
            size = [max(1, round(side * scale)) for side in x.shape[-2:]]
            if source in self.task.info.label_colours:
                x = F.interpolate(x, size, mode="nearest-exact")
            else:
                x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(-1, 1)
        x, window = tiling.pad(x, self.task.stride)
        generate = self._ensemble if self_ensemble else self._generate
        large = torch.float32 if picture.bits == 16 else torch.float16
        y = generate(x, direction, others, seed, progress, large)
        grow = y.shape[-1] // x.shape[-1]  # 1, or the factor of a model that enlarges
        y = y[(..., *(slice(grow * cut.start, grow * cut.stop) for cut in window))]
        width, height = (grow * side for side in picture.size)
        if table := self.task.info.label_colours.get(target):  # exactly the values of the files
            y = classes.to_values(y, table)
            if work_size:
                y = F.interpolate(y, (height, width), mode="nearest-exact")
            return dataclasses.replace(picture, tensor=y, alpha=None, bits=8, icc=None, format="PNG")
        if work_size:
            y = F.interpolate(y, (height, width), mode="bicubic", antialias=True).clamp(-1, 1)
        if source == self.task.info.grey:  # the colours are made, the light is the picture's own
            light = y.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            y = (y + images.with_channels(picture, 1) - (y * light).sum(1, keepdim=True)).clamp(-1, 1)
        if grow > 1 and images.is_grey(picture):  # an enlargement invents no colours
            y = y.mean(1, keepdim=True).expand(-1, picture.tensor.shape[1], -1, -1)
        alpha = picture.alpha if keep_alpha else None
        if alpha is not None and grow > 1:  # the outline as sharp as the picture
            outline = Picture(tensor=alpha * 2 - 1, bits=picture.bits)
            enlarged = self.translate(outline, direction=direction, seed=seed, self_ensemble=self_ensemble)
            alpha = images.bounded(enlarged.tensor[:, :1].float().add(1).div(2), alpha)
            y = images.over_white(y.float(), alpha)
        elif alpha is not None:
            y = images.over_white(images.edges_filled(images.off_white(y, alpha), alpha), alpha)
        return dataclasses.replace(picture, tensor=y, alpha=alpha)

    def seen(self, picture: Picture, side: str) -> Tensor:
        """What the network is shown: [1, C, H, W] in [-1, 1].

        Transparency lies on white, as in training; but where the model enlarges, the colours under it are
        those beside it, or edges come out with a pale seam.
        """
        if table := self.task.info.label_colours.get(side):
            return classes.to_colours(picture.tensor, table)
        if picture.alpha is not None and self.task.enlarges > 1:
            colours = images.off_white(picture.tensor.float(), picture.alpha)
            picture = dataclasses.replace(picture, tensor=images.filled(colours, (picture.alpha > 0).float()))
            picture = dataclasses.replace(picture, alpha=None)
        return images.with_channels(picture, self.task.info.channels[side])

    def _ensemble(
        self, x: Tensor, direction: str, others: dict, seed: int, progress: Progress | None,
        large: torch.dtype,
    ) -> Tensor:  # fmt: skip
        """The mean over the eight symmetries of the square, each result turned back."""
        mean = None
        for way in range(8):
            axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if way & bit]
            turned = x.flip(axes).transpose(-1, -2) if way & 4 else x.flip(axes)

            def report(done: int, of: int, before: int = way) -> None:
                if progress:
                    progress(before * of + done, 8 * of)

            y = self._generate(turned, direction, others, seed, report, large)
            y = (y.transpose(-1, -2) if way & 4 else y).flip(axes)
            mean = y / 8 if mean is None else mean.add_(y, alpha=1 / 8)
        return mean

    def _generate(
        self, x: Tensor, direction: str, others: dict, seed: int, progress: Progress | None,
        large: torch.dtype,
    ) -> Tensor:  # fmt: skip
        """[1, C, H, W] padded to the stride -> [1, C', gH, gW] on the CPU.

        In tiles where it is large; then, where the network enlarges, of type `large`. others: what else the
        model takes; a mask [1, 1, H, W] is the last channel of x.
        """
        others = inputs.on_device(others, self.device)

        def generate(part: Tensor) -> Tensor:
            with self._inference():
                part = part.to(self.device).contiguous(memory_format=self.choice.way.memory_format)
                if "mask" in self.takes:
                    given = dict(image=part[:, :-1], mask=(part[:, -1:] > 0.5).to(part.dtype))
                else:
                    given = dict(image=part)
                return self._finite(self.task(direction=direction, **given, **others))

        with self._reproducible(seed):
            if x.shape[-2] * x.shape[-1] <= self.whole_pixels:
                with self._inference():
                    fast = self.engine and not tiling.asked()
                    y = self._finite(self.engine(x, direction)) if fast else generate(x)
                if progress:
                    progress(1, 1)
                return y
            stride, side = self.task.stride, max(tiling.LEAST, self.task.stride)
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

    def fill(
        self, picture: Picture, x: Tensor, hole: Tensor, others: dict, seed: int, keep_alpha: bool,
        progress: Progress | None,
    ) -> Picture:  # fmt: skip
        """The picture with its hole [1, 1, H, W] filled. All else is exactly as it was, alpha included.

        x: the picture as the network is to see it.
        """

        def complete(part: Tensor, missing: Tensor) -> Tensor:
            both, window = tiling.pad(torch.cat([part, missing], 1), self.task.stride)
            return self._generate(both, "AtoB", others, seed, None, torch.float32)[(..., *window)]

        generator = torch.Generator().manual_seed(seed) if self.task.exemplars else None
        y = filling.fill(x.float(), hole, complete, self.task.config.size, generator, progress)
        if images.is_grey(picture):
            y = y.mean(1, keepdim=True)
        if picture.alpha is not None:
            y = images.over_white(y, picture.alpha)
        both = max(y.shape[1], picture.tensor.shape[1])
        kept = picture.tensor.expand(-1, both, -1, -1)
        y = torch.where(hole > 0, y.expand(-1, both, -1, -1).to(kept.dtype), kept)
        return dataclasses.replace(picture, tensor=y, alpha=picture.alpha if keep_alpha else None)

    def hole(self, picture: Picture, mask: Picture | None) -> Tensor:
        """[1, 1, H, W], 1 where the picture is to be filled: where the mask is white. Raises UserError."""
        if mask is None:
            raise UserError(f"{self.name} fills what a mask marks white; give a mask of the picture's size")
        if mask.size != picture.size:
            (w, h), (width, height) = mask.size, picture.size
            raise UserError(f"the mask has {w} × {h} px, the picture {width} × {height}; both must be alike")
        return (images.with_channels(mask, 1) > 0).float()

    def check_size(self, picture: Picture) -> None:
        """Raises UserError where the result would be too large."""
        (width, height), factor = picture.size, self.task.enlarges
        if factor > 1 and factor**2 * width * height > LARGEST:
            raise UserError(
                f"{picture.name}: {width} × {height} px enlarged {factor} times are "
                f"{factor**2 * width * height / 1e6:.0f} megapixels; the most is {LARGEST / 1e6:.0f}, "
                "so give a smaller picture"
            )
