"""What a model is judged on: pictures it makes, real ones, and those of a perfect and of a trivial model."""

import dataclasses
import functools
import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from translate import inputs
from translate.config import UserError
from translate.machine import cache_folder
from translate.metrics.features import FeatureNetwork, eight_bits
from translate.task import Task
from translate.training.checkpoint import replace_file, save_tensors
from translate.training.stream import collate

BATCH = 16
KEPT = 64  # files of features in the cache; the oldest go first
TRUTHS = ("paired", "lowres")  # kinds of data that have the picture a model should have made
ALIKE, EACH = 40, 6  # inputs of which several pictures are made, by so many noises


@dataclass
class Evidence:
    """Pictures are uint8 [N, 3, H, W], or lists of [1, 3, H, W] where they differ in size (`of_pairs`).

    floor: other real pictures, as many as `made` where there are so many: what perfection scores.
    trivial: what doing nothing gives: the input copied, or the mean picture again and again.
    """

    task: Task
    direction: str
    made: Tensor
    real: Tensor
    floor: Tensor | None
    trivial: Tensor
    trivial_is: str
    train: Tensor
    held_out: Tensor | None  # None where the data has no test part
    split: str
    seconds: float  # for a picture
    noise: Tensor | None = None  # [N, ...] that `made` came from
    truths: Tensor | None = None  # of `made`, in order
    alike: Tensor | None = None  # uint8 [inputs, n, 3, H, W]: of one input, by several noises
    captions: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)  # of the captions' pictures
    generate: Callable[[Tensor], Tensor] | None = None  # noise to pictures, all else held
    shown: Tensor | None = None  # real pictures of the captions, in order

    def __post_init__(self):
        self.known: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}

    @functools.cached_property
    def reference(self) -> str:
        """The first 16 digits of the SHA-256 of the real pictures: which data the scores are of."""
        digest = hashlib.sha256()
        for pictures in (self.real, [] if self.truths is None else self.truths):
            for part in pictures.split(256) if isinstance(pictures, Tensor) else pictures:
                digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def features(self, pictures: Tensor, net: FeatureNetwork) -> Tensor:
        """[N, D]; those of real pictures are kept on disk."""
        key = id(pictures), net.name
        if key not in self.known:
            real = any(pictures is x for x in (self.real, self.floor, self.train, self.held_out))
            features = cached(pictures, net) if real else look(pictures, net)
            self.known[key] = pictures, features  # the pictures, so that no others get their id
        return self.known[key][1]


@torch.inference_mode()
def look(pictures: Tensor, net: FeatureNetwork) -> Tensor:
    """Features [N, D] of uint8 [N, 3, H, W]."""
    device = next(net.parameters(), torch.empty(0)).device
    return torch.cat([net(part.to(device)).float().cpu() for part in pictures.split(BATCH)])


def cached(pictures: Tensor, net: FeatureNetwork) -> Tensor:
    """`look`, kept on disk by the content of the pictures and the weights of the network."""
    digest = hashlib.sha256(f"{net.fingerprint} {net.resize} {tuple(pictures.shape)}".encode())
    for part in pictures.split(256):
        digest.update(part.contiguous().numpy().tobytes())
    path = cache_folder() / "features" / f"{digest.hexdigest()[:32]}.safetensors"
    try:
        if path.exists():
            found = load_file(path)["features"]
            if found.shape == (len(pictures), net.num_features):
                return found
    except (OSError, SafetensorError, KeyError) as error:
        print(f"note: {path} is damaged ({str(error).splitlines()[0]}); made anew", file=sys.stderr)
    made = look(pictures, net)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda new: save_tensors({"features": made}, new))
        files = sorted(path.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        print(f"note: features are not kept: {path.parent}: {error.strerror}", file=sys.stderr)
    return made


def spread(count: int, most: int) -> list[int]:
    """Up to `most` numbers below `count`, evenly spread."""
    most = min(count, most)
    return [i * count // most for i in range(most)]


def real_pictures(data, key: str, numbers: list[int]) -> Tensor:
    """The pictures of these samples, each once (an unpaired side is walked through again and again)."""
    pictures, seen = [], set()
    for number in numbers:
        sample = data.sample(number, torch.Generator().manual_seed(number))
        picture = eight_bits(sample[key][None])[0].contiguous()
        content = hashlib.sha256(picture.numpy().tobytes()).digest()
        if content not in seen:
            seen.add(content)
            pictures.append(picture)
    return torch.stack(pictures)


def sources(data, key: str, most: int) -> list[int]:
    """Numbers of samples whose `key` differs: inputs that are translated once."""
    numbers, seen = [], set()
    for number in spread(len(data), most):
        picture = data.sample(number, torch.Generator().manual_seed(number))[key]
        content = hashlib.sha256(picture.contiguous().numpy().tobytes()).digest()
        if content not in seen:
            seen.add(content)
            numbers.append(number)
    return numbers


def gather(
    task: Task,
    held_out,
    train,
    *,
    count: int = 1000,
    most_train: int = 10_000,
    seed: int = 0,
    direction: str = "AtoB",
    split: str = "test",
    progress: Callable[[int, int], None] = lambda done, of: None,
    like: Evidence | None = None,
) -> Evidence:
    """Let a model (in eval mode) make `count` pictures, or one of each input of a translator's data.

    held_out, train: data sets of the model's kind, without augmentation; where the data has no test part
    (`info["split"]` says so) its pictures are halved. split: which part is the reference. like: evidence
    gathered earlier with the same arguments, whose real pictures are taken over. Raises UserError.
    """
    source, target = task.sides(direction)
    translates = "image" in task.takes
    if train.sample(0, torch.Generator())[target].ndim != 3:
        raise UserError(f"{train.info['kind']} data is not pictures one by one; there are no scores of it")
    halved = held_out.info.get("split") != "test"
    tested = train if split == "train" or halved else held_out
    walked = translates and tested.info["kind"] not in TRUTHS  # again and again; pairs are each their own
    chosen = sources(tested, source, count) if walked else spread(len(tested), count)
    if len(chosen) < 2:
        raise UserError(f"{tested.info['name']} has one picture; scores need at least two")
    made, inputs_, truths, seconds, noise = generated(
        task, tested, chosen, len(chosen) if translates else count, seed, direction, progress
    )
    if like is not None:
        found = dataclasses.replace(like, task=task, made=made, seconds=seconds, noise=noise)
        found.known = {key: value for key, value in like.known.items() if key[0] != id(like.made)}
        return found
    known = real_pictures(train, target, spread(len(train), most_train))
    if halved:
        real, floor, left_out = known[0::2][:count], known[1::2][: len(made)], None
    else:
        left_out = real_pictures(held_out, target, spread(len(held_out), count))
        other = known[torch.tensor(spread(len(known), len(made)))]
        real, floor = (left_out, other) if split == "test" else (known[:count], left_out[: len(made)])
    if translates:
        side = [made.shape[-2], made.shape[-1]]
        trivial = inputs_ if list(inputs_.shape[-2:]) == side else enlarged(inputs_, side)
    else:
        mean = sum(part.float().sum(0) for part in known.split(256)) / len(known)
        trivial = mean.round().byte()[None].expand(len(made), -1, -1, -1)
    samples = (
        [tested.sample(i, torch.Generator().manual_seed(i)) for i in chosen] if "text" in task.takes else []
    )
    found = Evidence(
        task, direction, made, real, floor if len(floor) > 1 else None, trivial,
        "input copied" if translates else "mean picture", known, left_out,
        "train, halved" if halved else split, seconds, noise, truths,
    )  # fmt: skip
    if samples:
        of_captions = torch.cat([eight_bits(sample[target][None]) for sample in samples])
        found.shown = of_captions[torch.arange(len(made)) % len(samples)]
        found.captions = [samples[i % len(samples)]["caption"] for i in range(len(made))]
        kinds = [tested.kinds[i] for i in chosen] if hasattr(tested, "kinds") else list(map(str, chosen))
        found.kinds = [kinds[i % len(kinds)] for i in range(len(made))]
    if noise is not None:
        few = [chosen[i % len(chosen)] for i in range(min(ALIKE, len(made)))]
        fixed = values_of(task, tested, few[:1], direction)
        found.generate = lambda z: call(task, repeated(fixed, len(z)) | {"noise": z}, direction)
        if len(task.takes) > 1:
            found.alike = several(task, tested, few, seed, direction)
    return found


def values_of(task: Task, data, numbers: list[int], direction: str) -> dict[str, Any]:
    """Keywords of `generate` for these samples."""
    samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in numbers]
    return inputs.from_batch(task, collate(samples), direction)


def repeated(values: dict[str, Any], n: int) -> dict[str, Any]:
    """Keywords for one picture, for n of them."""
    return {k: v * n if isinstance(v, list) else v[:1].expand(n, *v.shape[1:]) for k, v in values.items()}


@torch.inference_mode()
def call(task: Task, values: dict[str, Any], direction: str) -> Tensor:
    """Pictures [B, C, H, W] in [-1, 1], on the CPU. Raises UserError for values that are no numbers."""
    y = task(direction=direction, **inputs.on_device(values, next(task.parameters()).device))
    y = y.float().cpu()
    if not torch.isfinite(y).all():
        raise UserError("the model gives values that are no numbers: its training went wrong; train it again")
    return y.clamp(-1, 1)


def generated(
    task: Task, data, chosen: list[int], count: int, seed: int, direction: str, progress: Callable
) -> tuple[Tensor, Tensor | None, Tensor | None, float, Tensor | None]:
    """`count` pictures made, their inputs and truths where there are any, seconds for one, and the noise."""
    source, target = task.sides(direction)
    generator = torch.Generator().manual_seed(seed)
    noise = inputs.INPUTS["noise"].draw(task, count, generator) if "noise" in task.takes else None
    made, given, truths, seconds = [], [], [], 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for first in range(0, count, BATCH):
            numbers = [chosen[i % len(chosen)] for i in range(first, min(first + BATCH, count))]
            samples = collate([data.sample(i, torch.Generator().manual_seed(i)) for i in numbers])
            values = inputs.from_batch(task, samples, direction)
            if noise is not None:
                values["noise"] = noise[first : first + BATCH]
            if "label" in values and data.info["kind"] == "labels":
                values["label"] = values["label"].to(torch.int64)
            start = time.perf_counter()
            made.append(eight_bits(call(task, values, direction)))
            seconds += time.perf_counter() - start
            if "image" in task.takes:
                given.append(eight_bits(samples[source]))
            if data.info["kind"] in TRUTHS:
                truths.append(eight_bits(samples[target]))
            progress(min(first + BATCH, count), count)
    joined = (torch.cat(parts) if parts else None for parts in (made, given, truths))
    return *joined, seconds / count, noise


def several(task: Task, data, numbers: list[int], seed: int, direction: str, n: int = EACH) -> Tensor:
    """[inputs, n, 3, H, W]: each input with n noises, the same ones for all."""
    noise = inputs.INPUTS["noise"].draw(task, n, torch.Generator().manual_seed(seed + 1))
    rows = [repeated(values_of(task, data, [number], direction), n) | {"noise": noise} for number in numbers]
    return torch.stack([eight_bits(call(task, values, direction)) for values in rows])


def of_pairs(
    task: Task, made: list[Tensor], truths: list[Tensor], trivial: list[Tensor], trivial_is: str, split: str
) -> Evidence:
    """Of pictures [1, C, H, W] in [-1, 1], whole and each of its own size, made of given inputs: for scores
    that hold them against their truths. trivial: what doing nothing makes of the inputs."""
    made, truths, trivial = ([eight_bits(x) for x in pictures] for pictures in (made, truths, trivial))
    return Evidence(
        task, "AtoB", made, truths, None, trivial, trivial_is, truths, None, split, 0.0, truths=truths
    )


def enlarged(pictures: Tensor, side: list[int]) -> Tensor:
    """uint8 [N, 3, h, w] by bicubic interpolation to `side`."""
    return F.interpolate(pictures.float(), side, mode="bicubic", antialias=True).clamp(0, 255).round().byte()
