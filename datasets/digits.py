"""MNIST's files, and those of the sets made in its image: idx arrays of grey pictures and labels."""

import gzip
import struct
from pathlib import Path

import numpy as np

from datasets.base import DataError
from datasets.sources import Files

STEMS = {"train": "train", "test": "t10k"}


def is_here(folder: Path) -> bool:
    return find(folder, "train", "images") is not None


def open_digits(folder: Path) -> Files:
    """The pictures as PGM files, TRAIN|TEST/CLASS/NUMBER, in the order of the arrays."""
    pixels: dict[str, np.ndarray] = {}
    names: list[str] = []
    for part in STEMS:
        images, labels = (find(folder, part, what) for what in ("images", "labels"))
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            raise DataError(
                f"{folder} holds {images or labels} but not what belongs to it: add the other file"
            )
        pixels[part], classes = read_idx(images, 3), read_idx(labels, 1)
        if len(pixels[part]) != len(classes):
            raise DataError(
                f"{images} has {len(pixels[part])} pictures, but {labels} {len(classes)} labels: "
                "one is damaged, fetch them again"
            )
        names += [f"{part}/{label}/{number:05d}" for number, label in enumerate(classes.tolist())]

    def fetch(name: str) -> bytes:
        part, _, number = name.split("/")
        picture = pixels[part][int(number)]
        return b"P5 %d %d 255\n" % picture.shape[::-1] + picture.tobytes()

    return Files(str(folder), names, fetch, mirrors=False)  # nobody writes mirrored digits


def find(folder: Path, part: str, what: str) -> Path | None:
    name = f"{STEMS[part]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def read_idx(file: Path, axes: int) -> np.ndarray:
    """An idx file of bytes, gzipped or not: two zeros, 8 (the type), number of axes, their lengths, data."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        header = struct.unpack(f">HBB{axes}I", data[: 4 + 4 * axes])
        if header[:3] != (0, 8, axes):
            raise ValueError(f"it does not begin as an idx file of bytes with {axes} axes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(header[3:])
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{file} cannot be read ({error}): download it again") from None
