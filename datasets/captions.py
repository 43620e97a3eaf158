"""Pictures with sentences about them.

Captions are looked for in this order: in the tables that hold the pictures; one text file a picture, a line
a caption (`text_c10/`, `text/`, or beside it: CUB-200-2011 and Oxford-102 as S. Reed distributes them); one
file for all: JSON (picture -> captions), JSONL or CSV (`file,caption`), also up to two folders above the
pictures. CUB's bounding boxes crop each bird as StackGAN does; `trainvalclasses.txt` and `testclasses.txt`
split by whole classes.
"""

import csv
import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError, randint
from datasets.images import Domain, Images, Request, describe
from datasets.pictures import decode, probe
from datasets.sources import Files, Source
from datasets.words import vocabulary

LAYOUT = (
    "pictures with captions: DIR/text/NAME.txt or NAME.txt beside each, or a captions.json, .jsonl or .csv "
    "(file,caption) in DIR; in tar shards NAME.txt or NAME.json"
)
FILE_COLUMNS = ("file", "file_name", "filename", "image", "path", "img", "id")
TEXT_COLUMNS = ("caption", "captions", "text", "sentence", "description", "name", "title")
TEXT_FOLDERS = ("text_c10/", "text/", "captions/")
TABLES = (".json", ".jsonl", ".csv", ".tsv")
TOLD = 8  # captions that a model's page offers, from all over the data
ABOVE = 2  # folders above the pictures where a file with all captions may lie
CROP = 1.5  # side of a bird's crop over the longer side of its box (Zhang et al. 2017, section 5.1)


class Texts:
    """The text files of a folder or zip, by their names relative to it."""

    def __init__(self, names: Iterable[str], fetch: Callable[[str], bytes]) -> None:
        self.names, self.fetch = list(names), fetch

    def read(self, name: str) -> str:
        return self.fetch(name).decode("utf-8-sig", errors="replace")

    def named(self, base: str) -> str | None:
        """The text of the file called `base`, wherever it lies; None where there is none."""
        found = next((name for name in self.names if name.rpartition("/")[2] == base), None)
        return None if found is None else self.read(found)


def texts_at(path: str) -> list[Texts]:
    """The text files anywhere below the place itself, then those right in the places above it, or anywhere
    in the zip that it is in."""
    where, found = Path(path).expanduser(), []
    for parent in (where, *where.parents[:ABOVE]):
        if parent.is_dir():
            inside = os.walk(parent) if parent == where else [next(os.walk(parent))]
            files = [Path(root, file) for root, _, files in inside for file in files if is_text(file)]
            names = sorted(file.relative_to(parent).as_posix() for file in files)
            found.append(Texts(names, lambda name, root=parent: (root / name).read_bytes()))
        elif parent.is_file() and zipfile.is_zipfile(parent):
            archive = zipfile.ZipFile(parent)
            found.append(Texts(sorted(filter(is_text, archive.namelist())), archive.read))
            break
    return found


def is_text(name: str) -> bool:
    return name.lower().endswith((".txt", *TABLES))


def stem(name: str) -> str:
    """What a picture and its text have in common: the file's name without suffix."""
    return os.path.splitext(name.rpartition("/")[2])[0]


def per_picture(texts: Texts, names: list[str]) -> dict[str, list[str]]:
    """Captions from one text file each, a line a caption: name of the picture -> captions."""
    files = [file for file in texts.names if file.lower().endswith(".txt")]
    for folder in (*TEXT_FOLDERS, ""):  # ten captions before one, a folder of texts before files beside
        known = {stem(file): file for file in files if f"/{folder}" in f"/{file}"}
        found = {name: lines(texts.read(known[stem(name)])) for name in names if stem(name) in known}
        if any(found.values()):
            return found
    return {}


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def of_table(file: str, text: str) -> dict[str, list[str]]:
    """Captions from one file for all: stem of the picture -> captions; empty where it holds none.

    Raises DataError where the file is damaged.
    """
    try:
        if file.lower().endswith(".json"):
            rows = json.loads(text)
            if isinstance(rows, dict) and all(isinstance(v, str | list) for v in rows.values()):
                return {stem(k): [v] if isinstance(v, str) else [str(x) for x in v] for k, v in rows.items()}
            rows = rows if isinstance(rows, list) else []
        elif file.lower().endswith(".jsonl"):
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = list(csv.DictReader(io.StringIO(text), delimiter="\t" if file.endswith(".tsv") else ","))
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"{file} is no {file.rpartition('.')[2].upper()} file or a damaged one ({error})"
        ) from None
    found: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row, dict):
            name = next((row[c] for c in FILE_COLUMNS if row.get(c)), None)
            told = next((row[c] for c in TEXT_COLUMNS if row.get(c)), None)
            if name is not None and told is not None:
                captions = [told] if isinstance(told, str) else [str(x) for x in told]
                tags = str(row.get("tags") or "").replace("|", ", ")
                found.setdefault(stem(str(name)), []).extend([*captions, tags] if tags else captions)
    return found


def captions_of(source: Source, path: str) -> list[list[str]]:
    """The captions of each picture; raises DataError where there are none, or none for some picture."""
    told = source.captions()
    names = [source.name(number) for number in range(len(source))]
    if told is None:
        found: dict[str, list[str]] = {}
        for texts in texts_at(path):
            found = per_picture(texts, names)
            for file in [] if found else filter(is_table, texts.names):
                table = of_table(file, texts.read(file))
                found = {name: table[stem(name)] for name in names if table.get(stem(name))}
                if found:
                    break
            if found:
                break
        if not found:
            raise DataError(f"captions data needs {LAYOUT}; found no captions for the pictures in {path}")
        told = [found.get(name, []) for name in names]
    alone = [number for number, captions in enumerate(told) if not captions]
    if alone:
        raise DataError(
            f"{len(alone)} of {len(told)} pictures have no caption, such as {source.where(alone[0])}: "
            "write some or remove the pictures"
        )
    return told


def is_table(name: str) -> bool:
    return name.lower().endswith(TABLES)


def by_classes(source: Source, path: str, split: str) -> tuple[Source, str]:
    """The part of the classes that `trainvalclasses.txt` or `testclasses.txt` names, where there are both."""
    for texts in texts_at(path) if isinstance(source, Files) else []:
        listed = {
            s: texts.named(f) for s, f in (("train", "trainvalclasses.txt"), ("test", "testclasses.txt"))
        }
        if all(listed.values()):
            wanted = {line.rpartition("/")[2] for line in lines(listed[split])}
            names = [n for n in source.names if wanted & set(n.split("/")[:-1])]
            if not names:
                raise DataError(f"none of the classes that {path} lists for {split} has pictures there")
            return Files(source.path, names, source.fetch, mirrors=source.mirrors), split
    return source, "train"


def boxes(path: str) -> dict[str, tuple[float, ...]]:
    """CUB's bounding boxes: stem of the picture -> x, y, width, height; empty where there are none."""
    for texts in texts_at(path):
        numbers, sides = texts.named("images.txt"), texts.named("bounding_boxes.txt")
        if numbers and sides:
            box = {row[0]: tuple(map(float, row[1:5])) for row in map(str.split, lines(sides))}
            return {stem(row[1]): box[row[0]] for row in map(str.split, lines(numbers)) if row[0] in box}
    return {}


def around(box: tuple[float, ...], height: int, width: int) -> tuple[slice, slice]:
    """The square of CROP times the box's longer side about its centre, cut at the picture's edge."""
    x, y, w, h = box
    reach = CROP * max(w, h) / 2
    middle_x, middle_y = x + w / 2, y + h / 2
    rows = slice(max(0, round(middle_y - reach)), min(height, round(middle_y + reach)))
    return rows, slice(max(0, round(middle_x - reach)), min(width, round(middle_x + reach)))


class Boxed(Domain):
    """Pictures of which only the surroundings of a box count."""

    def __init__(self, source, like, geometry, found: dict[str, tuple[float, ...]]) -> None:
        super().__init__(source, like, geometry)
        self.boxes = found

    def decode(self, number: int) -> Tensor:
        picture = decode(self.source.read(number), self.like.channels, self.like.bits)
        box = self.boxes.get(stem(self.source.name(number)))
        return picture if box is None else picture[(slice(None), *around(box, *picture.shape[1:]))]


class Captions(Images):
    """`image` [C, size, size], `caption`, one of its own, and `wrong`, one of another picture.

    Where classes are known (folders), `wrong` is of another class, as matching-aware discriminators need it.
    """

    def __init__(self, info, domain: Domain, captions: list[list[str]], request: Request) -> None:
        super().__init__(info, domain, request)
        self.captions = captions
        folders = [domain.source.name(number).rpartition("/")[0] for number in range(len(captions))]
        shared = len(set(folders)) > 1 and max(map(folders.count, set(folders))) > 1
        self.kinds = folders if shared else [str(number) for number in range(len(captions))]

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, image = self.domain.view(index, self.color_jitter, generator)
        caption = pick(self.captions[number], generator)
        wrong = pick(self.captions[self.other(number, generator)], generator)
        file = self.domain.source.where(number)
        return {"image": image, "caption": caption, "wrong": wrong, "index": index, "file": file}

    def other(self, number: int, generator: torch.Generator) -> int:
        """Another picture, of another class where there is one."""
        for _ in range(100):
            found = randint(len(self.captions), generator)
            if self.kinds[found] != self.kinds[number]:
                return found
        return (number + 1) % len(self.captions)


def pick(captions: list[str], generator: torch.Generator) -> str:
    return captions[randint(len(captions), generator)]


def load(request: Request) -> Captions:
    """Captioned pictures in a folder, zip, shards or tables."""
    part = layouts.one(request.data, request.split)
    source, split = part.chosen, part.split
    if part.split != request.split or part.chosen is part.train:
        source, listed = by_classes(part.chosen, request.data, request.split)
        split = listed if source is not part.chosen else split
    like = probe(part.train)
    found = boxes(request.data) if isinstance(source, Files) else {}
    domain = Boxed(source, like, request.geometry, found) if found else Domain(source, like, request.geometry)
    name = layouts.human(request.data)
    info = describe("captions", name, len(domain), {"image": like.channels}, like.bits, split)
    told = captions_of(source, request.data)
    info["vocabulary"] = vocabulary(itertools.chain(*told))
    info["captions"] = list(dict.fromkeys(told[i * len(told) // TOLD][0] for i in range(TOLD)))
    return Captions(info, domain, told, request)
