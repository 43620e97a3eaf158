"""How the order of an epoch, indices of shards, names and resuming grow: `python -m benchmarks.scale`.

Synthetic: the numbers that an index of shards holds, names as a folder has them; nothing is read from a disk.
Memory is that of the process before and after (resident, MiB).
"""

import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    pictures: tuple[int, ...] = (1_000_000, 10_000_000)
    processes: int = 64
    batch: int = 32  # of a process
    per_shard: int = 10_000


def resident() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 2**20


class Cost:
    """Seconds and MiB of a block."""

    def __enter__(self) -> "Cost":
        self.memory, self.start = resident(), time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self.seconds, self.memory = time.perf_counter() - self.start, resident() - self.memory


def index(pictures: int):
    """Of a shard: the eight numbers of each picture that `datasets.shards` keeps."""
    import numpy as np

    from datasets.shards import PARTS

    offsets = np.arange(pictures, dtype=np.int64) * 100_352
    return {part: offsets.copy() for part in PARTS}


class Many:
    """A data set of which only the order is asked."""

    def __init__(self, count: int, order):
        self.count, self.order = count, order

    def __len__(self) -> int:
        return self.count


def rows(count: int, settings: Settings) -> list[tuple[str, Cost]]:
    import torch

    from datasets import orders
    from datasets.shards import Shards
    from translate.training.stream import Stream

    found, kept = [], []

    def measured(what: str, run) -> None:
        with Cost() as cost:
            kept.append(run())  # alive until the end of these rows: memory is not used again
        found.append((what, cost))

    files = [f"shard-{number:05d}.tar" for number in range(count // settings.per_shard)]
    measured("names of a folder, a list", lambda: [f"train/pictures/{n:012d}.jpg" for n in range(count)])
    indices = [index(settings.per_shard) for _ in files]
    measured("indices of shards, joined", lambda: Shards("x", files, indices))
    shards = kept[-1]
    orders.Order(1000, 0, 0)[:10]
    measured("order of an epoch as a list (as before)", lambda: torch.randperm(count))
    measured("order as a function", lambda: orders.Order(count, 0, 0))
    order = kept[-1]
    measured("  and a batch of it, 1,000 times", lambda: [order[n : n + settings.batch] for n in range(1000)])
    measured("order of shards as a function", lambda: shards.order(0, 0))
    windows = kept[-1]
    measured(
        "  and a batch of it, 1,000 times", lambda: [windows[n : n + settings.batch] for n in range(1000)]
    )
    stream = Stream(Many(count, shards.order), settings.batch, 0, settings.processes - 1, settings.processes)
    update = 7 * count // (settings.batch * settings.processes)  # in the eighth epoch
    place = (update * settings.processes + settings.processes - 1) * settings.batch
    measured(
        f"the last of {settings.processes} processes finds its pictures of update {update:,}, resumed",
        lambda: stream.indices(place),
    )
    return found


def main(settings: Settings) -> None:
    print("| pictures | what | ms | MiB |\n|---|---|---|---|")
    for count in settings.pictures:
        for what, cost in rows(count, settings):
            print(f"| {count:,} | {what} | {1e3 * cost.seconds:.3g} | {cost.memory:.0f} |", flush=True)


if __name__ == "__main__":
    import tyro

    main(tyro.cli(Settings, description=__doc__))
