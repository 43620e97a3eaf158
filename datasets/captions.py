"""Pictures with sentences about them.

Captions are looked for in this order: in the tables that hold the pictures; one text file a picture, a line
a caption (`text_c10/`, `text/`, or beside it: CUB-200-2011 and Oxford-102 as S. Reed distributes them); one
file for all (see `tables`), also up to two folders above the pictures. Which picture a text is about follows
from its path, see `texts`. CUB's bounding boxes crop each bird as StackGAN does; `trainvalclasses.txt` and
`testclasses.txt` split by whole classes.
"""

import itertools
import os
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from datasets import cub, layouts
from datasets.base import DataError, randint, warn_once
from datasets.colours import renamed
from datasets.images import Domain, Images, Request, describe
from datasets.orders import shuffled
from datasets.pictures import decode, probe
from datasets.sources import Chosen, Files, Joined, Source
from datasets.tables import read_table
from datasets.texts import TABLES, Pictures, Texts, texts_at, tidy
from datasets.words import vocabulary, words_of

LAYOUT = (
    "pictures with captions: DIR/text/NAME.txt or NAME.txt beside each, or a captions.json, .jsonl or .csv "
    "(file,caption) in DIR; in tar shards NAME.txt or NAME.json"
)
TEXT_FOLDERS = ("text_c10", "text", "captions")
PART = re.compile(
    r"(train|test|val|valid|validation)?\d*"
)  # of a table's name: what tables of one kind differ in
OFFERED = 8  # captions that a model's page offers, from all over the data
CROP = 1.5  # side of a bird's crop over the longer side of its box (Zhang et al. 2017, section 5.1)


@dataclass
class Found:
    """The captions of a source's pictures, and where they come from."""

    captions: list[list[str]]  # of each picture; [] where it has none
    origins: list[str] = field(default_factory=list)  # files, or folders of files
    encodings: dict[str, str] = field(default_factory=dict)  # encoding -> the first file in it
    remarks: list[str] = field(default_factory=list)  # why the tables that are there are not used

    @property
    def alone(self) -> list[int]:
        """Numbers of the pictures without captions."""
        return [number for number, captions in enumerate(self.captions) if not captions]


def captions_of(source: Source, path: str) -> Found:
    """The captions of each picture, looked for at `path` and around the pictures themselves.

    Raises DataError where files are damaged, or leave a doubt which picture they are about.
    """
    if isinstance(source, Joined):
        parts = [captions_of(part, part.path) for part in source.parts]
        whole = Found([captions for part in parts for captions in part.captions])
        for part in parts:
            whole.origins += part.origins
            whole.encodings |= part.encodings
            whole.remarks += part.remarks
        return whole
    if (given := source.captions()) is not None:
        return Found([lines("\n".join(captions)) for captions in given], [source.path])
    found = Found([[] for _ in range(len(source))])
    pictures = Pictures([source.where(number) for number in range(len(source))])
    seen = set()
    for place in (path, source.path):
        for texts in texts_at(place):
            if texts.root not in seen and not found.origins:
                from_files(texts, pictures, found)
                if not found.origins:
                    from_tables(texts, pictures, found)
                found.encodings |= {name: f"{texts.root}/{file}" for name, file in texts.encodings.items()}
            seen.add(texts.root)
    return found


def from_files(texts: Texts, pictures: Pictures, found: Found) -> None:
    """Captions from one text file each, a line a caption."""
    groups: dict[str, dict[str, str | None]] = {}  # folder of that name -> file -> text-only folder around it
    for file in texts.names:
        if file.lower().endswith(".txt"):
            around = texts.apart(file)
            named = [folder for folder in TEXT_FOLDERS if f"/{folder}/" in f"/{file}"] if around else []
            groups.setdefault(named[0] if named else "", {})[file] = around
    for folder in (*TEXT_FOLDERS, ""):  # ten captions before one, a folder of texts before files beside
        meant: dict[int, str] = {}
        for file, around in groups.get(folder, {}).items():
            name = os.path.splitext(file)[0]
            if around is None:
                key, below = name.rpartition("/")[2], f"{texts.root}/{name.rpartition('/')[0]}"
            else:
                start = f"/{folder}/" if folder else f"/{around}/"
                key, below = f"/{name}".partition(start)[2], None
            number = pictures.find(key, below, f"the text {texts.root}/{file}", texts.has_picture(name))
            if number is not None:
                if number in meant:
                    raise DataError(
                        f"{texts.root}/{meant[number]} and {texts.root}/{file} are both about "
                        f"{pictures.paths[number]}: remove one"
                    )
                meant[number] = file
        for number, text in zip(meant, texts.read_all(list(meant.values())), strict=True):
            found.captions[number] = lines(text)
        if any(found.captions):
            folders = {os.path.dirname(file) for file in meant.values()}
            shared = os.path.commonpath(folders) if all(folders) else ""
            found.origins.append(f"{texts.root}/{shared}".rstrip("/") + "/*.txt")
            return


def from_tables(texts: Texts, pictures: Pictures, found: Found) -> None:
    """Captions from one file for all, or for each part or folder one of the same name."""
    groups: dict[str, list[str]] = {}
    for file in texts.names:
        stem, suffix = os.path.splitext(file.rpartition("/")[2].lower())
        if suffix in TABLES or "caption" in stem or "token" in stem:
            groups.setdefault(PART.sub("", stem) + suffix, []).append(file)
    damaged: list[DataError] = []
    for kind in sorted(groups, key=lambda kind: ("caption" not in kind, kind.endswith(".txt"), kind)):
        whose: dict[int, str] = {}
        for file in groups[kind]:
            try:
                table = of_table(texts, file, pictures, found)
            except DataError as error:
                damaged.append(error)
                continue
            for number, captions in table.items():
                if (other := whose.setdefault(number, file)) != file:
                    raise DataError(
                        f"{texts.root}/{other} and {texts.root}/{file} both have captions of "
                        f"{pictures.paths[number]}: remove one, or put each beside its pictures"
                    )
                found.captions[number] = captions
        if whose:
            found.origins += [f"{texts.root}/{file}" for file in dict.fromkeys(whose.values())]
            break
    if damaged and not found.origins:
        raise damaged[0]
    for error in damaged:
        warn_once(f"{error}; the captions come from {', '.join(found.origins)}")


def of_table(texts: Texts, file: str, pictures: Pictures, found: Found) -> dict[int, list[str]]:
    """The captions of pictures, by number, in one file."""
    folder, where = os.path.dirname(file), f"{texts.root}/{file}"
    # A file in a folder that holds pictures is about those; one elsewhere may be about any.
    below = f"{texts.root}/{folder}" if texts.apart(file) is None else None

    def find(name: str) -> int | None:
        exactly = texts.has_picture(f"{folder}/{name}")
        around = f"{texts.root}/{folder}" if exactly else below
        number = pictures.find(name, around, f"{name} in {where}", exactly)
        if number is None and (numbered := re.fullmatch(r"(.+)#\d+", name)):  # Flickr's a.jpg#0, a.jpg#1
            return find(numbered[1])
        return number

    table = read_table(where, texts.read(file), lambda cell: find(cell) is not None)
    keys = [tidy(name) for name, _ in table.rows]
    numbers = [find(key) for key in keys]
    if not any(number is not None for number in numbers) and (away := elsewhere(keys, folder, texts)):
        numbers = [find(key.removeprefix(f"{away}/")) for key in keys]
        if any(number is not None for number in numbers):
            warn_once(f"{where} names pictures in {away}, which is not here: taken for those here")
    found_here: dict[int, list[str]] = {}
    for number, (_, captions) in zip(numbers, table.rows, strict=True):
        if number is not None:
            found_here.setdefault(number, []).extend(captions)
    if not found_here:
        columns = ", ".join(table.columns) or "none"
        found.remarks.append(
            f"{where} names {table.rows[0][0]}, which is none of them"
            if table.rows
            else f"{where} has the columns {columns}, of which none is called file and caption"
        )
    return found_here


def elsewhere(keys: list[str], folder: str, texts: Texts) -> str:
    """The folder that all paths of a table lie in, where there is none of that name here."""
    away = os.path.commonpath([os.path.dirname(key) for key in keys]) if keys else ""
    near = f"{folder}/{away}".strip("/")
    return "" if texts.holds(near) or os.path.exists(f"{texts.root}/{near}") else away


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def checked(found: Found, source: Source, path: str) -> list[int]:
    """Numbers of the pictures to use: those with captions, where at most 1 % has none, which are named.

    Raises DataError else.
    """
    alone = found.alone
    if len(alone) == len(source):
        why = "; ".join(found.remarks[:3])
        raise DataError(
            f"captions data needs {LAYOUT}; found no captions for the pictures in {path}"
            + (f": {why}" if why else "")
        )
    named = ", ".join(source.where(number) for number in alone[:3]) + (", ..." if len(alone) > 3 else "")
    if len(alone) > len(source) // 100:
        raise DataError(
            f"{len(alone)} of {len(source)} pictures have no caption, such as {named}: "
            "write some or remove the pictures"
        )
    if alone:
        warn_once(f"left out {len(alone)} of {len(source)} pictures, which have no caption: {named}")
    return [number for number, captions in enumerate(found.captions) if captions]


def by_classes(source: Source, path: str, split: str) -> tuple[Source, str]:
    """The part of the classes that `trainvalclasses.txt` or `testclasses.txt` names, where there are both."""
    for texts in texts_at(path) if isinstance(source, Files) else []:
        listed = {
            s: texts.named(f) for s, f in (("train", "trainvalclasses.txt"), ("test", "testclasses.txt"))
        }
        if all(listed.values()):
            classes = {line.rpartition("/")[2] for line in lines(listed[split])}
            names = [n for n in source.names if classes & set(n.split("/")[:-1])]
            if not names:
                raise DataError(f"none of the classes that {path} lists for {split} has pictures there")
            return Files(source.path, names, source.fetch, mirrors=source.mirrors), split
    return source, "train"


def boxes(source: Source, path: str) -> dict[int, tuple[float, ...]]:
    """CUB's bounding boxes: number of the picture -> x, y, width, height; empty where there are none."""
    for texts in texts_at(path):
        numbers, sides = texts.named("images.txt"), texts.named("bounding_boxes.txt")
        if numbers and sides:
            pictures = Pictures([source.where(number) for number in range(len(source))])
            box = {row[0]: tuple(map(float, row[1:5])) for row in map(str.split, lines(sides))}
            named = {row[0]: pictures.find(row[1]) for row in map(str.split, lines(numbers))}
            return {number: box[row] for row, number in named.items() if number is not None and row in box}
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

    def __init__(self, source, like, geometry, found: dict[int, tuple[float, ...]]) -> None:
        super().__init__(source, like, geometry)
        self.boxes = found

    def decode(self, number: int) -> Tensor:
        picture = decode(self.source.read(number), self.like.channels, self.like.bits)
        box = self.boxes.get(number)
        return picture if box is None else picture[(slice(None), *around(box, *picture.shape[1:]))]


class Captions(Images):
    """`image` [C, size, size], `caption`, one of its own, and `wrong`, one of another picture.

    Where classes are known (folders), `wrong` is of another class, as matching-aware discriminators need it.
    """

    batch = None  # captions are drawn one by one

    def __init__(
        self,
        info,
        domain: Domain,
        captions: list[list[str]],
        request: Request,
        places: list[int] = (),
        colours: bool = False,
    ) -> None:
        super().__init__(info, domain, request)
        self.captions = captions
        self.places = places or list(range(len(captions)))  # the picture of each sample
        self.colours = colours  # whether colours are also called by other names
        self.info["count"] = len(self.places)
        folders = [domain.source.name(number).rpartition("/")[0] for number in range(len(captions))]
        shared = len(set(folders)) > 1 and max(map(folders.count, set(folders))) > 1
        self.kinds = folders if shared else [str(number) for number in range(len(captions))]

    def order(self, epoch: int, seed: int) -> Tensor:
        several = len(self.places) > len(self.captions)
        return shuffled(len(self.places), epoch, seed) if several else super().order(epoch, seed)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        index = self.places[index % len(self.places)]
        number, image = self.domain.view(index, self.color_jitter, generator)
        caption = pick(self.captions[number], generator)
        wrong = pick(self.captions[self.other(number, generator)], generator)
        if self.colours:
            caption, wrong = renamed(caption, generator), renamed(wrong, generator)
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
    captions = captions_of(source, request.data)
    numbers = checked(captions, source, request.data)
    if len(numbers) < len(source):
        source = Chosen(source, numbers)
    sentences = [captions.captions[number] for number in numbers]
    found = boxes(source, request.data) if isinstance(part.chosen, Files) else {}
    domain = Boxed(source, like, request.geometry, found) if found else Domain(source, like, request.geometry)
    name = layouts.human(request.data)
    info = describe("captions", name, len(domain), {"image": like.channels}, like.bits, split)
    info["vocabulary"] = vocabulary(itertools.chain(*sentences))
    if request.text_words:
        info["vocabulary"] = list(dict.fromkeys([*info["vocabulary"], *words_of(request.text_words)]))
    places = [i * len(sentences) // OFFERED for i in range(OFFERED)]
    info["captions"] = list(dict.fromkeys(sentences[place][0] for place in places))
    kinds = cub.sources([source.where(number) for number in range(len(source))], request.data)
    if kinds and request.geometry.train:
        sentences, colours = cub.weighted(sentences, kinds), request.text_words is not None
        return Captions(info, domain, sentences, request, cub.places(kinds), colours)
    return Captions(info, domain, sentences, request)
