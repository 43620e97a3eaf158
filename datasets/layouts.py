"""Which pictures of a place are for training, which for testing, and which belong to domain A and to B."""

import re
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from datasets.base import DataError
from datasets.sources import Joined, Source, is_shards, open_source, several, split_column

TESTS = ("test", "val", "valid", "validation")
PARTS = ("train", *TESTS)
SIDES = ("{0}/A", "{0}/B"), ("A/{0}", "B/{0}"), ("{0}A", "{0}B")
# Folder names that say nothing about what is in them.
GENERIC = {*PARTS, "A", "B", "a", "b", *(part + side for part in PARTS for side in "AB")}

Pictures = TypeVar("Pictures")
Two = tuple[Source, Source]


class Part(NamedTuple, Generic[Pictures]):
    """The part to use (`split` says which it is), and the training part, which decides the channels."""

    train: Pictures
    chosen: Pictures
    split: str


def one(path: str, split: str) -> Part[Source]:
    """A place with or without train and test parts. X/train/noto has its test part in X/test/noto."""
    if len(places := several(path)) > 1:
        parts = [one(place, split) for place in places]
        tested = [part.chosen for part in parts if part.split == "test"]
        train = Joined([part.train for part in parts])
        return Part(train, Joined(tested) if tested else train, "test" if tested else "train")
    root = unwrapped(open_source(path))
    train, test = root.under("train"), None
    if split == "test" and train is not None:
        test = next(filter(None, map(root.under, TESTS)), None)
    if split == "test" and test is None and (other := sibling(path)):
        test = unwrapped(open_source(other))
    train = train or root
    return Part(train, test or train, "test" if test else "train")


def two(data: str, a: str | None, b: str | None, split: str, kind: str) -> Part[Two] | None:
    """Domains A and B, from two paths or from the layout of one; None where there is no such layout."""
    if (a is None) != (b is None):
        raise DataError(f"{kind} data from two places needs both --a PATH and --b PATH; only one was given")
    if a is not None and b is not None:
        part_a, part_b = one(a, split), one(b, split)
        # A domain of one picture has no other to be tested on.
        if "test" in (part_a.split, part_b.split) and all(
            p.split == "test" or p.train.single for p in (part_a, part_b)
        ):
            return Part((part_a.train, part_b.train), (part_a.chosen, part_b.chosen), "test")
        return Part((part_a.train, part_b.train), (part_a.train, part_b.train), "train")
    root = unwrapped(open_source(data))
    train = sides(root, ("train",)) or (root.under("A"), root.under("B"))
    if train[0] is None or train[1] is None:
        return None
    test = None
    if split == "test":
        test = sides(root, TESTS)
        if test is None and (other := sibling(data)):
            test = sides(unwrapped(open_source(other)), ("",))
    return Part(train, test or train, "test" if test else "train")


def sides(root: Source, parts: tuple[str, ...]) -> Two | None:
    """The first of the layouts PART/A + PART/B, A/PART + B/PART, PARTA + PARTB that is there."""
    for part in parts:
        for pattern in SIDES:
            a, b = (root.under(side.format(part).strip("/")) for side in pattern)
            if a is not None and b is not None:
                return a, b
    return None


def unwrapped(source: Source) -> Source:
    """Step into folders that merely wrap everything, as zips often have one."""
    while len(folders := source.folders()) == 1:
        (name,) = folders
        inside = source.under(name) if name and name not in GENERIC else None
        if inside is None:
            break
        source = inside
    return source


def sibling(path: str) -> str | None:
    """The test part beside a training part, if any: X/train/noto -> X/test/noto, X/trainA -> X/testA."""
    path, column = split_column(path)
    suffix = f":{column}" if column else ""
    parts = Path(path).parts
    for place in reversed(range(len(parts))):
        if match := re.fullmatch(r"train([AB]?)", parts[place]):
            others = (Path(*parts[:place], test + match[1], *parts[place + 1 :]) for test in TESTS)
            return next(filter(is_there, (f"{other}{suffix}" for other in others)), None)
    return None


def is_there(path: str) -> bool:
    """Whether a path, possibly into a zip, holds pictures."""
    local = Path(split_column(path)[0]).expanduser()
    if not is_shards(path) and not local.exists() and not any(parent.is_file() for parent in local.parents):
        return False
    try:
        return len(open_source(path)) > 0
    except DataError:
        return False


def needs(kind: str, layout: str, data: str) -> DataError:
    """The sentence for data that is not laid out for its kind: what is needed, and what was found."""
    root = unwrapped(open_source(data))
    part = root.under("train") or root
    two = [f"{part.path}/{folder}" for folder in part.folders() if folder][:2]
    hint = f": perhaps --a {two[0]} --b {two[1]}" if "--a" in layout and len(two) == 2 else ""
    return DataError(f"{kind} data needs {layout}; found {listing(part)} in {part.path}{hint}")


def listing(source: Source, limit: int = 6) -> str:
    """The folders of a source with their counts, on one line."""
    counts: dict[str, int] = {}
    for folder, count in source.folders().items():
        inside = source.under(folder) if folder in PARTS else None
        within = inside.folders() if inside else {}
        if within.keys() <= {folder}:  # shards and tables name their part, not folders in it
            within = {"": count}
        for inner, number in within.items():
            counts[f"{folder}/{inner}".strip("/")] = number
    shown = [f"{name} ({number:,})" if name else plural(number) for name, number in counts.items()][:limit]
    return ", ".join(shown) + (f" and {len(counts) - limit:,} more" if len(counts) > limit else "")


def plural(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def human(path: str, domain: bool = False) -> str:
    """The last part of a path that says something: X.zip/train/noto -> noto, photos.zip/train -> photos.

    A domain may also be a column: user/name:target -> target. Several places: the first, and others.
    """
    if len(places := several(path)) > 1:
        return f"{human(places[0], domain)} and others"
    place, column = split_column(path)
    if domain and column:
        return column
    for part in reversed(Path(place).parts):
        part = re.sub(r"\.(zip|tar|parquet|jpe?g|png|webp|tiff?)$", "", part, flags=re.I)
        part = re.sub(r"[-_.]?(\{[^}]*\}|\*)", "", part)
        if part and part not in GENERIC:
            return part
    return place


def names(data: str, a: str | None, b: str | None) -> tuple[str, list[str]]:
    """What people call the data, and its two domains, from their paths or from a name like horse2zebra; []
    where nothing tells."""
    if a is not None and b is not None:
        both = [human(a, domain=True), human(b, domain=True)]
        return ("-".join(both), both) if both[0] != both[1] else (both[0], [])
    match = re.fullmatch(r"([A-Za-z]+)2([A-Za-z]+)", human(data))
    return human(data), list(match.groups()) if match else []
