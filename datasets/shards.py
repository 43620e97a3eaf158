"""Tar shards in WebDataset's manner, `name-{0000..0012}.tar`, for collections too large to unpack.

The members of a sample are neighbours with one name up to the first dot: `000017.jpg`, `000017.cls`, or
`000017.input.jpg` and `000017.target.jpg`; sentences about it lie in `000017.txt`, a line each, or in
`000017.json` under `caption`, `captions` or `text`. One pass over the headers tells where all lie;
that index is kept in the user's cache folder, so that later runs start at once and any picture is one read
away. Shards may be remote (`https://...`, `hf://datasets/user/name/...`, whatever fsspec opens): each picture
is then one range request.
"""

import glob
import hashlib
import json
import logging
import os
import re
import tarfile
import zipfile
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from datasets.base import DataError
from datasets.orders import LISTED, WINDOW, Windows, epoch_generator
from datasets.sources import SUFFIXES, Source

PROBED = 64
WORDS = re.compile(r"(?:^|[-_./])(train|test|val|valid|validation)(?=[-_./\d])")
READ_AHEAD = 2**16  # for remote headers: one request fetches those of a few small pictures

# numpy reads headers by ast.literal_eval, which two threads of CPython 3.11 cannot do at once: SystemError
PARSING = Lock()

log = logging.getLogger(__name__)
CAPTION_KEYS = ("caption", "captions", "text", "sentences")  # keys of a sample's JSON
# [pictures] each; told_size is below 0 for JSON, 0 for none
PARTS = (
    "offset",
    "size",
    "key",
    "label",
    "told",
    "told_size",
)
Index = dict[str, np.ndarray]  # those, column [pictures] and the names of the columns


class Shards(Source):
    """One picture of each sample of many shards."""

    def __init__(self, path: str, files: Sequence[str], indices: Sequence[Index]) -> None:
        self.path, self.files, self.indices = path, files, indices
        self.starts = np.cumsum([0, *(len(index["offset"]) for index in indices)]).tolist()
        self.offset, self.size, self.key, self.label, self.caption_at, self.caption_size = (
            np.concatenate([index[name] for index in indices]) for name in PARTS
        )

    def __len__(self) -> int:
        return self.starts[-1]

    def shard(self, index: int) -> int:
        return bisect_right(self.starts, index) - 1

    def read(self, index: int) -> bytes:
        start, size = int(self.offset[index]), int(self.size[index])
        return read_range(self.files[self.shard(index)], start, start + size)

    def name(self, index: int) -> str:
        return f"{os.path.basename(self.files[self.shard(index)])}/{self.member(index)}"

    def where(self, index: int) -> str:
        return f"{self.files[self.shard(index)]}/{self.member(index)}"

    def member(self, index: int) -> str:
        """The picture's name in its shard, from the header before it; its number where that costs a
        request."""
        shard = self.shard(index)
        if is_remote(self.files[shard]):
            return f"picture {index - self.starts[shard]}"
        start = int(self.offset[index])
        header = read_range(self.files[shard], start - tarfile.BLOCKSIZE, start)
        return header[:100].rstrip(b"\0").decode("utf-8", "replace")

    def order(self, epoch: int, seed: int) -> Tensor | Windows:
        """Shards in random order, and pictures shuffled inside a window, so that reading stays local."""
        if len(self) > LISTED:
            return Windows(self.starts, epoch, seed)
        generator = epoch_generator(epoch, seed)
        shards = torch.randperm(len(self.files), generator=generator).tolist()
        numbers = torch.cat([torch.arange(self.starts[shard], self.starts[shard + 1]) for shard in shards])
        noise = torch.rand(len(self), generator=generator, dtype=torch.float64) * WINDOW
        return numbers[torch.argsort(torch.arange(len(self)) + noise, stable=True)]

    def spread(self, limit: int) -> list[int]:
        return list(range(min(limit, PROBED, len(self))))

    def keys(self) -> list[int]:
        return self.key.tolist()

    def classes(self) -> tuple[list[str], list[int]] | None:
        if not len(self) or self.label.min() < 0:
            return None
        return [str(number) for number in range(int(self.label.max()) + 1)], self.label.tolist()

    def captions(self) -> list[list[str]] | None:
        if not self.caption_size.any():
            return None
        found: list[list[str]] = []
        for shard, file in enumerate(self.files):
            rows = slice(self.starts[shard], self.starts[shard + 1])
            starts, sizes = self.caption_at[rows].tolist(), self.caption_size[rows].tolist()
            texts = read_ranges(file, starts, [at + abs(n) for at, n in zip(starts, sizes, strict=True)])
            for text, size in zip(texts, sizes, strict=True):
                try:
                    found.append(sentences(text, size < 0))
                except ValueError as error:
                    raise DataError(f"{file}: the JSON of {self.where(len(found))}: {error}") from None
        return found

    def under(self, folder: str) -> "Shards | None":
        chosen = [number for number, file in enumerate(self.files) if part_of(file) == folder]
        if not chosen:
            return None
        return Shards(self.path, [self.files[number] for number in chosen], [self.indices[n] for n in chosen])

    def folders(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for file, index in zip(self.files, self.indices, strict=True):
            counts[part_of(file)] = counts.get(part_of(file), 0) + len(index["offset"])
        return counts


def part_of(file: str) -> str:
    """The part of the data a file's name or folder states, "" where it states none."""
    found = WORDS.findall("/".join(file.rsplit("/", 2)[-2:]))
    return found[-1] if found else ""


def open_shards(pattern: str) -> Shards:
    """Shards by pattern, with `:column` where a sample has several pictures; raises DataError."""
    path, column = re.fullmatch(r"(.*\.tar)(?::([\w.]+))?", pattern).groups()
    files = [file for name in braces(os.path.expanduser(path)) for file in globbed(name)]
    if not files:
        raise DataError(f"no tar file matches {path}")
    return open_all(pattern, files, column)


def open_all(path: str, files: Sequence[str], column: str | None = None) -> Shards:
    """Shards by file name. Without `column` each sample must have one picture."""
    with ThreadPoolExecutor(8) as pool:
        indices = list(pool.map(index_of, files))
    columns = sorted({str(name) for index in indices for name in index["columns"]})
    kinds = {name.rpartition(".")[0] for name in columns}
    if column is None and len(kinds) > 1:
        raise DataError(
            f"the samples of {path} have several pictures ({', '.join(columns)}): name one, as in "
            f"NAME.tar:{columns[0]}"
        )
    wanted = [name for name in columns if column is None or column in (name, name.rpartition(".")[0])]
    if not wanted:
        found = f"they have {', '.join(columns)}" if columns else "they have none"
        raise DataError(f"the samples of {path} have no picture {column or ''}: {found}")
    return Shards(path, files, [chosen(index, wanted) for index in indices])


def chosen(index: Index, wanted: Sequence[str]) -> Index:
    """The part of a shard's index with one column, and one picture for each sample."""
    numbers = [number for number, name in enumerate(index["columns"]) if name in wanted]
    rows = np.flatnonzero(np.isin(index["column"], numbers))
    _, first = np.unique(index["key"][rows], return_index=True)
    rows = rows[np.sort(first)]
    return {name: index[name][rows] for name in PARTS}


def sentences(text: bytes, is_json: bool) -> list[str]:
    """Raises ValueError where JSON is damaged."""
    if not is_json:
        return [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    facts = json.loads(text)
    facts = facts if isinstance(facts, dict) else {}
    captions = next((facts[key] for key in CAPTION_KEYS if facts.get(key)), [])
    return [captions] if isinstance(captions, str) else [str(each) for each in captions]


def index_of(file: str) -> Index:
    """Where the pictures of a shard lie, from the cache or from one pass over its headers."""
    cached = cache_file(file)
    try:
        with PARSING, np.load(cached) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # not there yet, or damaged: scan
        pass
    try:
        with open_binary(file) as stream:
            index = scan(stream)
    except tarfile.TarError as error:
        raise DataError(f"{file} is no uncompressed tar file, or a damaged one ({error})") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from None
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        unfinished = cached.with_name(f"{os.getpid()}-{cached.name}")
        np.savez(unfinished, **index)
        os.replace(unfinished, cached)
    except OSError as error:
        log.info("the index of %s is not kept: %s", file, error)
    return index


def scan(stream: BinaryIO) -> Index:
    """Read the headers of a tar, jumping over what lies between them (class labels are read)."""
    columns: dict[str, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    labels: dict[int, int] = {}
    captions: dict[int, tuple[int, int]] = {}
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stem, dot, suffix = name.partition(".")
            if not member.isfile() or not stem:
                continue
            digest = hashlib.blake2b(f"{folder}/{stem}".encode(), digest_size=8).digest()
            key = int.from_bytes(digest, "little", signed=True)
            if suffix.lower() == "cls":
                label = archive.extractfile(member).read().strip()
                labels[key] = int(label) if label.isdigit() else -1
            elif suffix.lower() == "txt" or (suffix.lower() == "json" and key not in captions):
                captions[key] = member.offset_data, member.size * (1 if suffix.lower() == "txt" else -1)
            elif os.path.splitext(name)[1].lower() in SUFFIXES:
                column = columns.setdefault(suffix.lower(), len(columns))
                rows.append((member.offset_data, member.size, key, column))
            archive.members = []  # tarfile remembers every header otherwise
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes it for the end, but that is zeros
            raise tarfile.ReadError(f"no header follows picture {len(rows)}")
    offset, size, key, column = np.array(rows, np.int64).reshape(-1, 4).T
    label = np.array([labels.get(row[2], -1) for row in rows], np.int64)
    texts = np.array([captions.get(row[2], (0, 0)) for row in rows], np.int64).reshape(-1, 2).T
    values = offset, size, key, label, *texts, column, np.array(list(columns), np.str_)
    return dict(zip((*PARTS, "column", "columns"), values, strict=True))


def cache_file(file: str) -> Path:
    """Where a shard's index is kept; the name changes with the shard."""
    if is_remote(file):
        from fsspec.core import url_to_fs

        system, path = url_to_fs(file)
        state = f"{file} {system.ukey(path)}"
    else:
        stat = os.stat(file)
        state = f"{os.path.realpath(file)} {stat.st_size} {stat.st_mtime_ns}"
    state += f" {PARTS}"  # an index of an older kind is not this one
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "translate", "shards", hashlib.sha256(state.encode()).hexdigest()[:32] + ".npz")


def is_remote(file: str) -> bool:
    return "://" in file


def open_binary(file: str) -> BinaryIO:
    if not is_remote(file):
        return open(file, "rb")
    import fsspec

    return fsspec.open(file, "rb", block_size=READ_AHEAD, cache_type="readahead").open()


def read_range(file: str, start: int, end: int) -> bytes:
    if is_remote(file):
        from fsspec.core import url_to_fs

        system, path = url_to_fs(file)
        return system.cat_file(path, start=start, end=end)
    with open(file, "rb") as stream:
        stream.seek(start)
        return stream.read(end - start)


def read_ranges(file: str, starts: list[int], ends: list[int]) -> list[bytes]:
    """Many parts of a shard in one go."""
    if is_remote(file):
        from fsspec.core import url_to_fs

        system, path = url_to_fs(file)
        return system.cat_ranges([path] * len(starts), starts, ends)
    found = []
    with open(file, "rb") as stream:
        for start, end in zip(starts, ends, strict=True):
            stream.seek(start)
            found.append(stream.read(end - start))
    return found


def braces(pattern: str) -> list[str]:
    """name-{08..10}.tar -> name-08.tar, name-09.tar, name-10.tar; also {a,b}. Raises DataError."""
    from braceexpand import UnbalancedBracesError, braceexpand

    try:
        return list(braceexpand(pattern, escape=False))
    except UnbalancedBracesError:
        raise DataError(f"{pattern} has a brace without its partner: write name-{{00..12}}.tar") from None


def globbed(name: str) -> list[str]:
    """The files a name with * or ? stands for; a plain name stands for itself and must exist."""
    if is_remote(name):
        if not glob.has_magic(name):
            return [name]
        from fsspec.core import url_to_fs

        system, path = url_to_fs(name)
        return [system.unstrip_protocol(found) for found in sorted(system.glob(path))]
    if glob.has_magic(name):
        return sorted(glob.glob(name))
    if not os.path.isfile(name):
        raise DataError(f"there is no {name}")
    return [name]
