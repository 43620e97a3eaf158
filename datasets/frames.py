"""Films: consecutive frames, from folders of pictures, animations, video files, or made here.

A folder of pictures is a film, in the order of the numbers in their names; a GIF, APNG or WebP of several
frames is one, and a video file (`pip install av`). `moving-digits` (Srivastava et al. 2015, arXiv 1502.04681:
two digits that bounce off the walls) and `bouncing-balls` (Sutskever et al. 2008) are made here, without end,
and say where everything is.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets import layouts
from datasets.base import DataError, Dataset, randint
from datasets.images import Request, describe
from datasets.pictures import brought, decode, probe
from datasets.sources import Empty, Files, Source
from datasets.store import UNREADABLE, Store, keeps, reason
from translate.inference import decoding

LAYOUT = (
    "DIR/FILM/*.png (the frames of each film in a folder of its own), animated GIFs, video files, "
    "or moving-digits, bouncing-balls"
)
VIDEOS = frozenset(".mp4 .mov .mkv .webm .avi .m4v .mpg .mpeg".split())
ANIMATED = (".gif", ".webp", ".apng")
BUILT_IN = ("moving-digits", "bouncing-balls")
COUNT, TEST = 10_000, 1_000_000_000  # films made here; numbers from TEST on are never trained on
TESTED = 200
BALLS = 3


class Film:
    """Frames by number: `read(start, count)` gives uint8 [count, C, H, W]."""

    def __init__(self, name: str, count: int, read: Callable[[int, int], Tensor]) -> None:
        self.name, self.count, self.read = name, count, read


class Frames(Dataset):
    """`frames` [T, C, size, size] in [-1, 1], T = `length`, oldest first; all cut by the same window."""

    def __init__(self, info: dict[str, Any], films: list[Film], request: Request) -> None:
        self.info, self.films, self.geometry = info, films, request.geometry
        self.length = request.length
        self.starts = [0, *accumulate(film.count - self.length + 1 for film in films)]
        info["count"] = self.starts[-1]
        first = films[0].read(0, 1)
        height, width = self.geometry.target(*first.shape[-2:])
        cost = sum(film.count for film in films) * first.shape[1] * height * width
        self.store = Store(len(films), self.load, lambda number: films[number].name, True)
        self.whole = keeps(request.cache, cost)

    def load(self, number: int) -> tuple[Tensor, ...]:
        return (self.fitted(self.films[number].read(0, self.films[number].count)),)

    def fitted(self, frames: Tensor) -> Tensor:
        return self.geometry.fit(frames)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number = bisect_right(self.starts, index) - 1
        start = index - self.starts[number]
        if self.whole:
            number, (film,) = self.store(number)
            start = min(start, len(film) - self.length)
            frames = film[start : start + self.length]
        else:
            frames = self.fitted(self.films[number].read(start, self.length))
        window = self.geometry.window(*frames.shape[-2:], generator)
        cut = torch.stack([self.geometry.cut(frame, window) for frame in frames])
        file = f"{self.films[number].name}, frames {start + 1} to {start + self.length}"
        return {"frames": cut, "index": index, "file": file}


# --- films of files -------------------------------------------------------------------------------------


def films_of(source: Files, channels: int) -> list[Film]:
    """The animations of a source, and each folder of its still pictures."""
    films, stills = [], {}
    for number, name in enumerate(source.names):
        if name.lower().endswith(ANIMATED) and (count := animated(source, number)) > 1:
            films.append(animation(source, number, count, channels))
        else:
            stills.setdefault(os.path.dirname(name), []).append(number)
    for folder, numbers in stills.items():
        numbers.sort(key=lambda number: natural(source.names[number]))
        films.append(stack(source, numbers, folder, channels))
    return films


def natural(name: str) -> list:
    """A key by which frame-10 comes after frame-9."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def stack(source: Files, numbers: list[int], folder: str, channels: int) -> Film:
    def read(start: int, count: int) -> Tensor:
        frames = [decode(source.read(number), channels, 8) for number in numbers[start : start + count]]
        if len({frame.shape for frame in frames}) > 1:
            raise ValueError("its frames have different sizes")
        return torch.stack(frames)

    return Film(f"{source.path}/{folder}".rstrip("/"), len(numbers), read)


def animated(source: Source, number: int) -> int:
    """How many frames a file has; 1 where it cannot be read."""
    try:
        with decoding.opened(source.read(number)) as image:
            return getattr(image, "n_frames", 1)
    except UNREADABLE:
        return 1


def animation(source: Source, number: int, frames: int, channels: int) -> Film:
    def read(start: int, count: int) -> Tensor:
        found = []
        with decoding.opened(source.read(number)) as image:
            for place in range(start, start + count):
                image.seek(place)
                frame, _ = decoding.pixels(image.copy())
                found.append(brought(torch.from_numpy(frame).permute(2, 0, 1), channels, 8))
        return torch.stack(found)

    return Film(source.where(number), frames, read)


def videos_at(place: Path, split: str) -> tuple[list[Path], str]:
    """The video files of a part, and which part it is."""
    if place.is_file():
        return ([place] if place.suffix.lower() in VIDEOS else []), "train"
    if not place.is_dir():
        return [], split
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in VIDEOS)
    named = {
        path: next((p for p in path.relative_to(place).parts[:-1] if p in layouts.PARTS), "")
        for path in found
    }
    test = [path for path in found if named[path] in layouts.TESTS]
    train = [path for path in found if path not in test]
    return (test, "test") if split == "test" and test else (train, "train")


def video(path: Path) -> Film:
    """Raises DataError where PyAV is missing or the file cannot be read."""
    try:
        import av
    except ImportError:
        raise DataError(
            f"{path} is a video file: `pip install av` to read it, or save it as frames"
        ) from None

    def read(start: int, count: int) -> Tensor:
        found = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            for place, frame in enumerate(container.decode(stream)):
                if place >= start + count:
                    break
                if place >= start:
                    found.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
        return torch.stack(found).permute(0, 3, 1, 2)

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            count = stream.frames or sum(1 for _ in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise DataError(f"{path} is no video that can be read ({error})") from None
    return Film(str(path), count, read)


# --- films made here ------------------------------------------------------------------------------------


class Made(Dataset):
    """Films by number; `positions` [T, N, 2] are the centres of what moves, in pixels from the top left."""

    def __init__(self, name: str, count: int, split: str, request: Request) -> None:
        self.name, self.size, self.length = name, request.geometry.size, request.length
        self.first = TEST if split == "test" else 0
        self.info = describe("frames", name, count, {"frames": 1}, 8, split)
        self.draw = moving_digits if name == "moving-digits" else bouncing_balls
        self.part = split

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        rng = torch.Generator().manual_seed(self.first + index)
        frames, positions = self.draw(self.size, self.length, self.part, rng)
        return {
            "frames": frames[:, None] * 2 - 1, "positions": positions, "index": index,
            "file": f"{self.name} {index}",
        }  # fmt: skip


def bounced(start: Tensor, speed: Tensor, times: Tensor, room: float) -> Tensor:
    """Where something is at these times [T] that moves straight between walls at 0 and `room`: [T, 2]."""
    place = (start + speed * times[:, None]) % (2 * room)
    return room - (place - room).abs()


def moving_digits(size: int, length: int, part: str, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two of scikit-learn's digits, 28/64 of the side, 3 to 5 pixels of 64 a frame; the brighter wins."""
    from datasets.arrays import digits

    pixels = digits().parts[part][0]
    side = round(size * 28 / 64)
    room, times = size - side, torch.arange(length)
    film, positions = torch.zeros(length, size, size), []
    for _ in range(2):
        digit = torch.from_numpy(pixels[randint(len(pixels), rng)][0]).float().div(255)
        digit = F.interpolate(digit[None, None], (side, side), mode="bicubic")[0, 0].clamp(0, 1)
        angle, speed = torch.rand(2, generator=rng) * torch.tensor([2 * torch.pi, 2.0])
        step = (speed + 3) * size / 64 * torch.stack([angle.sin(), angle.cos()])
        corners = bounced(torch.rand(2, generator=rng) * room, step, times, room).round()
        for frame, (top, left) in zip(film, corners.int().tolist(), strict=True):
            place = frame[top : top + side, left : left + side]
            torch.maximum(place, digit, out=place)
        positions.append(corners + (side - 1) / 2)
    return film, torch.stack(positions, 1)


def bouncing_balls(size: int, length: int, part: str, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three balls of equal mass, radius an eighth of the side, that bounce off the walls and each other."""
    radius = size / 8
    while True:
        x = radius + torch.rand(BALLS, 2, generator=rng) * (size - 1 - 2 * radius)
        if torch.pdist(x).min() > 2 * radius:
            break
    v = torch.randn(BALLS, 2, generator=rng)
    v = v / v.norm() * size / 16 * BALLS**0.5
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    film, positions, parts = [], [], 20
    for _ in range(length):
        away = ((rows[None] - x[:, 0, None, None]) ** 2 + (columns[None] - x[:, 1, None, None]) ** 2).sqrt()
        film.append((radius - away + 0.5).clamp(0, 1).amax(0))
        positions.append(x.clone())
        for _ in range(parts):
            x = x + v / parts
            out = ((x < radius) & (v < 0)) | ((x > size - 1 - radius) & (v > 0))
            v = torch.where(out, -v, v)
            for i in range(BALLS):
                for j in range(i):
                    between = x[i] - x[j]
                    along = between / between.norm().clamp(min=1e-6)
                    nearing = torch.dot(v[i] - v[j], along)
                    if between.norm() < 2 * radius and nearing < 0:  # equal masses exchange these parts
                        v[i], v[j] = v[i] - nearing * along, v[j] + nearing * along
    return torch.stack(film), torch.stack(positions)


# --- loading --------------------------------------------------------------------------------------------


def load(request: Request) -> Dataset:
    """Films of at least `length` frames; shorter ones are left out, and a DataError where none is left."""
    if request.length < 2:
        raise DataError(f"--length {request.length} is too short for a film: 2 at least")
    name, limited, count = request.data.partition(":")
    if name in BUILT_IN:
        if limited and not (count.isdecimal() and int(count) > 0):
            raise DataError(f'"{request.data}" should be {name} or {name}:COUNT, such as {name}:1000')
        usual = TESTED if request.split == "test" else COUNT
        return Made(name, min(usual, int(count)) if limited else usual, request.split, request)
    films, split, channels = films_at(request)
    long = [film for film in films if film.count >= request.length]
    if not long:
        longest = max(films, key=lambda film: film.count)
        raise DataError(
            f"--length {request.length} frames are more than any film in {request.data} has: "
            f"{longest.name} has {longest.count}"
        )
    info = describe("frames", layouts.human(request.data), 0, {"frames": channels}, 8, split)
    try:
        return Frames(info, long, request)
    except UNREADABLE as error:
        raise DataError(f"{long[0].name} cannot be read ({reason(error)})") from None


def films_at(request: Request) -> tuple[list[Film], str, int]:
    """The films of a part, which part it is, and the channels of their frames."""
    paths, split = videos_at(Path(request.data).expanduser(), request.split)
    if paths:
        return [video(path) for path in paths], split, 3
    part = layouts.one(request.data, request.split)
    if not isinstance(part.chosen, Files):
        raise DataError(f"frames data needs {LAYOUT}; {request.data} is none of these")
    like = probe(part.train)
    films = films_of(part.chosen, like.channels)
    if not films:
        raise Empty(request.data)
    return films, part.split, like.channels
