"""Pictures in classes: a folder for each, or arrays with labels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from datasets import layouts
from datasets.base import DataError
from datasets.images import Domain, Images, Request, describe
from datasets.pictures import probe
from datasets.sources import Source

LAYOUT = "a folder for each class: DIR/train/CLASS/*.jpg or DIR/CLASS/*.jpg"


class Labels(Images):
    """`image` [C, size, size] and `label`, an int that numbers `info["classes"]`."""

    def __init__(self, info: dict[str, Any], domain: Domain, labels: list[int], request: Request) -> None:
        super().__init__(info, domain, request)
        self.labels = torch.tensor(labels)

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Any]:
        number, image = self.domain.view(index, self.color_jitter, generator)
        file = self.domain.source.where(number)
        return {"image": image, "label": int(self.labels[number]), "index": index, "file": file}

    def batch(self, indices: Tensor, generators: Callable[[int], torch.Generator]) -> dict[str, Any] | None:
        found = super().batch(indices, generators)
        return found and found | {"label": self.labels[found["file"].numbers]}


def load(request: Request) -> Labels:
    """Classes are numbered by the training part, ordered by name, or by value where all are numbers."""
    part = layouts.one(request.data, request.split)
    classes, labels = classes_of(part.train)
    if len(classes) < 2:
        raise layouts.needs("labels", LAYOUT, request.data)
    if part.split == "test":
        names, numbers = classes_of(part.chosen)
        strange = [name for name in names if name not in classes]
        if strange:
            raise DataError(
                f"{part.chosen.path} has a class that {part.train.path} has not: remove {strange[0]}"
            )
        labels = [classes.index(names[number]) for number in numbers]
    if request.labelled and request.split == "train":
        labels = partly(labels, classes, request.labelled, request.labelled_seed)
    like = probe(part.train)
    domain = Domain(part.chosen, like, request.geometry)
    info = describe(
        "labels",
        layouts.human(request.data),
        len(domain),
        {"image": like.channels},
        like.bits,
        part.split,
        classes,
    )
    return Labels(info, domain, labels, request)


def partly(labels: list[int], classes: list[str], each: int, seed: int) -> list[int]:
    """The labels of `each` pictures of every class, drawn by the seed; -1 for all others.

    Raises DataError where a class has fewer.
    """
    numbers = torch.tensor(labels)
    known = torch.full_like(numbers, -1)
    generator = torch.Generator().manual_seed(seed)
    for label, name in enumerate(classes):
        places = (numbers == label).nonzero()[:, 0]
        if len(places) < each:
            raise DataError(f"--labelled {each} is more than the {len(places)} pictures of class {name}")
        known[places[torch.randperm(len(places), generator=generator)[:each]]] = label
    return known.tolist()


def classes_of(source: Source) -> tuple[list[str], list[int]]:
    """The names of the classes, and the class of each picture; both empty where the source has none."""
    stated = source.classes()
    if stated is not None:
        return stated
    names = [source.name(number) for number in range(len(source))]
    if not all("/" in name for name in names):
        return [], []
    folders = [name.partition("/")[0] for name in names]
    numeric = all(folder.isdecimal() for folder in folders)
    classes = sorted(set(folders), key=lambda name: (int(name) if numeric else 0, name))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [numbers[folder] for folder in folders]


def balance(data: Images, path: str) -> None:
    """Let every class come equally often. Raises DataError where there are no classes."""
    classes, labels = classes_of(data.domain.source) if isinstance(data, Images) else ([], [])
    if len(classes) < 2:
        raise DataError(f"--balanced needs classes, {LAYOUT}, or arrays with labels; {path} has none")
    data.even = torch.tensor(labels)
