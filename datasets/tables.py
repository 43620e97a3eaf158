"""Captions of many pictures in one file: JSON (also COCO's and Karpathy's), JSON lines, CSV and its kin."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from datasets.base import DataError

FILE = "file file_name filename image_file image_filename image_name image_path filepath image img path"
FILE_COLUMNS = (*FILE.split(), "picture", "photo", "id")
TEXT = "caption captions text sentence sentences description comment prompt prompts raw name title"
TEXT_COLUMNS = tuple(TEXT.split())
DELIMITERS = ",;\t|"
SHOWN = 8  # columns that a refusal names


@dataclass
class Table:
    """What a file holds: rows of (picture, captions), or the columns it has instead."""

    rows: list[tuple[str, list[str]]] = field(default_factory=list)
    columns: tuple[str, ...] = ()


def read_table(file: str, text: str, is_known: Callable[[str], bool]) -> Table:
    """The captions in a file called `file`; is_known: whether some text is the path of a picture.

    Raises DataError where the file is damaged, or leaves a doubt.
    """
    kind = file.lower().rpartition(".")[2]
    try:
        if kind == "json":
            return of_json(json.loads(text))
        if kind == "jsonl":
            return of_rows([json.loads(line) for line in text.splitlines() if line.strip()])
        return of_delimited(file, text, is_known)
    except (ValueError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} is no {kind.upper()} file or a damaged one ({error})") from None


def of_json(found: Any) -> Table:
    """A mapping of pictures to captions, a list of rows, or {"images": rows, "annotations": captions}."""
    if isinstance(found, list):
        return of_rows(found)
    if not isinstance(found, dict):
        return Table()
    images, notes = found.get("images"), found.get("annotations")
    if isinstance(images, list) and isinstance(notes, list):  # COCO
        named = {image.get("id"): file_of(image) for image in images if isinstance(image, dict)}
        captions = [(named.get(note.get("image_id")), note) for note in notes if isinstance(note, dict)]
        return of_rows([{**note, "file_name": name} for name, note in captions if name])
    lists = [value for value in found.values() if isinstance(value, list) and value]
    if len(lists) == 1 and all(isinstance(row, dict) for row in lists[0]):  # Karpathy's splits, and the like
        return of_rows(lists[0])
    rows = [(name, sentences(value)) for name, value in found.items()]
    return Table([row for row in rows if row[1]], tuple(found)[:SHOWN])


def of_rows(rows: list[Any]) -> Table:
    found, columns = [], ()
    for row in rows:
        if isinstance(row, dict):
            columns = columns or tuple(str(name) for name in row)
            name, captions = file_of(row), sentences(row)
            if name and captions:
                found.append((name, captions))
    return Table(found, columns[:SHOWN])


def plain(name: str) -> str:
    """A column's name in small letters, words joined by underscores."""
    return re.sub(r"[\s_-]+", "_", str(name).strip().casefold())


def first_of(row: dict, columns: Iterable[str]) -> Any:
    """The value of the first of these columns that a row fills."""
    values = {plain(name): value for name, value in row.items() if value}
    return next((values[column] for column in columns if column in values), None)


def file_of(row: dict) -> str | None:
    name, folder = first_of(row, FILE_COLUMNS), first_of(row, ["filepath"])
    if name is None or isinstance(name, dict | list):
        return None
    return str(name) if folder in (None, name) else f"{folder}/{name}"  # in two columns, as Karpathy's


def sentences(value: Any) -> list[str]:
    """The sentences in a value: text, a row, or a list of them."""
    if isinstance(value, str):
        return [" ".join(value.split())] if value.strip() else []
    if isinstance(value, list):
        return [sentence for each in value for sentence in sentences(each)]
    if isinstance(value, dict):
        found = sentences(first_of(value, TEXT_COLUMNS))
        tags = " ".join(str(first_of(value, ["tags"]) or "").replace("|", ", ").split())
        return [*found, tags] if found and tags else found
    return []


# --- cells between commas, semicolons, tabs or bars -----------------------------------------------------


def of_delimited(file: str, text: str, is_known: Callable[[str], bool]) -> Table:
    """With a header that names the columns; or without, where each line is a picture and a caption."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    for delimiter in DELIMITERS:
        columns = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
        names = [plain(cell) for cell in columns]
        if any(name in FILE_COLUMNS for name in names) and any(name in TEXT_COLUMNS for name in names):
            rows = cells(file, text, delimiter, len(columns), is_known)
            next(rows)
            return of_rows([dict(zip(columns, row, strict=False)) for row in rows])
    for delimiter in DELIMITERS:
        first = next(csv.reader([header], delimiter=delimiter), [])
        known = [is_known(cell) for cell in first]
        if len(first) == 2 and known[0] != known[1]:
            pairs = cells(file, text, delimiter, 2, is_known)
            rows = ((row[known[1]], row[known[0]]) for row in pairs if len(row) == 2)
            return Table([(name, sentences(caption)) for name, caption in rows])
    delimiter = max(DELIMITERS, key=header.count)
    return Table(columns=tuple(cell.strip()[:40] for cell in header.split(delimiter))[:SHOWN])


def cells(
    file: str, text: str, delimiter: str, count: int, is_known: Callable[[str], bool]
) -> Iterator[list[str]]:
    """The rows; a caption in the second of two columns may hold the delimiter. Raises DataError where a row
    has more cells than there are columns, or a quotation mark swallows other rows."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    start = 1
    for row in reader:
        start, line = reader.line_num + 1, start
        if len(row) > count:
            if count != 2 or is_known(row[-1]):
                raise DataError(
                    f"{file}, line {line} has {len(row)} cells, not {count}: put "
                    f"captions that hold {delimiter!r} in quotation marks"
                )
            row = [row[0], (delimiter if delimiter in "\t|" else f"{delimiter} ").join(row[1:])]
        for cell in row:
            swallowed = [line.split(delimiter)[0].strip() for line in cell.splitlines()[1:]]
            if any(name and is_known(name) for name in swallowed):
                raise DataError(f"{file}, line {line}: a quotation mark is not closed; mend that line")
        if any(cell.strip() for cell in row):
            yield row
