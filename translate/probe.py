"""`auto`: how to run the layers at hand is chosen by timing them, not by what a processor says it can do.

A flag tells that bfloat16 exists, not that it is fast: on a Xeon with avx512_bf16 and no AMX its convolutions
took twice float32's time. What a network calls is recorded once; its heaviest layers, cut to a millisecond
each, then run in every way in turn, forward to serve and forth and back to train. The way of the least sum is
kept in `ways.json` of the user's cache, by processor, threads, version of torch and shapes.
"""

import contextlib
import copy
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from translate.calls import Layer, recorded
from translate.machine import cache_folder

SECONDS = 0.25  # of timing, in all
PIECE = 1e-3  # seconds a layer's piece should take in float32
ROUNDS = 4  # the first of them warms up
COVERED = 0.95  # share of the estimated work that is timed
EARLY = 0.3  # the share after which a way may be given up
HOPELESS = 3  # times the best so far: such a way is not timed further
GAIN = {"bf16": 0.05, "layout": 0.03}  # less than this share is no reason for fewer digits, another layout
SCALE = {"cpu": 1, "cuda": 100}  # times as much is done by


@dataclass(frozen=True)
class Way:
    """One way to run a network."""

    digits: Literal["float32", "bf16", "fp16"] = "float32"  # of convolutions and matrix products
    channels_last: bool = True  # how pictures lie in memory
    packed: bool = False  # weights laid out once (inference only): translate.inference.engines.Packed

    @property
    def autocast(self) -> torch.dtype | None:
        return {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[self.digits]

    @property
    def bf16(self) -> bool:
        return self.digits == "bf16"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        layout = "channels_last" if self.channels_last else "channels first"
        return f"{self.digits}, {layout}{', packed' * self.packed}"

    @property
    def reluctance(self) -> float:
        """The share by which it must be faster than the simplest way."""
        other = not self.channels_last or self.packed
        return GAIN["bf16"] * self.bf16 + GAIN["layout"] * other


@dataclass(frozen=True)
class Choice:
    """A way, and why."""

    way: Way
    seconds: dict[str, float] = field(
        default_factory=dict
    )  # by way, estimated; empty where nothing was timed
    known: bool = False  # from an earlier process
    reason: str = ""  # where nothing was timed

    def __str__(self) -> str:
        if not self.seconds:
            return f"{self.way} ({self.reason})"
        times = ", ".join(f"{name} {1e3 * s:.3g} ms" for name, s in self.seconds.items())
        return f"{self.way} ({'measured before' if self.known else 'measured now'}: {times})"


# --- their times ---


def piece(layer: Layer, most: float) -> tuple[tuple[int, ...], float]:
    """A smaller input whose call takes about `most` seconds, and the share of the work that it is.

    Fewer pictures first, then a corner of them, whose sides keep their remainder by the steps of kernels.
    """
    shape, saved = list(layer.shape), layer.work - layer.weights
    shrink = max(most - layer.weights, 0.2 * most) / max(saved, 1e-12)
    if shrink >= 1:
        return layer.shape, 1.0
    shape[0] = max(1, round(shape[0] * shrink))
    share = shape[0] / layer.shape[0]
    if len(shape) == 4 and shrink < share:
        for axis in (2, 3):
            side = max(12, shape[axis] * (shrink / share) ** 0.5)
            shape[axis] -= 4 * max(0, int((shape[axis] - side) // 4))
        share *= shape[2] * shape[3] / (layer.shape[2] * layer.shape[3])
    return tuple(shape), share


Prepare = Callable[[nn.Module, Way], nn.Module]  # a layer's own copy, made ready for a way


def runner(
    module: nn.Module, shape: tuple[int, ...], last: bool, way: Way, device: torch.device, train: bool
) -> Callable:
    """A call of a layer (whose settings it may change), forth, and back where it trains."""
    if train and getattr(module, "inplace", False):
        module.inplace = False  # its input is here the first of the graph
    layout = torch.channels_last if last and way.channels_last else torch.contiguous_format
    dtype = torch.bfloat16 if way.bf16 else torch.float32
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    x = noise.contiguous(memory_format=layout) if noise.dim() == 4 else noise
    x = x.requires_grad_(train)
    learned = [x, *(p for p in module.parameters() if p.requires_grad)] if train else []
    direction: list[Tensor] = []

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=way.bf16), torch.set_grad_enabled(train):
            made = module(x)
        if train:
            if not direction:
                direction.append(torch.randn_like(made))
            torch.autograd.grad(made, learned, direction[0], allow_unused=True)

    return run


def clock(device: torch.device) -> float:
    """On a CPU the time that this thread had: it does its share of every layer, and what else runs on the
    machine just then does not count."""
    if device.type == "cpu":
        return time.thread_time()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(
    layers: Iterable[Layer], ways: list[Way], device: torch.device, train: bool, prepare: Prepare
) -> dict[Way, float]:
    """Seconds of all calls of these layers in each way that stayed in the race."""
    layers = list(layers)
    end = time.perf_counter() + SECONDS
    total = dict.fromkeys(ways, 0.0)
    everything, done = sum(layer.work * layer.count for layer in layers), 0.0
    for layer in layers:
        shape, share = piece(layer, PIECE * SCALE.get(device.type, 1))
        runs = {
            way: runner(prepare(layer.module, way).to(device), shape, layer.last, way, device, train)
            for way in total
        }
        best = dict.fromkeys(runs, float("inf"))
        for number in range(ROUNDS):
            for way, run in runs.items():
                start = clock(device)
                run()
                best[way] = min(best[way], clock(device) - start)
            if number and time.perf_counter() > end:
                break
        for way, seconds in best.items():
            total[way] += layer.count * seconds / share
        done += layer.work * layer.count
        if done > EARLY * everything:
            total = {way: s for way, s in total.items() if s <= HOPELESS * min(total.values())}
        if len(total) == 1 or done > COVERED * everything or time.perf_counter() > end:
            break
    return total


def promising(ways: list[Way], device: torch.device, train: bool) -> list[Way]:
    """Without bfloat16 where a small convolution in it takes thrice as long: it is emulated."""
    if not any(way.bf16 for way in ways):
        return ways
    small = nn.Conv2d(64, 64, 3, padding=1, device=device)
    first = [Way(), Way("bf16")]
    runs = {way: runner(small, (1, 64, 16, 16), True, way, device, train) for way in first}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(3):
        for way, run in runs.items():
            start = clock(device)
            run()
            best[way] = min(best[way], clock(device) - start)
    return ways if best[first[1]] < 3 * best[first[0]] else [way for way in ways if not way.bf16]


def plain(module: nn.Module, way: Way) -> nn.Module:
    """A copy: running means of the network at hand stay as they are."""
    return copy.deepcopy(module)


def fastest(total: dict[Way, float]) -> Way:
    return min(total, key=lambda way: total[way] / (1 - way.reluctance))


def choose(
    key: str,
    record: Callable[[], list[Layer]],
    ways: list[Way],
    device: torch.device,
    train: bool,
    prepare: Prepare = plain,
) -> Choice:
    """The fastest of `ways`, which hold the simplest first; known ones from the file, under `key`."""
    key = hashlib.sha256(json.dumps([key, [str(way) for way in ways], train]).encode()).hexdigest()[:16]
    if found := recall(key, device, ways):
        return found
    with undisturbed(device):
        layers = record()
        total = timed(layers, promising(ways, device, train), device, train, prepare) if layers else {}
    if not total:
        return Choice(ways[0], reason="no layers to time")
    way = fastest(total)
    keep(key, device, way, {str(w): s for w, s in total.items()})
    recorded = recall(key, device, ways)  # another process may have been first: both do alike
    return Choice(recorded.way if recorded else way, {str(w): s for w, s in total.items()})


@contextlib.contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Inside, what is drawn at random leaves torch's state as it was; no inference mode."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.inference_mode(False):
        torch.manual_seed(0)
        yield


# --- what is known ---


def file() -> Path:
    return cache_folder() / "ways.json"


def machine(device: torch.device) -> str:
    """What times depend on beside the layers."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    cpu = torch.cpu.get_capabilities()
    name = cpu.get("cpu_name") or platform.processor() or platform.machine()
    parts = [name, *(flag for flag in sorted(cpu) if cpu[flag] is True and flag.startswith(("avx", "amx")))]
    threads = f"{torch.get_num_threads()} threads"
    return f"{' '.join(map(str, parts))}, {threads}, torch {torch.__version__}, {device.type}"


def known() -> dict[str, dict]:
    """By machine, by key; nothing where the file is absent or damaged, for it can be measured anew."""
    try:
        found = json.loads(file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def recall(key: str, device: torch.device, ways: list[Way]) -> Choice | None:
    """What was measured, where it is one of `ways`."""
    try:
        entry = known()[machine(device)][key]
        way, seconds = Way(**entry["way"]), {str(k): float(v) for k, v in entry["seconds"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Choice(way, seconds, known=True) if way in ways else None


def keep(key: str, device: torch.device, way: Way, seconds: dict[str, float]) -> None:
    """Write it down for the next process, where no other was first and the disk can be written."""
    everything = known()
    entries = everything.setdefault(machine(device), {})
    if key in entries:
        return
    entries[key] = {"way": asdict(way), "seconds": seconds}
    with contextlib.suppress(OSError):  # then the next process measures again
        file().parent.mkdir(parents=True, exist_ok=True)
        new = file().with_suffix(f".{os.getpid()}.new")
        new.write_text(json.dumps(everything, indent=1))
        new.replace(file())


def bf16_pays(network: nn.Module, run: Callable[[], object]) -> bool:
    """Whether training it in bfloat16 is faster. run: calls it as a step does; it leaves no trace."""
    device = next(network.parameters()).device
    kept = {name: value.clone() for name, value in network.named_buffers()}
    with torch.no_grad():
        choice = choose(
            f"train {type(network).__name__} {shapes(network)}", lambda: recorded(network, run),
            [Way(), Way("bf16")], device, train=True,
        )  # fmt: skip
        for name, value in network.named_buffers():
            value.copy_(kept[name])
    return choice.way.bf16


def shapes(network: nn.Module) -> str:
    """The shapes of all weights, shortened."""
    found = [(name, tuple(p.shape)) for name, p in network.named_parameters()]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]
