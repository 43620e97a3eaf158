"""Data for every kind of task. `load(kind, data, size=...)` gives samples by number; see `Dataset`.

Hugging Face's package has the same name; from a checkout ours comes first. Accelerate then looks for
`Dataset` and `IterableDataset` here, so both exist. Data sets of the Hub come through `hub.py`.
"""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets.base import DataError, Dataset, IterableDataset

__all__ = ["DataError", "Dataset", "IterableDataset", "KINDS", "load", "options_of"]

KINDS = ("images", "paired", "unpaired", "lowres", "captions", "labels", "sets", "points", "frames", "masked")


def __getattr__(name: str) -> Any:
    """`DataError`, `Dataset` and `IterableDataset` when they are asked for: settings alone need no torch."""
    if name in ("DataError", "Dataset", "IterableDataset"):
        from datasets import base

        return getattr(base, name)
    raise AttributeError(f"module 'datasets' has no attribute {name!r}")


def options_of(config: Any) -> dict[str, Any]:
    """Those of a Config's settings that `load` takes, beside the data's name and size."""
    own = set(inspect.signature(load).parameters) - {"kind", "data", "size", "split"}
    return {name: value for name, value in vars(config).items() if name in own}


def load(
    kind: str,
    data: str,
    *,
    size: int,
    split: str = "train",
    a: str | None = None,
    b: str | None = None,
    direction: str = "AtoB",
    resize: str = "resize-crop",
    load_size: int | None = None,
    flip: bool = True,
    color_jitter: float = 0.0,
    strokes: float = 0.0,
    scale: int = 4,
    shrink: float = 1.0,
    degrade: float = 0.0,
    cache: str = "auto",
    labels_a: bool = False,
    labels_b: bool = False,
    skip_unpaired: bool = False,
    masks: str = "free-form",
    length: int = 5,
    labelled: int = 0,
    labelled_seed: int = 0,
    text_words: Path | None = None,
    balanced: bool = False,
    grey: str = "none",
    columns: tuple[str, ...] = (),
    styles: bool = False,
) -> "Dataset":
    """The data set at `data`, seen as `kind`.

    data: a folder (searched through), a zip, a folder in a zip (`emoji.zip/train/noto`), one picture (then a
        domain of its random crops), tar shards (`DIR/*.tar`, `name-{0000..0012}.tar`), parquet files,
        the files of MNIST, Fashion-MNIST, CIFAR-10 or SVHN, `user/name[:column]` on the Hub, or built in:
        `birds`, `birds:COUNT`, `digits`, and instead of pictures the points of `points.TOYS`, such as `ring`.
    size: samples are size x size.
    split: "train", or "test": the part called test, val, valid or validation, without augmentation;
        where there is none, the training pictures (and `info["split"]` says so).
        Several places joined by + are one: `t91.zip+photos`.
    a, b: for paired and unpaired data, two such places instead of `data` (lowres: low and high).
        A path with a `train` folder in it finds its test part beside it: X/train/noto -> X/test/noto.
    direction: "BtoA" swaps `a` and `b`.
    resize, load_size: see `geometry.Geometry`; load_size is 286/256 of size unless given, as in the papers.
    flip: mirror half of the samples (never MNIST's digits).
    color_jitter: 0.1 varies brightness, contrast and saturation by 10 % and hue by 2.5 % of a turn.
    strokes: 1 redraws the lines of `a` in paired data as a hand would (see `strokes.py`), 0 leaves them.
    scale: how much smaller `low` is than `high` in lowres data, each way.
    shrink: lowres pictures are first made smaller by a random factor from `shrink` to 1; 1 leaves them.
    degrade: 1 blurs, noises and JPEG-compresses `low` as cameras do, 0 leaves it (see `lowres.degraded`).
    text_words: a file of word vectors whose words captions may also have.
    cache: "auto" keeps decoded pictures in memory where they take less than a quarter of it; or "on", "off".
    labels_a, labels_b: that side of paired or unpaired data holds label maps, see `classes`.
    skip_unpaired: leave out pictures without a partner.
    grey: "a" makes pairs of single pictures: they are `b`, the grey of each is `a`.
    styles: of unpaired data: where `b` is several places joined by +, each is a class, and samples say which.
    masks: of masked data: "free-form", "rectangles" or "both" are drawn; or a place where masks lie, white
        where the picture is to be filled.
    length: consecutive frames in a sample of frames data.
    labelled: of labels data: so many pictures of each class keep their label, chosen by `labelled_seed`; the
        others' is -1. 0: all keep it.
    balanced: every class of images and labels comes equally often, within each batch too.
    columns: of sets data: the columns of the table that hold labels, instead of the usual one.

    Raises DataError, one sentence, where the data is missing, unreadable or laid out otherwise.
    """
    from dataclasses import replace

    from datasets import points
    from datasets.base import DataError
    from datasets.geometry import Geometry

    if kind not in KINDS:
        raise DataError(f'there is no kind of data called "{kind}": choose one of {", ".join(KINDS)}')
    if split not in ("train", "test"):
        raise DataError(f'split "{split}" is unknown: choose train or test')
    if direction not in ("AtoB", "BtoA"):
        raise DataError(f'direction "{direction}" is unknown: choose AtoB or BtoA')
    if kind == "points" or (kind in ("images", "labels") and points.are_points(data)):
        return points.load(data, split)
    train = split == "train"
    geometry = Geometry.checked(size, resize, load_size, flip, train)
    if kind not in ("paired", "unpaired", "lowres") and (a is not None or b is not None):
        raise DataError(f"--a and --b are for paired and unpaired data; {kind} data comes from --data alone")
    own = kind in ("paired", "unpaired") and not (is_built_in(data) and a is None)
    if not own and (labels_a or labels_b or skip_unpaired):
        what = f"{kind} data" if kind not in ("paired", "unpaired") else "the built-in birds"
        raise DataError(
            f"--labels-a, --labels-b and --skip-unpaired are for paired and unpaired pictures, not for {what}"
        )
    given = kind != "paired" or a is not None or b is not None or direction == "BtoA"
    if grey not in ("none", "a") or (grey == "a" and given):
        raise DataError("--grey a makes pairs of the pictures in --data: no --a, --b, --direction beside it")
    if not 2 <= scale <= 8:
        raise DataError(f"--scale {scale} must be 2 to 8")
    if not 0.1 <= shrink <= 1:
        raise DataError(f"--shrink {shrink:g} must be 0.1 to 1, the least size that pictures are made")
    if kind == "lowres" and (shrink < 1 or degrade) and (is_built_in(data) or a is not None):
        what = "given pairs" if a is not None else "the built-in birds"
        raise DataError(f"--shrink and --degrade are for pictures of your own in --data, not for {what}")
    if is_built_in(data) and kind == "frames":
        raise DataError("the built-in birds stand still; built-in films are moving-digits and bouncing-balls")
    if is_built_in(data) and labelled:
        raise DataError("--labelled is for pictures of your own in --data, not for the built-in birds")
    if is_built_in(data) and kind == "masked":
        from datasets.masked import Masked

        found = Masked(load_birds("images", data, size, split, direction, scale, cache), size, train, masks)
    elif is_built_in(data) and grey == "a":
        from datasets.paired import Greyed

        found = Greyed(load_birds("images", data, size, split, direction, scale, cache))
    elif is_built_in(data) and a is None and b is None:
        found = load_birds(kind, data, size, split, direction, scale, cache)
    else:
        from importlib import import_module

        from datasets.images import Request
        from datasets.sources import Empty

        jitter = color_jitter if train else 0.0
        request = Request(data, split, geometry, a, b, direction, jitter, cache, scale, shrink, degrade)
        sides = dict(labels_a=labels_a, labels_b=labels_b, skip_unpaired=skip_unpaired)
        request = replace(request, **sides, text_words=text_words, masks=masks, length=length)
        few = dict(labelled=labelled, labelled_seed=labelled_seed)
        request = replace(request, **few, grey=grey, columns=columns, styles=styles)
        module = import_module(f"datasets.{kind}")
        try:
            found = module.load(request)
        except Empty as error:
            raise DataError(f"{kind} data needs {module.LAYOUT}; {error}") from None
    if balanced and train:
        from datasets.labels import balance

        balance(found, data)
    if not strokes:
        return found
    from datasets.strokes import HandDrawn

    hand_drawn = HandDrawn(found, strokes)
    return hand_drawn if train else found


def is_built_in(data: str) -> bool:
    return data.partition(":")[0] == "birds"


def load_birds(
    kind: str, data: str, size: int, split: str, direction: str, scale: int, cache: str
) -> "Dataset":
    from datasets import birds
    from datasets.base import DataError

    _, limited, count = data.partition(":")
    if limited and not (count.isdecimal() and int(count) > 0):
        raise DataError(f'"{data}" should be birds or birds:COUNT, such as birds:1000')
    number = int(count) if limited else None
    options = dict(direction=direction, scale=scale, cache=cache)
    return birds.load(kind, size=size, split=split, count=number, **options)
