"""This visit's results: kept on the disk as raw pixels, encoded when somebody wants a file of them.

A PNG of 12 megapixels takes a core six seconds, and few results are downloaded.
"""

import dataclasses
import filecmp
import functools
import io
import secrets
import shutil
import threading
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from translate.config import UserError
from translate.inference import images
from translate.inference.images import Picture
from translate.ui.pictures import folder, lay
from translate.ui.words import W

MOST = 24  # results of a visit
MOST_BYTES = 1 << 29  # of a visit's results; the newest is kept in any case
ALL_BYTES = 2 << 30  # of everybody's
STRIP = 512  # rows at a time
LARGE = 16_000_000  # pixels beyond which they are float16 in memory
SIDE = 1600  # pixels, the longer side of what is shown
EXACT = 512 * 512  # pixels up to which what is shown has no loss
THUMBNAIL = 160
WRITABLE = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Made:
    """What a handler hands to the page."""

    pictures: tuple[Picture, ...]  # at full size and depth
    note: str
    stem: str  # of files' names
    title: str = ""  # what made it: the model in words
    before: Picture | None = None  # of the first one
    labels: tuple[str, str] = (W.common.before, W.common.after)
    source: str = ""  # what browsers can show of what was given
    shown: int = SIDE
    alt: tuple[str, ...] = ()  # a few words about each picture

    @functools.cached_property
    def file(self) -> Path:
        """A PNG of the picture, or of all of them in a grid, in the page's folder."""
        return lay(f"{self.stem}.png", written(self.pictures, "PNG", 92))


def written(pictures: tuple[Picture, ...], format: str, quality: int) -> bytes:
    """One file. Raises UserError where the format cannot hold it."""
    if format not in WRITABLE:
        raise UserError(W.visit.no_such_format.format(known=", ".join(WRITABLE)))
    one = pictures[0]
    if len(pictures) > 1:
        one = Picture(tensor=images.grid([picture.tensor for picture in pictures]))
    return images.encode(one.tensor, one, format, quality=int(min(100, max(1, quality))))


@dataclass(frozen=True)
class Stored:
    """A result of this visit."""

    token: str
    tab: str  # where it was made
    made: Made = field(repr=False)  # its pictures without pixels
    folder: Path = field(repr=False)
    sizes: tuple[tuple[int, int], ...]
    clear: tuple[bool, ...]  # whether the last channel is alpha
    bytes: int
    live: bool  # made while something is drawn: the next such one takes its place
    after: tuple[Path, ...] = field(repr=False)  # what browsers show of the pictures
    before: Path | None = field(repr=False)

    def shown(self, number: int) -> Path:
        return self.after[number]

    @property
    def thumbnail(self) -> Path:
        return self.folder / "thumbnail.webp"

    def picture(self, number: int) -> Picture:
        """As it was made, to a grey level. Raises UserError."""
        try:
            pixels = np.load(self.folder / f"{number}.npy", mmap_mode="r")
        except OSError:
            raise UserError(W.visit.result_is_gone) from None
        clear, like = self.clear[number], self.made.pictures[number]
        height, width, channels = pixels.shape
        large = torch.float16 if like.bits == 8 and height * width > LARGE else torch.float32
        whole = torch.empty(1, channels, height, width, dtype=large)
        for top in range(0, height, STRIP):
            rows = torch.from_numpy(pixels[top : top + STRIP].astype(np.float32))
            whole[0, :, top : top + STRIP] = rows.permute(2, 0, 1) / ((2**like.bits - 1) / 2) - 1
        if not clear:
            return dataclasses.replace(like, tensor=whole)
        alpha = whole[:, -1:].add(1).div(2)
        return dataclasses.replace(like, tensor=images.over_white(whole[:, :-1], alpha), alpha=alpha)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, number: int, format: str = "PNG", quality: float = 92) -> Path:
        """A file of picture `number`, or of all in a grid where it is -1. Raises UserError."""
        numbers = range(len(self.sizes)) if number < 0 else [number]
        if not 0 <= max(numbers) < len(self.sizes):
            raise UserError(W.visit.no_such_picture)
        name = f"{self.made.stem}-{number + 1}" if number >= 0 and len(self.sizes) > 1 else self.made.stem
        data = written(tuple(self.picture(n) for n in numbers), format, quality)
        return lay(name + images.SUFFIXES[format], data)


class Visits:
    """The results of every visitor of the page, the newest few."""

    def __init__(self):
        self.known: OrderedDict[str, list[Stored]] = OrderedDict()
        self.lock = threading.Lock()

    def of(self, visitor: str) -> list[Stored]:
        """The oldest first."""
        return [*self.known.get(visitor, ())]

    def find(self, visitor: str, token: object) -> Stored:
        """Raises UserError for a result that is not this visitor's."""
        for kept in self.of(visitor):
            if kept.token == token:
                return kept
        raise UserError(W.visit.result_is_gone)

    def keep(self, visitor: str, made: Made, tab: str, live: bool = False) -> Stored:
        token = secrets.token_urlsafe(4)  # of one visit; short, so that an event can name all of them
        place = folder() / "visits" / secrets.token_hex(12)
        place.mkdir(parents=True)
        clear = tuple(laid_out(picture, place / f"{n}.npy") for n, picture in enumerate(made.pictures))
        small = place / "thumbnail.webp"
        after = tuple(
            visible(picture, place / f"{number}-after", made.shown, live, small if number == 0 else None)
            for number, picture in enumerate(made.pictures)
        )
        before = visible(made.before, place / "0-before", made.shown) if made.before is not None else None
        bare = tuple(dataclasses.replace(p, tensor=torch.empty(0), alpha=None) for p in made.pictures)
        sizes, size = tuple(p.size for p in made.pictures), sum(f.stat().st_size for f in place.iterdir())
        made = dataclasses.replace(made, pictures=bare, before=None)
        kept = Stored(token, tab, made, place, sizes, clear, size, live, after, before)
        with self.lock:
            self.known.setdefault(visitor, []).append(kept)
            self.known.move_to_end(visitor)
            own = self.known[visitor]
            if len(own) > 1 and (live and own[-2].live and own[-2].tab == tab or same(own[-2], kept)):
                own.pop(-2).discard()
            while len(own) > MOST or len(own) > 1 and sum(k.bytes for k in own) > MOST_BYTES:
                own.pop(0).discard()
            while len(self.known) > 1 and sum(k.bytes for o in self.known.values() for k in o) > ALL_BYTES:
                self._forget(next(iter(self.known)))
        return kept

    def forget(self, visitor: str) -> None:
        with self.lock:
            self._forget(visitor)

    def _forget(self, visitor: str) -> None:
        for kept in self.known.pop(visitor, ()):
            kept.discard()

    def archive(self, visitor: str, tokens: list[str]) -> Path:
        """A zip of PNGs of the results, every picture of each. Raises UserError."""
        chosen = [kept for kept in self.of(visitor) if kept.token in tokens]
        if not chosen:
            raise UserError(W.visit.nothing_to_pack)
        file, names = io.BytesIO(), set()
        with zipfile.ZipFile(file, "w") as archive:
            for kept in chosen:
                for number in range(len(kept.sizes)):
                    stem = kept.made.stem + (f"-{number + 1}" if len(kept.sizes) > 1 else "")
                    name, again = f"{stem}.png", 2
                    while name in names:
                        name, again = f"{stem}-{again}.png", again + 1
                    names.add(name)
                    archive.writestr(name, written((kept.picture(number),), "PNG", 92))
        return lay("results.zip", file.getvalue())


def same(one: Stored, other: Stored) -> bool:
    """Whether one was asked for twice, as by a click on an example of a model that was just chosen."""
    alike = one.tab == other.tab and one.made.title == other.made.title and one.sizes == other.sizes
    files = [f"{number}.npy" for number in range(len(one.sizes))]
    return alike and not any(filecmp.cmpfiles(one.folder, other.folder, files, shallow=False)[1:])


def laid_out(picture: Picture, file: Path) -> bool:
    """Writes the pixels as a file would hold them; returns whether the last channel is alpha."""
    pixels = images.quantised(picture.tensor, picture, picture.bits)
    np.save(file, pixels)
    return pixels.shape[-1] > picture.tensor.shape[-3] and picture.alpha is not None


def visible(
    picture: Picture, stem: Path, side: int, live: bool = False, thumbnail: Path | None = None
) -> Path:
    """Writes what browsers show, with the suffix of its format: without loss where that is small. live: soon
    another takes its place; a PNG would take longer than a stroke should wait. thumbnail: where
    a small one goes. Returns the file.
    """
    image = images.to_image(picture.tensor, Picture(tensor=picture.tensor, alpha=picture.alpha))
    image.thumbnail((side, side))
    if "A" in image.mode or image.width * image.height <= EXACT and not live:
        file = stem.with_suffix(".png")
        image.save(file, compress_level=2)
    else:
        file = stem.with_suffix(".jpg")
        image.save(file, quality=92, subsampling=0)
    if thumbnail:
        image.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2.0)
        image.save(thumbnail, quality=85, method=0)
    return file
