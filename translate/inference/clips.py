"""Short films through a model of single pictures: GIF, WebP, APNG and videos; the same kind comes out.

A network with norms over the picture (instance norm) sees each frame's own contrast, so that its colours
flicker when something enters. Over a clip the statistics are held at their mean over a few of its frames.
"""

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from translate.config import UserError
from translate.inference import animation, images, tiling
from translate.inference.images import Picture

VIDEOS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v")
MOST_FRAMES = 900  # of a clip
SHOWN = 3  # frames whose statistics are held, evenly from all over it
MOST_PACKED = 1 << 30  # bytes of the files in a zip, unpacked
One = Callable[[Picture], Picture]
Report = Callable[[int, int], None]  # (frames done, of)


class Steady:
    """Statistics of a network's norms: each frame's own while `learning`, then their means."""

    def __init__(self):
        self.learning, self.at = True, 0
        self.parts: list[list[tuple[int, Tensor, Tensor]]] = []  # of each norm, in the order of calls
        self.known: list[tuple[Tensor, Tensor]] = []

    def norm(self, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] that x [1, C, h, w] is to be normalised with; see `tiling.InStep.norm`."""
        at, size = self.at, x.shape[1] // groups
        self.at += 1
        if not self.learning:
            mean, variance = self.known[at]
            return mean.repeat_interleave(size), variance.repeat_interleave(size)
        values = x[0].float().reshape(groups, -1)
        variance, mean = torch.var_mean(values, 1, correction=0)
        if at == len(self.parts):
            self.parts.append([])
        self.parts[at].append((values.shape[1], mean, variance))
        return mean.repeat_interleave(size), variance.repeat_interleave(size)

    def hold(self) -> None:
        self.known = [tiling.pool(parts) for parts in self.parts]
        self.learning = False

    @contextlib.contextmanager
    def frame(self, network: nn.Module) -> Iterator[None]:
        """Inside, `network` in this thread makes one frame with these statistics."""
        self.at = 0
        with tiling.shared_norms(network), tiling.asking(self):
            yield


class Clip:
    """A film that can be read several times. Raises UserError where it cannot be read, or is too long."""

    def __init__(self, source: Path, max_pixels: int):
        self.source, self.max_pixels = source, max_pixels
        self.film = None if source.suffix.lower() in VIDEOS else animation.film(source)
        self.rate, self.size, self.count = Fraction(10), (0, 0), 0
        if self.film is not None:
            self.count = self.film.count
        else:
            with self.opened() as (container, stream):
                self.rate = stream.average_rate or Fraction(25)
                self.size = stream.width, stream.height
                self.count = stream.frames or sum(1 for _ in container.decode(stream))
        if self.count > MOST_FRAMES:
            raise UserError(
                f"{source.name} has {self.count:,} frames; the most is {MOST_FRAMES}: cut it into parts"
            )
        if self.size[0] * self.size[1] > max_pixels:
            raise UserError(f"{source.name} is too large; the most is {max_pixels / 1e6:.0f} megapixels")

    @contextlib.contextmanager
    def opened(self):
        try:
            import av
        except ImportError:
            raise UserError(f"{self.source.name}: videos need the package av; `pip install av`") from None
        try:
            with av.open(str(self.source)) as container:
                if not container.streams.video:
                    raise UserError(f"{self.source.name} has no pictures in it")
                yield container, container.streams.video[0]
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.source.name} cannot be read as a video ({error})") from None

    def __iter__(self) -> Iterator[Picture]:
        if self.film is not None:
            yield from self.film
            return
        with self.opened() as (container, stream):
            for number, frame in enumerate(container.decode(stream)):
                if number == MOST_FRAMES:
                    return
                yield images.decode(frame.to_image(), name=f"{self.source.name}, frame {number + 1}")

    def translated(self, network: nn.Module, one: One, report: Report | None = None) -> tuple[bytes, str]:
        """The bytes of the clip with each frame made by `one`, and their suffix."""
        steady, looked = Steady(), {number * self.count // SHOWN for number in range(SHOWN)}
        if any(map(tiling.is_spatial_norm, network.modules())):
            for number, picture in enumerate(self):
                if number in looked:
                    with steady.frame(network):
                        one(picture)
            steady.hold()

        done = 0

        def made(picture: Picture) -> Picture:
            nonlocal done
            with steady.frame(network) if steady.known else contextlib.nullcontext():
                result = one(picture)
            done += 1
            if report:
                report(done, self.count)
            return result

        if self.film is not None:
            suffix = self.source.suffix.lower()
            suffix = suffix if suffix in animation.FORMATS else ".gif"
            return animation.translated(self.film, animation.FORMATS[suffix], made, {})[0], suffix
        return self.encoded(made(picture) for picture in self), ".mp4"

    def encoded(self, pictures: Iterator[Picture]) -> bytes:
        """H.264 in MP4, with sides made even and without sound."""
        import av

        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = None
            for picture in pictures:
                image = images.to_image(picture.tensor, Picture(tensor=picture.tensor)).convert("RGB")
                image = image.crop((0, 0, max(2, image.width // 2 * 2), max(2, image.height // 2 * 2)))
                if stream is None:
                    stream = container.add_stream("libx264", rate=self.rate, options={"crf": "18"})
                    stream.width, stream.height, stream.pix_fmt = *image.size, "yuv420p"
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            if stream is None:
                raise UserError(f"{self.source.name} has no frames")
            container.mux(stream.encode())
        return file.getvalue()


def is_clip(source: Path) -> bool:
    """Whether it has several frames to be shown one after another; pages of a TIFF are pictures."""
    if source.suffix.lower() in VIDEOS:
        return True
    with contextlib.suppress(UserError):
        found = animation.film(source)
        return found is not None and any(found.durations)
    return False


def unpacked(source: Path, folder: Path, most: int) -> list[Path]:
    """The pictures and clips of a zip as files in `folder`, under bare names. Raises UserError."""
    known, found, left = {*images.SUFFIXES.values(), *VIDEOS, ".jpeg", ".tif", ".gif"}, [], MOST_PACKED
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                name = Path(member.filename.replace("\\", "/")).name
                hidden = name.startswith((".", "__")) or member.filename.startswith("__MACOSX")
                if member.is_dir() or hidden or Path(name).suffix.lower() not in known:
                    continue
                if member.flag_bits & 1:
                    raise UserError(f"{source.name} asks for a password; pack it without one")
                if len(found) == most:
                    raise UserError(f"{source.name} holds more than {most} pictures, the most at a time")
                place = folder / f"{len(found)}" / name[-100:]
                place.parent.mkdir(parents=True)
                with archive.open(member) as packed, place.open("wb") as file:
                    while part := packed.read(1 << 20):
                        left -= len(part)
                        if left < 0:
                            raise UserError(f"{source.name} unpacks to more than {MOST_PACKED >> 30} GB")
                        file.write(part)
                found.append(place)
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError) as error:
        raise UserError(f"{source.name} cannot be unpacked ({error}); pack it again") from None
    if not found:
        raise UserError(f"{source.name} holds no pictures")
    return found
