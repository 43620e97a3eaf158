"""Where pictures come from: a folder, a zip, a folder in a zip, one file, tar shards, the Hub, arrays.

`open_source(path)` says which, and gives a `Source`: pictures by number.
"""

import difflib
import os
import re
import threading
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from datasets.base import DataError
from datasets.orders import shuffled
from translate.inference.files import READABLE

SUFFIXES = frozenset(READABLE)


class Empty(DataError):
    """A place without pictures."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(f"found 0 pictures in {path}")


class Source(ABC):
    """Pictures by number, as encoded bytes. Reading is thread-safe."""

    path: str  # as people write it
    single = False  # one picture is the whole domain
    mirrors = True  # a mirrored picture is as good

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The picture's name inside the source."""

    @abstractmethod
    def read(self, index: int) -> bytes: ...

    def where(self, index: int) -> str:
        """The picture's full name, for messages."""
        return f"{self.path}/{self.name(index)}"

    def order(self, epoch: int, seed: int) -> Tensor:
        """A permutation in which reading is cheap: [len], int64."""
        return shuffled(len(self), epoch, seed)

    def spread(self, limit: int) -> list[int]:
        """Up to `limit` numbers that stand for the whole and are cheap to read."""
        count = len(self)
        return [number * count // min(limit, count) for number in range(min(limit, count))]

    def under(self, folder: str) -> "Source | None":
        """The part inside a folder, None where there is none."""
        return None

    def folders(self) -> dict[str, int]:
        """The folders at the top and how many pictures each holds, "" standing for the top itself."""
        return {"": len(self)}

    def keys(self) -> Sequence[Hashable]:
        """What tells each picture's partner in another source: its name without suffix."""
        return [os.path.splitext(self.name(index))[0] for index in range(len(self))]

    def classes(self) -> tuple[list[str], list[int]] | None:
        """The names of the classes and the class of each picture, where the source states them itself."""
        return None

    def captions(self) -> list[list[str]] | None:
        """The sentences about each picture, where the source states them itself."""
        return None


class Files(Source):
    """Named pictures: `names` relative to `path`, `fetch(name)` their bytes."""

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        fetch: Callable[[str], bytes],
        *,
        single: bool = False,
        mirrors: bool = True,
    ) -> None:
        self.path, self.names, self.fetch, self.single, self.mirrors = path, names, fetch, single, mirrors

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def read(self, index: int) -> bytes:
        return self.fetch(self.names[index])

    def where(self, index: int) -> str:
        return self.path if self.single else super().where(index)

    def under(self, folder: str) -> "Files | None":
        prefix = f"{folder}/"
        inside = [name.removeprefix(prefix) for name in self.names if name.startswith(prefix)]
        if not inside:
            return None
        path = f"{self.path}/{folder}"
        return Files(path, inside, lambda name: self.fetch(prefix + name), mirrors=self.mirrors)

    def folders(self) -> dict[str, int]:
        return dict(Counter(name.partition("/")[0] if "/" in name else "" for name in self.names))


class Joined(Source):
    """Several sources as one."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = parts
        self.path = "+".join(part.path for part in parts)
        self.mirrors = all(part.mirrors for part in parts)
        self.places = [(part, number) for part in parts for number in range(len(part))]

    def __len__(self) -> int:
        return len(self.places)

    def name(self, index: int) -> str:
        part, number = self.places[index]
        return part.name(number)

    def read(self, index: int) -> bytes:
        part, number = self.places[index]
        return part.read(number)

    def where(self, index: int) -> str:
        part, number = self.places[index]
        return part.where(number)


class Chosen(Source):
    """Some of a source's pictures."""

    def __init__(self, source: Source, numbers: Sequence[int]) -> None:
        self.source, self.numbers = source, list(numbers)
        self.path, self.single, self.mirrors = source.path, source.single, source.mirrors

    def __len__(self) -> int:
        return len(self.numbers)

    def name(self, index: int) -> str:
        return self.source.name(self.numbers[index])

    def read(self, index: int) -> bytes:
        return self.source.read(self.numbers[index])

    def where(self, index: int) -> str:
        return self.source.where(self.numbers[index])

    def order(self, epoch: int, seed: int) -> Tensor:
        places = {number: index for index, number in enumerate(self.numbers)}
        order = self.source.order(epoch, seed)[:].tolist()
        return torch.tensor([places[number] for number in order if number in places])


def several(path: str) -> list[str]:
    """The places of `A+B+C`; one where a file or folder has that very name."""
    text = str(path)
    return [text] if Path(text).expanduser().exists() else [part for part in text.split("+") if part]


def open_source(path: str | Path) -> Source:
    """The pictures at `path`:

    DIR (recursive) | X.zip | X.zip/inner/folder | picture.jpg | X.zip/picture.jpg | X.tar, DIR/*.tar,
    name-{0000..0012}.tar | X.parquet | user/name on the Hub. The last three, and folders of parquet or tar
    files, may end in `:column`. | DIR with the files of MNIST, CIFAR-10 or SVHN | digits, scikit-learn's.
    Several of them joined by `+` are one.

    Raises DataError where nothing is there or nothing in it is a picture.
    """
    text = str(path)
    if len(places := several(text)) > 1:
        return Joined([open_source(place) for place in places])
    where = Path(text).expanduser()
    if is_shards(text):
        from datasets.shards import open_shards

        return open_shards(text)
    if where.is_dir():
        return open_folder(where)
    if where.is_file():
        return open_file(where)
    place, column = split_column(text)
    if column and (where := Path(place).expanduser()).exists():
        return open_folder(where, column) if where.is_dir() else open_file(where, column)
    for parent in where.parents:
        if parent.is_file():
            return open_zip(parent, where.relative_to(parent).as_posix())
        if parent.is_dir():
            break
    from datasets import arrays, hub

    if text == arrays.BUILT_IN:
        return arrays.digits()
    if hub.is_id(text):
        return hub.open_hub(text)
    if re.match(r"[a-z]+://", text):
        raise DataError(f"{text} is a URL, which is not read: download it and name the file or folder")
    forms = "a folder, a zip, a picture, tar shards, a parquet file, or user/name on the Hub"
    raise DataError(f"there is no {text}{nearest(where) or f': name {forms}'}")


def split_column(text: str) -> tuple[str, str | None]:
    """PATH:COLUMN -> PATH and COLUMN."""
    return re.fullmatch(r"(.*?)(?::([\w.]+))?", text).groups()


def open_folder(folder: Path, column: str | None = None) -> Source:
    from datasets import arrays, hub, shards

    if not column and (found := arrays.open_arrays(folder)):
        return found
    names = [] if column else sorted(walk(folder))
    for suffix, open_all in ((".tar", shards.open_all), (".parquet", hub.open_parquet)):
        if not names and (files := sorted(str(file) for file in folder.rglob(f"*{suffix}"))):
            return open_all(str(folder), files, column)
    if column:
        raise DataError(f"{folder} holds no parquet or tar files, so there is no column {column} in it")
    if not names:
        raise Empty(folder)
    return Files(str(folder), names, lambda name: (folder / name).read_bytes())


def walk(folder: Path) -> Iterable[str]:
    """Names of the pictures below a folder, links followed, no folder twice."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()  # so that which of two links is followed depends on names alone
        inside = Path(root).relative_to(folder)
        yield from (name for name in ((inside / file).as_posix() for file in files) if is_picture(name))


def is_picture(name: str) -> bool:
    """Whether a name with forward slashes is a picture's, and not hidden."""
    return not is_hidden(name) and os.path.splitext(name)[1].lower() in SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a name with forward slashes is hidden, or one that macOS puts into zips."""
    return name.startswith(".") or "/." in name or "__MACOSX/" in name


def open_file(file: Path, column: str | None = None) -> Source:
    if column and file.suffix.lower() != ".parquet":
        raise DataError(f"{file} is no parquet file, so there is no column {column} in it")
    if zipfile.is_zipfile(file):
        return open_zip(file)
    if file.suffix.lower() == ".zip":
        raise damaged_zip(file)
    if file.suffix.lower() == ".parquet":
        from datasets.hub import open_parquet

        return open_parquet(str(file), [str(file)], column)
    if file.suffix.lower() not in SUFFIXES:
        raise DataError(f"{file} is neither a picture nor a zip, tar or parquet file")
    return Files(str(file), [file.name], lambda name: file.read_bytes(), single=True)


def open_zip(file: Path, inner: str = "") -> Source:
    """The pictures of a zip, below a folder of it, or the one picture `inner`."""
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file} is a file but no zip, so there is no {inner} in it")
    state = file.stat()
    whole = read_zip(file, state.st_size, state.st_mtime_ns)
    if inner in whole.names:
        name = os.path.basename(inner)
        return Files(f"{file}/{inner}", [name], lambda name: whole.fetch(inner), single=True)
    part = whole.under(inner) if inner else whole
    if part is None:
        known = {os.path.dirname(name) for name in whole.names}
        if is_picture(inner):
            known.update(whole.names)
        raise DataError(f"{file} holds no {inner}{did_you_mean(inner, known)}")
    return part


@lru_cache(maxsize=8)  # one zip is often asked for several of its folders
def read_zip(file: Path, size: int, changed: int) -> Files:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        raise damaged_zip(file) from None
    lock = threading.Lock()  # the threads share one file position

    def fetch(name: str) -> bytes:
        with lock:
            return archive.read(name)

    names = sorted(name for name in archive.namelist() if is_picture(name))
    if not names:
        raise Empty(file)
    return Files(str(file), names, fetch)


def damaged_zip(file: Path) -> DataError:
    return DataError(f"{file} is no zip file, or a damaged one: download or pack it again")


def is_shards(text: str) -> bool:
    """Whether a path names tar shards: X.tar, a pattern of them, with or without :column."""
    return re.search(r"\.tar(:[\w.]+)?$", text) is not None


def nearest(path: Path) -> str:
    """The nearest name that does exist, as the end of a sentence."""
    parent = next((parent for parent in path.parents if parent.is_dir()), Path())
    missing = path.relative_to(parent).parts[0] if path.is_relative_to(parent) else path.name
    return did_you_mean(missing, os.listdir(parent), parent)


def did_you_mean(name: str, known: Iterable[str], folder: Path | None = None) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {folder / close[0] if folder else close[0]}?" if close else ""
