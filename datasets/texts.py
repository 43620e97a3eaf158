"""Text files beside pictures: where they lie, their encoding, and which picture each one means."""

import codecs
import os
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from datasets.base import DataError, warn_once
from datasets.sources import SUFFIXES, is_hidden, is_picture

TABLES = (".json", ".jsonl", ".csv", ".tsv")
ABOVE = 2  # folders above the pictures where a file with all captions may lie
SAMPLED = 200_000  # bytes that an encoding is detected from
USUAL = "cp1252"  # of text that is no UTF-8; a superset of Latin-1's letters
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# --- encoding -------------------------------------------------------------------------------------------


def decoded(data: bytes, where: str, guess: str | None = None) -> tuple[str, str]:
    """The text of a file's bytes and its encoding: by its mark, UTF-8, or as charset-normalizer tells.

    guess: the encoding of its neighbours, as a few letters alone tell little. Raises DataError for what is no
    text.
    """
    mark = next((name for start, name in MARKS.items() if data.startswith(start)), None)
    for name in filter(None, (mark, None if b"\0" in data else "utf-8", guess, encoding_of(data))):
        try:
            text = data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if "\0" not in text:
            return text, name.removesuffix("-sig")
    raise DataError(f"{where} is no text in an encoding known here: save it as UTF-8")


def encoding_of(data: bytes) -> str | None:
    """The encoding of text that is no UTF-8; None for what is no text."""
    from charset_normalizer import from_bytes

    found = from_bytes(data[:SAMPLED])
    best = found.best()
    if best is None:
        return None
    likely = [match for match in found if match.chaos <= best.chaos and match.coherence >= best.coherence]
    if any(USUAL in (match.encoding, *match.could_be_from_charset) for match in likely):
        return USUAL  # of equally likely ones the most frequent
    return best.encoding


class Texts:
    """The text files of a folder or zip, by their names relative to it."""

    def __init__(
        self, root: str, names: Iterable[str], fetch: Callable[[str], bytes], pictures: Iterable[str] = ()
    ) -> None:
        """pictures: the names of those known to lie there, too."""
        self.root, self.names, self.fetch = root, list(names), fetch
        self.pictures = {"/".join(bare(tidy(name).split("/"))) for name in pictures}
        self.holding = {os.path.dirname(name) for name in self.pictures}
        self.encodings: dict[str, str] = {}  # encoding -> the first file in it

    def read(self, name: str, guess: str | None = None) -> str:
        text, encoding = decoded(self.fetch(name), f"{self.root}/{name}", guess)
        if encoding not in self.encodings and encoding != "utf-8":
            warn_once(f"{self.root}/{name} is read as {encoding}")
        self.encodings.setdefault(encoding, name)
        return text

    def read_all(self, names: Sequence[str]) -> list[str]:
        """Several small files, whose encoding is detected from all of them together."""
        odd = []
        for data in map(self.fetch, names):
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                if not any(map(data.startswith, MARKS)):
                    odd.append(data)
        guess = encoding_of(b"\n".join(odd)) if odd else None
        return [self.read(name, guess) for name in names]

    def named(self, base: str) -> str | None:
        """The text of the file called `base`, wherever it lies; None where there is none."""
        found = next((name for name in self.names if name.rpartition("/")[2] == base), None)
        return None if found is None else self.read(found)

    def has_picture(self, name: str) -> bool:
        """Whether a picture lies at exactly that place, whatever its suffix."""
        return "/".join(bare(tidy(name).split("/"))) in self.pictures

    def holds(self, folder: str) -> bool:
        """Whether pictures lie in or below a folder."""
        return any(not folder or held == folder or held.startswith(f"{folder}/") for held in self.holding)

    def apart(self, name: str) -> str | None:
        """The outermost folder around a file that has no pictures in or below it; None for a file among
        pictures, which is about those in and below its own folder."""
        folders = name.split("/")[:-1]
        outer = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
        return next((folder for folder in outer if not self.holds(folder)), None)


def texts_at(path: str) -> list[Texts]:
    """The text files anywhere below the place itself, then those right in the places above it, or anywhere
    in the zip that it is in."""
    where, found = Path(path).expanduser(), []
    for parent in (where, *where.parents[:ABOVE]):
        if parent.is_dir():
            inside = os.walk(parent) if parent == where else [next(os.walk(parent))]
            files = [
                Path(root, file).relative_to(parent).as_posix() for root, _, files in inside for file in files
            ]
            found.append(texts(parent, files, lambda name, root=parent: (root / name).read_bytes()))
        elif parent.is_file() and zipfile.is_zipfile(parent):
            archive = zipfile.ZipFile(parent)
            found.append(texts(parent, archive.namelist(), archive.read))
            break
    return found


def texts(root: Path, names: Iterable[str], fetch: Callable[[str], bytes]) -> Texts:
    names = sorted(names)
    return Texts(str(root), filter(is_text, names), fetch, filter(is_picture, names))


def is_text(name: str) -> bool:
    """Whether a name is of a text file, and not hidden, as those that systems put everywhere are."""
    return name.lower().endswith((".txt", *TABLES)) and not is_hidden(name)


# --- which picture is meant -----------------------------------------------------------------------------


class Pictures:
    """Pictures by their paths. A path means the picture that it ends with: `cat/0` or `cat/0.png` that of
    /data/cat/0.png, and a bare `0` too, where no other picture is called so."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)
        self.whole = [tidy(path).split("/") for path in paths]
        self.bare = [bare(parts) for parts in self.whole]
        self.called: dict[str, list[int]] = {}  # names in small letters, with and without suffix -> numbers
        for number, (whole, without) in enumerate(zip(self.whole, self.bare, strict=True)):
            for name in {whole[-1].casefold(), without[-1].casefold()}:
                self.called.setdefault(name, []).append(number)

    def find(self, path: str, below: str | None = None, whose: str = "", exactly: bool = False) -> int | None:
        """The number of the picture that `path` means; None where there is none.

        below: the folder that the picture is in or below, and which `path` is relative to, if it is whole;
        exactly: it is.
        Raises DataError, naming `whose` path it is and both pictures, where several may be meant.
        """
        parts, around = tidy(path).split("/"), tidy(below or "").split("/")
        for asked in [parts] if below is None else [[*around, *parts]] + [parts] * (not exactly):
            for fold in (str, str.casefold):
                for looked, own in ((asked, self.whole), (asked, self.bare), (bare(asked), self.bare)):
                    found = [
                        number
                        for number in self.called.get(looked[-1].casefold(), [])
                        if ends(own[number], looked, fold)
                        and (below is None or self.whole[number][: len(around)] == around)
                    ]
                    if len(found) > 1:
                        first, second = (self.paths[number] for number in found[:2])
                        raise DataError(
                            f"{whose or path} may be {first} or {second}: tell which one by its path, as in "
                            "cat/0.png"
                        )
                    if found:
                        return found[0]
        return None


def ends(path: Sequence[str], parts: Sequence[str], fold: Callable[[str], str]) -> bool:
    return [fold(part) for part in path[-len(parts) :]] == [fold(part) for part in parts]


def tidy(path: str) -> str:
    """Forward slashes, composed letters (macOS takes them apart), nothing that stands for no folder."""
    path = unicodedata.normalize("NFC", path.strip().replace("\\", "/"))
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def bare(parts: Sequence[str]) -> list[str]:
    """The parts of a path, the last without the suffix of a picture."""
    stem, suffix = os.path.splitext(parts[-1])
    return [*parts[:-1], stem if suffix.lower() in SUFFIXES else parts[-1]]
