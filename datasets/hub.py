"""Pictures in parquet files, as the Hub stores data sets: a column of bytes, or of {bytes, path}.

`user/name`, `user/name:column`, `user/name/config:column` are downloaded file by file, when a picture of the
file is first needed, into Hugging Face's own cache. Local files serve as well: X.parquet, or folders of them.
"""

import json
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.base import DataError
from datasets.orders import epoch_generator
from datasets.shards import part_of
from datasets.sources import Empty, Source

ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<config>[\w.-]+))?(?::(?P<column>\w+))?")
CONVERTED = "refs/convert/parquet"  # where the Hub keeps its own parquet copy of data sets in other formats
PROBED = 64
CAPTIONS = ("caption", "captions", "text", "sentence", "sentences", "description")  # columns
MIXED, HELD = 4, 8  # an epoch mixes so many row groups at a time; so many are held in memory


@dataclass(frozen=True)
class Table:
    """One parquet file: its name, its footer, and a function that gives a local copy."""

    name: str
    footer: Any  # pyarrow.parquet.FileMetaData
    fetch: Callable[[], str]

    @property
    def part(self) -> str:
        return part_of(f"/{self.name}") or "train"


class Rows(Source):
    """The pictures in one column of some parquet files, a row group in memory at a time."""

    def __init__(self, path: str, tables: Sequence[Table], column: str) -> None:
        self.path, self.tables, self.column = path, tables, column
        self.groups = [(table, group) for table in tables for group in range(table.footer.num_row_groups)]
        self.starts = [0]
        for table, group in self.groups:
            self.starts.append(self.starts[-1] + table.footer.row_group(group).num_rows)
        self.held: OrderedDict[int, Any] = OrderedDict()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return self.starts[-1]

    def name(self, index: int) -> str:
        return f"{index:08d}"

    def where(self, index: int) -> str:
        table, _ = self.groups[bisect_right(self.starts, index) - 1]
        file = self.path if Path(self.path).name == table.name else f"{self.path}/{table.name}"
        return f"{file}, row {index - self.starts[self.groups.index((table, 0))]}"

    def read(self, index: int) -> bytes:
        group = bisect_right(self.starts, index) - 1
        value = self.group(group)[index - self.starts[group]].as_py()
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise ValueError("the row holds no bytes")
        return value

    def group(self, number: int) -> Any:
        with self.lock:  # the other threads mostly wait for the same group
            if number not in self.held:
                self.held[number] = self.fetch(number, self.column)
                if len(self.held) > HELD:
                    self.held.popitem(last=False)
            self.held.move_to_end(number)
            return self.held[number]

    def fetch(self, number: int, column: str) -> Any:
        import pyarrow.parquet as pq

        table, group = self.groups[number]
        return pq.ParquetFile(table.fetch()).read_row_group(group, columns=[column]).column(0)

    def order(self, epoch: int, seed: int) -> Tensor:
        """Row groups in random order, a few at a time mixed, so that each is read once."""
        generator = epoch_generator(epoch, seed)
        groups = torch.randperm(len(self.groups), generator=generator).tolist()
        mixed = []
        for first in range(0, len(groups), MIXED):
            some = groups[first : first + MIXED]
            rows = torch.cat([torch.arange(self.starts[group], self.starts[group + 1]) for group in some])
            mixed.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(mixed)

    def spread(self, limit: int) -> list[int]:
        return list(range(min(limit, PROBED, len(self))))

    def under(self, folder: str) -> "Rows | None":
        tables = [table for table in self.tables if table.part == folder]
        return Rows(self.path, tables, self.column) if tables else None

    def folders(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for table in self.tables:
            counts[table.part] = counts.get(table.part, 0) + table.footer.num_rows
        return counts

    def classes(self) -> tuple[list[str], list[int]] | None:
        """From the column that the Hub's description calls a ClassLabel, or whole numbers called label."""
        described = features(self.tables[0])
        names = {
            name: value["names"] for name, value in described.items() if value.get("_type") == "ClassLabel"
        }
        column = next(iter(names), "label")
        if column not in self.tables[0].footer.schema.to_arrow_schema().names:
            return None
        numbers = [n for group in range(len(self.groups)) for n in self.fetch(group, column).to_pylist()]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            return None
        return names.get(column) or [str(number) for number in range(max(numbers) + 1)], numbers

    def captions(self) -> list[list[str]] | None:
        """From the first column of that name; a cell may hold several."""
        known = self.tables[0].footer.schema.to_arrow_schema().names
        column = next((name for name in CAPTIONS if name in known), None)
        if column is None:
            return None
        cells = [cell for group in range(len(self.groups)) for cell in self.fetch(group, column).to_pylist()]
        return [[cell] if isinstance(cell, str) else [str(c) for c in cell or []] for cell in cells]


def open_parquet(path: str, files: Sequence[str], column: str | None = None) -> Rows:
    """Local parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for file in files:
        try:
            name = Path(file).name if file == path else Path(file).relative_to(path).as_posix()
            tables.append(Table(name, pq.read_metadata(file), lambda file=file: file))
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file} is no parquet file, or a damaged one ({error})") from None
    return rows(path, tables, column)


def rows(path: str, tables: Sequence[Table], column: str | None) -> Rows:
    """Choose the column of pictures; raises DataError where it is missing or there are several."""
    schema = tables[0].footer.schema.to_arrow_schema()
    known = [field.name for field in schema if holds_bytes(field.type)]
    if column is None and len(known) != 1:
        what = (
            f"several columns of pictures ({', '.join(known)})"
            if known
            else f"no column of bytes in {schema.names}"
        )
        raise DataError(f"{path} has {what}" + (f": name one, {path}:{known[0]}" if known else ""))
    column = column or known[0]
    if column not in known:
        raise DataError(f"{path} has no column {column} of pictures; there is {', '.join(known) or 'none'}")
    tables = [table for table in tables if table.footer.num_rows]
    if not tables:
        raise Empty(path)
    return Rows(path, tables, column)


def holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def features(table: Table) -> dict[str, Any]:
    """The Hub's description of the columns, which parquet files carry as a note."""
    note = (table.footer.schema.to_arrow_schema().metadata or {}).get(b"huggingface")
    return json.loads(note)["info"]["features"] if note else {}


def is_id(text: str) -> bool:
    """Whether a path that does not exist here can be the Hub's: user/name, not dir/file.png."""
    match = ID.fullmatch(text)
    return match is not None and not Path(text.partition("/")[0]).exists() and not text.startswith(".")


def open_hub(text: str) -> Rows:
    """The Hub's data set; raises DataError where it is not reachable, not there, or has no pictures."""
    import pyarrow.parquet as pq
    from huggingface_hub import HfApi, HfFileSystem, hf_hub_download
    from huggingface_hub.errors import HTTPError

    repo, config, column = ID.fullmatch(text).group("repo", "config", "column")
    try:
        names, revision = parquet_files(HfApi(), repo)
        system = HfFileSystem()

        def table(name: str) -> Table:
            with system.open(f"datasets/{repo}@{revision}/{name}", "rb", block_size=2**16) as stream:
                footer = pq.read_metadata(stream)
            return Table(
                name, footer, lambda: hf_hub_download(repo, name, repo_type="dataset", revision=revision)
            )

        chosen = of_config(repo, names, config)
        tables = [table(name) for name in chosen]
    except (OSError, HTTPError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(
            f"there is no {text} here, and the Hub gives no data set {repo} ({why}); "
            "without a network, fetch it "
            f"elsewhere with `hf download {repo} --repo-type dataset --local-dir DIR` and give DIR"
        ) from None
    return rows(f"{repo}/{config}" if config else repo, tables, column)


def parquet_files(api: Any, repo: str) -> tuple[list[str], str]:
    """The names of a data set's parquet files and the commit they are of."""
    for revision in (None, CONVERTED):
        info = api.dataset_info(repo, revision=revision)
        names = sorted(file.rfilename for file in info.siblings if file.rfilename.endswith(".parquet"))
        if names:
            return names, info.sha
    raise DataError(
        f"the Hub's {repo} has no parquet files, and the Hub has made none of it: download it as files"
    )


def of_config(repo: str, names: Sequence[str], config: str | None) -> list[str]:
    """The files of one configuration: they lie in a folder of its name, where there are several."""
    of = {name: config_of(name) for name in names}
    configs = sorted(set(of.values()) - {""})
    shown = f"{repo}/{{{','.join(configs)}}}" if len(configs) < 9 else f"{repo}/{configs[0]}"
    if config is None and len(configs) > 1:
        raise DataError(f"the Hub's {repo} has {len(configs)} configurations: name one, {shown}")
    if config is not None and config not in configs:
        raise DataError(
            f"the Hub's {repo} has no configuration {config}; it has {', '.join(configs) or 'none'}"
        )
    return [name for name in names if config is None or of[name] == config]


def config_of(name: str) -> str:
    folder = name.partition("/")[0] if "/" in name else ""
    return "" if folder == "data" or part_of(f"{folder}/") else folder
