"""MNIST's files, and those of the sets made in its image: idx arrays of grey pictures and labels."""

import gzip
import struct
from pathlib import Path

import numpy as np

from datasets.base import DataError
from datasets.sources import Source

STEMS = {"train": "train", "test": "t10k"}


class Digits(Source):
    """One part of an idx data set; pictures are handed out as PGM files."""

    mirrors = False  # nobody writes mirrored digits

    def __init__(self, folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
        self.path = str(folder)
        self.folder, self.part, self.images, self.labels = folder, part, images, labels

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"{self.part}/{index:05d}"

    def read(self, index: int) -> bytes:
        height, width = self.images.shape[1:]
        return b"P5 %d %d 255\n" % (width, height) + self.images[index].tobytes()

    def classes(self) -> tuple[list[str], list[int]]:
        """The names of the classes, and the class of each picture."""
        return [str(number) for number in range(int(self.labels.max()) + 1)], self.labels.tolist()

    def under(self, folder: str) -> "Digits | None":
        if folder == self.part:
            return self
        return (
            read_part(self.folder, folder)
            if folder in STEMS and find(self.folder, folder, "images")
            else None
        )

    def folders(self) -> dict[str, int]:
        parts = {part: self.under(part) for part in STEMS}
        return {part: len(source) for part, source in parts.items() if source is not None}


def find(folder: Path, part: str, what: str) -> Path | None:
    name = f"{STEMS[part]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def is_here(folder: Path) -> bool:
    return find(folder, "train", "images") is not None


def open_digits(folder: Path) -> Digits:
    return read_part(folder, "train")


def read_part(folder: Path, part: str) -> Digits:
    images, labels = (find(folder, part, what) for what in ("images", "labels"))
    if images is None or labels is None:
        raise DataError(
            f"{folder} holds the {part} images or labels of an idx data set but not both: add the other"
        )
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or len(pixels) != len(classes):
        raise DataError(
            f"{images} holds {pixels.shape[0]} pictures and {labels} {len(classes)} labels: one is damaged"
        )
    return Digits(folder, part, pixels, classes)


def read_idx(file: Path) -> np.ndarray:
    """An idx file of bytes, gzipped or not: two zeros, 8 (the type), the number of axes, their lengths, the data."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        zeros, kind, axes = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
        if (zeros, kind) != (0, 8):
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise DataError(f"{file} cannot be read ({error}): download it again") from None
