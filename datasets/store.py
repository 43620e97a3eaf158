"""Decoded pictures by number: kept in memory where they fit, unreadable ones replaced by their neighbour."""

import logging
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch import Tensor

from datasets.base import DataError

# What decoders raise for a damaged file.
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    RuntimeError,
    EOFError,
    KeyError,
    IndexError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
Loaded = tuple[Tensor, ...]

log = logging.getLogger(__name__)


class Store:
    """`count` decoded pictures (or pairs); `store(index)` gives the number really used and its tensors.

    An unreadable one is named once on stderr and the next readable number takes its place, a rule that
    depends on the files alone, not on who asked first. More than one of them, and more than 1 %, is a
    DataError.
    """

    def __init__(
        self, count: int, load: Callable[[int], Loaded], where: Callable[[int], str], keep: bool
    ) -> None:
        self.count = count
        self.load = load
        self.where = where
        self.kept: dict[int, Loaded] | None = {} if keep else None
        self.bad: dict[int, str] = {}
        self.lock = threading.Lock()

    def __call__(self, index: int) -> tuple[int, Loaded]:
        for step in range(self.count):
            number = (index + step) % self.count
            if self.kept is not None and number in self.kept:
                return number, self.kept[number]
            if number in self.bad:
                continue
            try:
                loaded = self.load(number)
            except DataError:
                raise
            except UNREADABLE as error:
                self.skip(number, error)
                continue
            if self.kept is not None:
                self.kept[number] = loaded
            return number, loaded
        raise DataError(f"no picture can be read: {self.reasons()}")

    def skip(self, number: int, error: Exception) -> None:
        """Note an unreadable picture; raises DataError when there are too many."""
        with self.lock:
            if number not in self.bad:
                self.bad[number] = f"{self.where(number)} ({reason(error)})"
                log.warning("skipped an unreadable picture: %s", self.bad[number])
            if len(self.bad) > max(1, self.count // 100):
                raise DataError(
                    f"{len(self.bad)} of {self.count} pictures cannot be read, more than 1 %; "
                    "mend or remove them: " + self.reasons()
                )

    def reasons(self) -> str:
        shown = [self.bad[number] for number in sorted(self.bad)[:3]]
        return ", ".join(shown) + (", ..." if len(self.bad) > 3 else "")


def reason(error: Exception) -> str:
    """Why a picture cannot be read, in a few words on one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture in a format known here"
    return " ".join(str(error).split()) or type(error).__name__


def keeps(cache: str, size: float) -> bool:
    """Whether to keep `size` bytes of decoded pictures: cache "on", "off", or "auto": below a quarter of the
    free memory, which the processes of this machine share."""
    if cache not in ("auto", "on", "off"):
        raise DataError(f'cache "{cache}" is unknown: choose auto, on or off')
    if cache != "auto":
        return cache == "on"
    return size < free_memory() / 4 / int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def free_memory() -> int:
    """Bytes this process may still take: what the machine has free, or what its container allows, if less."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cached_files = int(stat.get("inactive_file", 0))  # counted as used, given back when asked for
        free = min(free, int((group / "memory.max").read_text()) - used + cached_files)
    except (OSError, ValueError):  # no cgroup, or no limit ("max")
        pass
    return free
