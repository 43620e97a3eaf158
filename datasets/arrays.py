"""Sets of small pictures that come as arrays: MNIST's idx files (and those made in its image), CIFAR-10,
SVHN, and the digits that scikit-learn brings. Read whole; nothing in them is executed.
"""

import gzip
import io
import pickle
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from torch import Tensor

from datasets.base import DataError
from datasets.sources import Source

Part = tuple[np.ndarray, np.ndarray]  # pixels uint8 [N, C, H, W], labels [N]
INSIDE = ("", "raw", "MNIST/raw", "FashionMNIST/raw", "cifar-10-batches-bin", "cifar-10-batches-py")
BUILT_IN = "digits"
CIFAR = "airplane automobile bird cat deer dog frog horse ship truck".split()


class Arrays(Source):
    """Pictures TRAIN|TEST/CLASS/NUMBER of arrays in memory. `parts`: "train" and "test", or "" alone."""

    def __init__(self, path: str, parts: dict[str, Part], classes: list[str], mirrors: bool) -> None:
        self.path, self.parts, self.names, self.mirrors = path, parts, classes, mirrors

    def __len__(self) -> int:
        return sum(len(labels) for _, labels in self.parts.values())

    def at(self, index: int) -> tuple[str, int]:
        """The part that a picture is in, and its place there."""
        for part, (_, labels) in self.parts.items():
            if index < len(labels):
                return part, index
            index -= len(labels)
        raise IndexError(index)

    def name(self, index: int) -> str:
        part, place = self.at(index)
        return f"{part}/{self.names[self.parts[part][1][place]]}/{place:05d}".removeprefix("/")

    def read(self, index: int) -> bytes:
        """The picture as PGM or PPM."""
        part, place = self.at(index)
        picture = self.parts[part][0][place]
        channels, height, width = picture.shape
        head = b"P%d %d %d 255\n" % (5 if channels == 1 else 6, width, height)
        return head + picture.transpose(1, 2, 0).tobytes()

    def under(self, folder: str) -> "Arrays | None":
        if not folder or folder not in self.parts:
            return None
        return Arrays(f"{self.path}/{folder}", {"": self.parts[folder]}, self.names, self.mirrors)

    def folders(self) -> dict[str, int]:
        if "" in self.parts:
            counts = np.bincount(self.parts[""][1], minlength=len(self.names)).tolist()
            return dict(zip(self.names, counts, strict=True))
        return {part: len(labels) for part, (_, labels) in self.parts.items()}

    def classes(self) -> tuple[list[str], list[int]]:
        return self.names, np.concatenate([labels for _, labels in self.parts.values()]).tolist()

    def pixels(self) -> Tensor:
        """Every picture: uint8 [N, C, H, W]."""
        import torch

        return torch.from_numpy(np.concatenate([pixels for pixels, _ in self.parts.values()]))


def open_arrays(folder: Path) -> Arrays | None:
    """The arrays in a folder, or where torchvision puts them below it; None where there are none."""
    readers: list[Callable[[Path], Arrays | None]] = [idx, cifar_binary, cifar_python, svhn]
    places = (folder / inside for inside in INSIDE)
    found = (reader(place) for place in places if place.is_dir() for reader in readers)
    return next((arrays for arrays in found if arrays is not None), None)


# --- MNIST, Fashion-MNIST, ... --------------------------------------------------------------------------


def idx(folder: Path) -> Arrays | None:
    """`train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same of `t10k`, gzipped or not."""
    parts = {}
    for part, stem in (("train", "train"), ("test", "t10k")):
        images, labels = find(folder, f"{stem}-images-idx3-ubyte"), find(folder, f"{stem}-labels-idx1-ubyte")
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            raise DataError(
                f"{folder} holds {images or labels} but not what belongs to it: add the other file"
            )
        pixels, classes = read_idx(images, 3), read_idx(labels, 1)
        if len(pixels) != len(classes):
            raise DataError(
                f"{images} has {len(pixels)} pictures, but {labels} {len(classes)} labels: "
                "one is damaged, fetch them again"
            )
        parts[part] = pixels[:, None], classes.astype(np.int64)
    if "train" not in parts:
        return None
    count = 1 + max(int(labels.max(initial=0)) for _, labels in parts.values())
    named = [str(number) for number in range(count)]
    return Arrays(str(folder), parts, named, mirrors=False)  # nobody writes mirrored digits


def find(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)


def read_idx(file: Path, axes: int) -> np.ndarray:
    """An idx file of bytes, gzipped or not: two zeros, 8 (the type), number of axes, their lengths, data."""
    try:
        state = file.stat()
        return read_idx_once(file, axes, state.st_size, state.st_mtime_ns)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise damaged(file, error) from None


@lru_cache(maxsize=4)  # training and test data are opened one after the other
def read_idx_once(file: Path, axes: int, size: int, changed: int) -> np.ndarray:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    header = struct.unpack(f">HBB{axes}I", data[: 4 + 4 * axes])
    if header[:3] != (0, 8, axes):
        raise ValueError(f"it does not begin as an idx file of bytes with {axes} axes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(header[3:])


def damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} cannot be read ({' '.join(str(error).split())}): download it again")


# --- CIFAR-10 -------------------------------------------------------------------------------------------


def cifar_binary(folder: Path) -> Arrays | None:
    """The binary version: records of one label and 3 x 32 x 32 bytes."""
    if not (folder / "data_batch_1.bin").is_file():
        return None
    names = folder / "batches.meta.txt"
    classes = names.read_text().split() if names.is_file() else CIFAR

    def read(file: Path) -> Part:
        data = np.frombuffer(file.read_bytes(), np.uint8)
        if not data.size or data.size % 3073:
            raise ValueError(f"{data.size} bytes are no whole number of pictures of 3,073")
        records = data.reshape(-1, 3073)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)

    return batches(folder, ".bin", classes, read)


def cifar_python(folder: Path) -> Arrays | None:
    """The Python version: pickles, of which arrays and plain values are read and everything else refused."""
    if not (folder / "data_batch_1").is_file():
        return None

    def read(file: Path) -> Part:
        content = Restricted(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        pixels, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
        if pixels.dtype != np.uint8:
            raise ValueError(f"pixels of type {pixels.dtype}, not bytes")
        return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)

    return batches(folder, "", CIFAR, read)


class Restricted(pickle.Unpickler):
    """Knows numpy's arrays and nothing else, so that a file cannot run anything."""

    def find_class(self, module: str, name: str):
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np._core.multiarray._reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs")


def batches(folder: Path, suffix: str, classes: list[str], read: Callable[[Path], Part]) -> Arrays:
    """`data_batch_N` for training and `test_batch` for testing."""
    trained = sorted(folder.glob(f"data_batch_[0-9]{suffix}"))
    tested = folder / f"test_batch{suffix}"
    parts = {"train": checked(trained, classes, read)}
    if tested.is_file():
        parts["test"] = checked([tested], classes, read)
    return Arrays(str(folder), parts, classes, mirrors=True)


def checked(files: list[Path], classes: list[str], read: Callable[[Path], Part]) -> Part:
    """The files as one part. Raises DataError where one of them is damaged."""

    def each() -> Iterator[Part]:
        for file in files:
            try:
                pixels, labels = read(file)
                if len(pixels) != len(labels) or not ((labels >= 0) & (labels < len(classes))).all():
                    raise ValueError("its labels do not fit its pictures")
                yield pixels, labels
            except Exception as error:  # unpicklers and scipy raise almost anything for a damaged file
                raise damaged(file, error) from None

    pixels, labels = zip(*each(), strict=True)
    return np.concatenate(pixels), np.concatenate(labels)


# --- SVHN -----------------------------------------------------------------------------------------------


def svhn(folder: Path) -> Arrays | None:
    """`train_32x32.mat` and `test_32x32.mat`: X is [32, 32, 3, N], y is 1 to 10, where 10 means 0."""
    if not (folder / "train_32x32.mat").is_file():
        return None

    def read(file: Path) -> Part:
        from scipy.io import loadmat

        content = loadmat(file, variable_names=("X", "y"))
        pixels, labels = content["X"], content["y"].reshape(-1).astype(np.int64) % 10
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[2] != 3:
            raise ValueError(f"X is {pixels.dtype} {pixels.shape}, not bytes [height, width, 3, count]")
        return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), labels

    files = {part: folder / f"{part}_32x32.mat" for part in ("train", "test")}
    digits = [str(number) for number in range(10)]
    parts = {part: checked([file], digits, read) for part, file in files.items() if file.is_file()}
    return Arrays(str(folder), parts, digits, mirrors=False)


# --- scikit-learn's digits ------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def digits() -> Arrays:
    """1,797 digits of 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI), installed with scikit-learn.

    The last fifth is for testing: neighbours are often by one hand.
    """
    package = find_spec("sklearn")  # the file alone: to import scikit-learn takes seconds
    if package is None:
        raise DataError("the built-in digits come with scikit-learn: `pip install scikit-learn`")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",")  # 64 pixels from 0 to 16, then the label
    pixels = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels, tested = rows[:, -1].astype(np.int64), len(pixels) // 5
    parts = {"train": (pixels[:-tested], labels[:-tested]), "test": (pixels[-tested:], labels[-tested:])}
    return Arrays(BUILT_IN, parts, [str(number) for number in range(10)], mirrors=False)
