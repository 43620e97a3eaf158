"""What is at a path: counts, sizes, unreadable files, the kinds of data it can serve, and a contact sheet."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from datasets import KINDS, is_built_in, layouts, load
from datasets.base import DataError, Dataset
from datasets.captions import captions_of
from datasets.classes import MOST, colours_in
from datasets.pictures import decode
from datasets.sources import Empty, Source, open_source
from datasets.store import UNREADABLE, reason
from translate.inference import decoding

CHECKED = 20_000  # pictures decoded at most
CELL, COLUMNS, ROWS, GAP = 128, 8, 4, 4  # of the contact sheet
TWO = ("paired", "unpaired")
LISTED = 12  # colours shown
EXAMPLES = 3  # captions shown
COLOURED = 64  # pictures whose colours are counted
COLOURS = {1: "grey", 3: "RGB", 4: "RGB with alpha"}


@dataclass
class Report:
    """What `report` found; `str(report)` tells it, `contact_sheet` shows it."""

    path: str
    count: int = 0
    checked: int = 0  # how many of them were decoded
    parts: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (width, height)
    modes: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)  # file -> reason
    kinds: dict[str, str] = field(default_factory=dict)  # kind -> what training would see
    refused: dict[str, str] = field(default_factory=dict)  # kind -> what it lacks
    colours: list[str] = field(default_factory=list)  # of each side: how many different ones
    captions: list[str] = field(default_factory=list)  # lines about them
    contact_sheet: Image.Image | None = None

    def __str__(self) -> str:
        lines = [f"{self.path}: {layouts.plural(self.count)}"]
        if self.parts:
            lines.append(f"  folders     {'; '.join(self.parts)}")
        if self.sizes:
            lines.append(f"  sizes       {extent(self.sizes)}")
            lines.append(
                f"  modes       {', '.join(f'{mode} ({n:,})' for mode, n in self.modes.most_common())}"
            )
        lines += [f"  colours     {line}" for line in self.colours]
        lines += [f"  {kind:<12}{what}" for kind, what in self.kinds.items()]
        lines += self.captions
        lines += [f"  no {kind:<9}{why.partition('; found')[0]}" for kind, why in self.refused.items()]
        if self.checked:
            all_of = "all" if self.checked == self.count else f"{self.checked:,} of {self.count:,}"
            lines.append(f"  unreadable  {len(self.unreadable):,} ({all_of} decoded)")
        lines += [f"    {file}: {why}" for file, why in self.unreadable.items()]
        return "\n".join(lines)


def report(
    path: str, *, a: str | None = None, b: str | None = None, size: int = 128, kind: str | None = None
) -> Report:
    """Look at the data at `path`, or at `a` and `b`, as training would. Raises DataError where nothing is
    there, or where it cannot serve the `kind` asked for."""
    if (a is None) != (b is None):
        raise DataError("data from two places needs both --a PATH and --b PATH; only one was given")
    two = a is not None and b is not None
    found = Report(f"{a} | {b}" if two else str(path))
    if two or not is_built_in(path):
        try:
            sources = [open_source(place) for place in ((a, b) if two else (path,))]
        except Empty as error:
            raise DataError(f"{error}: name a place that holds .jpg, .png, .webp, .tif, ... files") from None
        for source in sources:
            look(source, found)
    best: Dataset | None = None
    for name in (
        [kind] if kind else TWO if two else (*TWO, "labels", "images", *(KINDS if is_built_in(path) else ()))
    ):
        if name in found.kinds:
            continue
        try:
            train, test = (
                load(name, path, size=size, split=s, a=a, b=b, cache="off") for s in ("train", "test")
            )
            found.kinds[name] = seen(train, test)
            best = best or load(name, path, size=CELL, a=a, b=b, resize="pad", flip=False, cache="off")
            found.count = found.count or len(best)
        except DataError as error:
            if kind:
                raise
            found.refused[name] = str(error)
    if not two and not kind and not is_built_in(path):
        try:
            describe_captions(path, found)
        except DataError as error:
            found.refused["captions"] = str(error)
    if two or not is_built_in(path):
        found.colours = colours(str(path), a, b, found.kinds)
    found.contact_sheet = sheet(best) if best is not None else None
    return found


def describe_captions(path: str, found: Report) -> None:
    """How many pictures have captions, how many a picture, which words, from which file. Raises DataError."""
    part = layouts.one(path, "train")
    captions = captions_of(part.chosen, path)
    counts = [len(each) for each in captions.captions if each]
    if not counts:
        why = "; ".join(captions.remarks)
        raise DataError("no text belongs to the pictures" + (f": {why}" if why else ""))
    words = Counter(
        word for each in captions.captions for text in each for word in re.findall(r"\w+", text.lower())
    )
    twice = sum(count > 1 for count in words.values())
    mean, least, most = sum(counts) / len(counts), min(counts), max(counts)
    each = f"{most}" if least == most else f"{mean:.1f} ({least} to {most})"
    encodings = "".join(f", {name} in {file}" for name, file in captions.encodings.items() if name != "utf-8")
    origins = ", ".join(captions.origins[:3]) + (", ..." if len(captions.origins) > 3 else "")
    found.captions = [
        f"  captions    {len(counts):,} pictures with, {len(captions.alone):,} without; {each} a picture; "
        f"{len(words):,} different words, {twice:,} of them more than once",
        f"    from {origins}{encodings}",
    ]
    some = [each[0] for each in captions.captions if each]
    shown = [some[number * len(some) // EXAMPLES] for number in range(min(EXAMPLES, len(some)))]
    found.captions += [f"    e.g. {text[:100]}" for text in shown]
    found.captions += [f"    without: {part.chosen.where(number)}" for number in captions.alone[:EXAMPLES]]


def colours(path: str, a: str | None, b: str | None, kinds: dict[str, str]) -> list[str]:
    """How many colours there are on each side, where they are few; what holds few may be label maps."""
    sides: list[tuple[str, Source, int | None]] = []
    if kinds.keys() & set(TWO) and (part := layouts.two(path, a, b, "train", "paired")) is not None:
        sides = [("a: ", part.train[0], None), ("b: ", part.train[1], None)]
    elif "paired" in kinds:
        sides = [(f"{side}: ", layouts.one(path, "train").train, half) for half, side in enumerate("ab")]
    elif a is None:
        sides = [("", layouts.one(path, "train").train, None)]
    lines = []
    for name, source, half in sides:
        values = colours_in(source, source.spread(COLOURED), MOST, half)
        if values is None:
            continue
        grey = all(red == green == blue for red, green, blue in values)
        shown = ", ".join(str(value[0] if grey else value) for value in values[:LISTED])
        more = f", ... (of {len(source.spread(COLOURED))} pictures)" if len(values) > LISTED else ""
        flag = f"; if they stand for classes: --labels-{name[0]}" if name else ""
        kind = "grey value" if grey else "colour"
        lines.append(f"{name}{len(values)} {kind}{'s' * (len(values) != 1)}: {shown}{more}{flag}")
    return lines


def look(source: Source, found: Report) -> None:
    """Decode a source's pictures (the first, or evenly spaced ones, of very many) and add what it gives."""

    def one(number: int) -> tuple[int, int, str] | str:
        try:
            data = source.read(number)
            header = decoding.header(data)
            decode(data, 3, 8)
            return header.width, header.height, f"{header.mode}, {header.bits} bits"
        except UNREADABLE as error:
            return reason(error)

    numbers = source.spread(CHECKED)
    found.count += len(source)
    found.checked += len(numbers)
    if source.folders().keys() != {""}:
        found.parts.append(layouts.listing(source))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, result in zip(numbers, pool.map(one, numbers), strict=True):
            if isinstance(result, str):
                found.unreadable[source.where(number)] = result
            else:
                found.sizes.append(result[:2])
                found.modes[result[2]] += 1


def seen(train: Dataset, test: Dataset) -> str:
    """What training would see, on one line."""
    info = train.info
    held_out = f"{len(test):,} for testing" if test.info["split"] == "test" else "no test part"
    names = {
        name: f"{name} ({info['names'][name]})" if name in info["names"] else name
        for name in info["channels"]
    }
    channels = ", ".join(f"{names[name]} {COLOURS[count]}" for name, count in info["channels"].items())
    classes = f"; {len(info['classes'])} classes" if info["classes"] else ""
    return f"{len(train):,} samples for training, {held_out}; {channels}, {info['bits']} bits{classes}"


def extent(sizes: Sequence[tuple[int, int]]) -> str:
    """The smallest, median and largest size by area."""
    ordered = sorted(sizes, key=lambda size: size[0] * size[1])
    small, middle, large = (f"{w}x{h}" for w, h in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))
    return f"all {small}" if len(set(sizes)) == 1 else f"smallest {small}, median {middle}, largest {large}"


def sheet(data: Dataset) -> Image.Image:
    """Samples in a grid, spread over the data; the two sides of a sample lie next to each other."""
    generator = torch.Generator().manual_seed(0)
    sides = [name for name in ("image", "a", "b", "low", "high") if name in data.sample(0, generator)]
    shown = min(COLUMNS // len(sides) * ROWS, len(data))
    columns = min(COLUMNS, shown * len(sides))
    rows = -(-shown * len(sides) // columns)
    page = Image.new("RGB", (columns * (CELL + GAP) + GAP, rows * (CELL + GAP) + GAP), "white")
    place = 0
    for number in range(shown):
        sample = data.sample(number * len(data) // shown, generator)
        for side in sides:
            down, across = divmod(place, columns)
            page.paste(picture(sample[side]), (GAP + across * (CELL + GAP), GAP + down * (CELL + GAP)))
            place += 1
    return page


def picture(sample: torch.Tensor) -> Image.Image:
    """[C, H, W] in [-1, 1] -> RGB, transparency on white."""
    pixels = sample.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB").resize((CELL, CELL))


def main(
    path: str,
    kind: str | None = None,
    output: str | Path | None = None,
    *,
    a: str | None = None,
    b: str | None = None,
    size: int = 128,
    overwrite: bool = False,
) -> int:
    """Print a report and write its contact sheet as PNG, to NAME-contact-sheet.png unless told otherwise.
    Returns 1 where files are unreadable, else 0; raises DataError."""
    file = Path(output or f"{layouts.names(path, a, b)[0].replace(':', '-')}-contact-sheet.png")
    if output and file.exists() and not overwrite:
        raise DataError(f"{file} exists already: choose another name, or allow it to be replaced")
    found = report(path, a=a, b=b, size=size, kind=kind)
    print(found)
    if found.contact_sheet is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        found.contact_sheet.save(file, format="PNG")
        print(f"contact sheet: {file}")
    return 1 if found.unreadable else 0
