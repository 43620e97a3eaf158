"""Pictures of several frames or pages: GIF, WebP, APNG and TIFF, read and put together again."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from translate.config import UserError
from translate.inference import decoding, images
from translate.inference.images import Picture

KINDS = ("GIF", "WEBP", "PNG", "TIFF")  # that may hold several; JPEGs of two eyes and bursts of phones do not
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
SPELT = {".jpeg": ".jpg", ".tif": ".tiff"}
LARGEST = 1_500_000_000  # pixels of all frames, that is bytes times 3 or 4 in memory


@dataclass(frozen=True)
class Film:
    """Frames or pages in order: their file, milliseconds each (0: pages), and how often they are shown."""

    source: Path
    count: int
    durations: list[int]
    loops: int | None  # 0: for ever; None: once, where a file does not say

    def __iter__(self) -> Iterator[Picture]:
        """The frames, decoded one at a time. Raises UserError for a damaged one, naming it."""
        with decoding.opened(self.source) as image:
            for number in frame_numbers(image):
                name = f"{self.source}, frame {number + 1}"
                try:
                    image.seek(number)
                    # GIF's frames are patches on those before; a copy has the whole.
                    frame = image.copy()
                except Exception as error:
                    raise UserError(f"{name} is damaged ({error}); save it again or use a copy") from None
                frame.format = image.format
                picture = images.decode(frame, name=name)
                yield dataclasses.replace(picture, format=image.format, metadata=images.Metadata.of(image))


def frame_numbers(image: Image.Image) -> range:
    """Those to be shown: an APNG may begin with a picture for programs that know no frames."""
    return range(1 if image.info.get("default_image") else 0, getattr(image, "n_frames", 1))


def film(source: Path) -> Film | None:
    """The frames of a file that has several; None where it has one, or cannot be read (`images.decode` says
    why). Raises UserError where they are too large together."""
    try:
        with decoding.opened(source) as image:
            numbers = frame_numbers(image)
            if image.format not in KINDS or len(numbers) < 2:
                return None
            if image.width * image.height * len(numbers) > LARGEST:
                raise UserError(
                    f"{source} has {len(numbers):,} frames of {image.width} x {image.height} pixels, "
                    "more than fit in memory; cut it into parts"
                )
            durations = []
            for number in numbers:
                image.seek(number)
                if image.format == "WEBP":
                    image.load()  # only then it tells
                durations.append(int(image.info.get("duration", 0) or 0))
            return Film(source, len(numbers), durations, image.info.get("loop"))
    except UserError:
        raise
    except Exception:  # whatever the decoders raise for a damaged file
        return None


def rendered(
    source: Path, suffix: str, one: Callable[[Picture], Picture], options: dict
) -> tuple[bytes, str | None]:
    """The bytes of a file with that suffix: of all frames where source and suffix can hold several, else of
    the picture; and a remark about what is left out. Raises UserError."""
    found = film(source)
    if found and suffix in FORMATS:
        return translated(found, FORMATS[suffix], one, options)
    result = one(images.decode(source))
    format = next(name for name, own in images.SUFFIXES.items() if own == SPELT.get(suffix, suffix))
    remark = found and f"only the first of its {found.count} frames; name .gif, .webp or .png for all"
    return images.encode(result.tensor, result, format, **options), remark


def translated(
    found: Film, format: str, one: Callable[[Picture], Picture], options: dict
) -> tuple[bytes, str | None]:
    """The file of all frames, each made by `one`, and a remark about what it cannot hold.

    options: of `images.encode`. Raises UserError.
    """
    made: list[Image.Image] = []
    deep = False
    for picture in found:
        result = one(picture)
        deep |= result.bits == 16
        made.append(images.to_image(result.tensor, dataclasses.replace(result, bits=8)))
    timed = any(found.durations)
    remark = None
    if deep:
        remark = "its pages are written with 8 bits a channel"
    elif format == "TIFF" and timed:
        remark = "TIFF holds pages without durations; name .gif, .webp or .png to keep these"
    return assembled(made, format, found, options), remark


def joined(pictures: list[Picture], suffix: str, milliseconds: int) -> bytes:
    """A film of these frames, all of one size, shown for ever: the bytes of a file with that suffix."""
    made = [images.to_image(picture.tensor).convert("RGB") for picture in pictures]
    found = Film(Path(f"film{suffix}"), len(made), [milliseconds] * len(made), 0)
    return assembled(made, FORMATS[suffix], found, {})


def assembled(made: list[Image.Image], format: str, found: Film, options: dict) -> bytes:
    shown = [duration or 100 for duration in found.durations]  # what viewers make of 0
    timing: dict = {"duration": shown, "loop": 1 if found.loops is None else found.loops}
    if format == "GIF" and found.loops is None:
        del timing["loop"]  # no note of loops: once
    settings = {
        "GIF": timing | dict(disposal=2, optimize=False),
        "WEBP": timing | dict(quality=options.get("quality", 95), lossless=options.get("lossless", False)),
        "PNG": timing | dict(compress_level=6),
        "TIFF": dict(compression="tiff_adobe_deflate"),
    }[format]
    file = io.BytesIO()
    try:
        made[0].save(file, format, save_all=True, append_images=made[1:], **settings)
    except (OSError, ValueError) as error:
        raise UserError(f"{found.source}: {len(made)} frames cannot be a {format} ({error})") from None
    return file.getvalue()
