"""What each kind of data can be asked for: a mixin of settings for the Config of methods that learn from it.

`class Config(Paired, RunConfig)`; each field is a flag, and an argument of `datasets.load`. No torch here.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Images:
    """One domain of pictures; what every kind of pictures can."""

    # == Data ==
    resize: Literal["resize-crop", "scale-crop", "crop", "resize", "pad"] = (
        "resize-crop"  # how pictures become square: resize-crop squashes (as in the papers), scale-crop not
    )
    load_size: int | None = None  # size before the random crop; default 286/256 of --size, as in the papers
    flip: bool = True  # mirror half of the pictures
    color_jitter: float = 0.0  # strength of random brightness, contrast, saturation and hue; 0 is off
    cache: Literal["auto", "on", "off"] = "auto"  # keep decoded pictures in memory (auto: where they fit)


@dataclass(frozen=True, kw_only=True)
class Captions(Images):
    """Pictures with sentences."""


@dataclass(frozen=True, kw_only=True)
class Labels(Images):
    """Pictures in classes."""

    # == Data ==
    labelled: int = 0  # so many pictures of each class keep their label; 0: all
    labelled_seed: int = 0  # which ones


@dataclass(frozen=True, kw_only=True)
class Sets(Images):
    """Pictures with sets of labels."""

    # == Data ==
    columns: tuple[
        str, ...
    ] = ()  # of the table, that hold labels, e.g. group subgroup; default the usual one


@dataclass(frozen=True, kw_only=True)
class Frames(Images):
    """Films."""

    # == Data ==
    length: int = 5  # consecutive frames of a sample


@dataclass(frozen=True, kw_only=True)
class Masked(Images):
    """Pictures with a part to be filled in."""

    # == Data ==
    masks: str = "free-form"  # drawn free-form, as rectangles or both, or a place of masks (white: fill)


@dataclass(frozen=True, kw_only=True)
class Domains(Images):
    """Pictures of two domains."""

    # == Data ==
    a: str | None = None  # where domain A comes from, instead of a folder inside --data
    b: str | None = None  # where domain B comes from, instead of a folder inside --data
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # which side is the input
    labels_a: bool = False  # domain A holds label maps: no colours mixed, pictures come back in its values
    labels_b: bool = False  # domain B holds label maps


@dataclass(frozen=True, kw_only=True)
class Unpaired(Domains):
    """Each domain for itself."""


@dataclass(frozen=True, kw_only=True)
class Styles(Unpaired):
    """Each domain for itself, and domain B of several parts."""

    # == Data ==
    styles: bool = True  # of --b X.jpg+Y.jpg+FOLDER each is a style of its own; no: all are one


@dataclass(frozen=True, kw_only=True)
class Paired(Domains):
    """Each picture of A has a partner in B."""

    # == Data ==
    skip_unpaired: bool = False  # leave out pictures without a partner
    grey: Literal["none", "a"] = "none"  # a: pictures of --data are B, and A is the grey of each
    strokes: float = 0.0  # redraw the lines of A as a hand would: wobbly, broken; 0 is off, 1 a lot


@dataclass(frozen=True, kw_only=True)
class Lowres(Images):
    """Pictures, and the same made small."""

    # == Data ==
    a: str | None = None  # given pairs: where the small pictures come from
    b: str | None = None  # given pairs: where the large ones come from
    scale: Literal[2, 3, 4] = 4  # how many times smaller the input is, each way
    shrink: float = 1.0  # pictures are first made smaller at random, at most so much (LapSRN: 0.5)
    degrade: float = 0.0  # blur, noise and JPEG on the input, as from cameras; 0 is off, 1 a lot
