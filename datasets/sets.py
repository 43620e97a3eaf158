"""Pictures with sets of labels: a table names each picture's, such as the tags of a collection.

CSV and its kin, JSON or JSON lines, beside the pictures or up to two folders above them. The labels of a cell
are separated by |, ; or commas, or are a JSON list. With `--columns` others count, such as `group subgroup`.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError
from datasets.images import Domain, Images, Request, describe
from datasets.pictures import probe
from datasets.sources import Chosen, Source
from datasets.tables import DELIMITERS, file_of, plain
from datasets.texts import TABLES, Pictures, texts_at, tidy

COLUMNS = ("labels", "label", "tags", "classes", "categories", "attributes", "keywords")
LAYOUT = "pictures and a table, labels.csv or .json, with columns file and labels, several joined by |"
LEAST = 200  # a label that fewer than one picture in so many has is left out


class Sets(Images):
    """`image` [C, size, size] and `set` [L], 1 for each of `info["classes"]` that the picture has."""

    def __init__(self, info: dict[str, Any], domain: Domain, sets: Tensor, request: Request) -> None:
        super().__init__(info, domain, request)
        self.sets = sets

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, image = self.domain.view(index, self.color_jitter, generator)
        file = self.domain.source.where(number)
        return {"image": image, "set": self.sets[number], "index": index, "file": file}

    def batch(self, indices: Tensor, generators: Callable[[int], torch.Generator]) -> dict[str, Any] | None:
        found = super().batch(indices, generators)
        return found and found | {"set": self.sets[found["file"].numbers]}


def load(request: Request) -> Sets:
    """Labels are those of the training part, by name; pictures that no row names are left out."""
    part = layouts.one(request.data, request.split)
    known = sets_of(part.train, request.data, request.columns)
    counts = Counter(label for labels in known.values() for label in labels)
    enough = max(1, len(known) // LEAST)
    classes = sorted(label for label, count in counts.items() if count >= enough)
    if len(classes) < 2:
        raise DataError(f"{request.data} has {len(classes)} labels; sets data needs two or more")
    labelled = known if part.chosen is part.train else sets_of(part.chosen, request.data, request.columns)
    numbers = sorted(labelled)
    source = Chosen(part.chosen, numbers) if len(numbers) < len(part.chosen) else part.chosen
    sets = torch.tensor([[float(label in labelled[number]) for label in classes] for number in numbers])
    like = probe(part.train)
    domain, name = Domain(source, like, request.geometry), layouts.human(request.data)
    channels = {"image": like.channels}
    info = describe("sets", name, len(domain), channels, like.bits, part.split, classes)
    return Sets(info, domain, sets, request)


def sets_of(source: Source, path: str, columns: tuple[str, ...]) -> dict[int, set[str]]:
    """The labels of each picture that a table names, by its number. Raises DataError where there is none."""
    pictures = Pictures([source.where(number) for number in range(len(source))])
    remarks = []
    for place in dict.fromkeys((path, source.path)):
        for texts in texts_at(place):
            tables = [name for name in texts.names if name.lower().endswith(TABLES)]
            for file in sorted(tables, key=lambda name: "label" not in name):
                where = f"{texts.root}/{file}"
                rows = rows_of(where, texts.read(file))
                found: dict[int, set[str]] = {}
                for row in rows:
                    name, labels = file_of(row), labels_in(row, columns)
                    number = pictures.find(tidy(name), None, f"{name} in {where}") if name else None
                    if number is not None and labels:
                        found.setdefault(number, set()).update(labels)
                if found:
                    return found
                named = ", ".join(list(rows[0])[:8]) if rows else "none"
                remarks.append(f"{where} has the columns {named}")
    asked = f" and {' '.join(columns)}" if columns else ""
    why = "; ".join(remarks[:3]) or "no table"
    raise DataError(f"sets data needs {LAYOUT}; found no columns file{asked} for {path}: {why}")


def rows_of(file: str, text: str) -> list[dict[str, Any]]:
    """The rows of a table; a JSON mapping of pictures to labels counts, too. Raises DataError."""
    kind = file.lower().rpartition(".")[2]
    try:
        if kind == "json":
            found = json.loads(text)
            if isinstance(found, dict):
                found = [{"file": name, "labels": value} for name, value in found.items()]
            return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        if kind == "jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
            return [row for row in rows if isinstance(row, dict)]
        header = text.lstrip().split("\n")[0]
        delimiter = max(DELIMITERS, key=header.count)
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (ValueError, csv.Error) as error:
        raise DataError(f"{file} is no {kind.upper()} file or a damaged one ({error})") from None


def labels_in(row: dict[str, Any], columns: tuple[str, ...]) -> set[str]:
    """The labels of a row; those of columns that were asked for by name begin with it."""
    cells = {plain(name): value for name, value in row.items() if name is not None and value}
    if columns:
        named = ((column, cells.get(plain(column))) for column in columns)
        return {f"{column} {label}" for column, cell in named for label in split(cell)}
    return set(split(next((cells[column] for column in COLUMNS if column in cells), None)))


def split(cell: Any) -> list[str]:
    """The labels in a cell."""
    if isinstance(cell, list):
        return [str(label).strip() for label in cell if str(label).strip()]
    text = "" if cell is None else str(cell)
    parts = re.split(r"[|;]", text) if re.search(r"[|;]", text) else text.split(",")
    return [part.strip() for part in parts if part.strip()]
