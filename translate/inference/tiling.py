"""Pictures larger than memory: overlapping tiles that agree as if the network had seen the whole.

Two things tie a pixel of the output to pixels far away. Convolutions reach as far as their receptive field:
each tile brings that much context, which is thrown away afterwards. Instance and group norm take mean and
variance over the whole picture: a group of tiles walks through the network in step, meets at every norm and
pools its statistics there (Chan et al. 1979, STAN-CS-79-773). Where all tiles fit in one group the result is
the untiled one; else the first group is spread over the picture and the other tiles use its statistics.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CORE = 1024  # pixels a tile adds to the result, per side
BLEND = 32  # pixels over which neighbours fade into each other, around each seam, where they may differ
FARTHEST = 256  # context is cut here: a U-Net's receptive field is the whole picture
GROUP_PIXELS = 4_500_000  # in step at once, context included; 64 float32 channels of them are 1.2 GB
LEAST = 32  # smaller inputs are padded to this: below it a network's inner maps have no neighbours left


def reflect(length: int, start: int, count: int) -> Tensor:
    """Indices [count] into `length` values, mirrored at both ends as often as needed; `start` lie before."""
    period = max(1, 2 * (length - 1))
    i = (torch.arange(count) - start) % period
    return torch.where(i < length, i, period - i)


def pad(x: Tensor, stride: int, least: int = LEAST) -> tuple[Tensor, tuple[slice, slice]]:
    """Mirror [B, C, H, W] up to multiples of `stride`; also the slices that cut the original out again."""
    window = []
    for axis in (-2, -1):
        length = x.shape[axis]
        whole = -(-max(length, least) // stride) * stride
        start = (whole - length) // 2
        if whole > length:
            x = x.index_select(axis, reflect(length, start, whole).to(x.device))
        window.append(slice(start, start + length))
    return x, (window[0], window[1])


@dataclass(frozen=True)
class Tile:
    """Where a tile lies in the padded picture, per axis (rows, columns)."""

    core: tuple[slice, slice]  # its share: the cores of all tiles are a partition
    whole: tuple[slice, slice]  # with context

    def inner(self, height: int, width: int) -> tuple[slice, slice]:
        """The core in a feature map [.., height, width] of the tile."""
        parts = []
        for core, whole, length in zip(self.core, self.whole, (height, width), strict=True):
            side = whole.stop - whole.start
            parts.append(slice(*((edge - whole.start) * length // side for edge in (core.start, core.stop))))
        return parts[0], parts[1]


def plan(height: int, width: int, core: int, margin: int) -> list[Tile]:
    """Tiles that cover [height, width]. No context beyond the picture: the network pads its border itself."""

    def cuts(length: int) -> list[tuple[slice, slice]]:
        starts = range(0, length, core)
        cores = [slice(start, min(start + core, length)) for start in starts]
        return [(c, slice(max(0, c.start - margin), min(length, c.stop + margin))) for c in cores]

    return [Tile((r, c), (rr, cc)) for r, rr in cuts(height) for c, cc in cuts(width)]


def is_spatial_norm(module: nn.Module) -> bool:
    """Whether it normalises over the picture: group norm, or an instance norm of torch's or ours."""
    return isinstance(module, nn.GroupNorm | nn.InstanceNorm2d) or type(module).__name__ == "InstanceNorm"


def reach(network: nn.Module, run: Callable[[], object], side: int) -> int:
    """How far an output pixel sees, in pixels: the sum over the convolutions in `run` on a side x side input.

    Parallel branches are added up, so it is an upper bound.
    """
    total = 0.0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += (module.kernel_size[0] / module.stride[0] / 2) * side / inputs[0].shape[-1]
        else:
            total += (module.kernel_size[0] - 1) / 2 * module.dilation[0] * side / inputs[0].shape[-1]

    kinds = nn.Conv2d | nn.ConvTranspose2d
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return int(total + 1)


in_tile = threading.local()  # .step: the InStep whose tile this thread works on, .index, .count
patching = threading.Lock()
patched: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()  # runs that share its norms


class InStep:
    """Runs tiles as threads of which one works at a time; at every norm each waits until all have arrived."""

    def __init__(self, tiles: list[Tile], known: list[tuple[Tensor, Tensor]] | None = None):
        """known: (mean, variance) of each norm in the order of calls, instead of pooling them."""
        self.tiles, self.known = tiles, known
        self.pooled: list[tuple[Tensor, Tensor]] = []
        self.turns = [threading.Semaphore(0) for _ in tiles]
        self.back = threading.Semaphore(0)
        self.arrived: list[
            tuple[int, Tensor, Tensor]
        ] = []  # (values, mean, variance) of each tile at this norm
        self.failure: BaseException | None = None

    def run(self, work: Callable[[int], Tensor]) -> Iterator[tuple[int, Tensor]]:
        """Yields (index, work(index)) as tiles finish."""
        finished: dict[int, Tensor] = {}

        def thread(index: int) -> None:
            self.turns[index].acquire()
            try:
                if self.failure is None:
                    in_tile.step, in_tile.index, in_tile.count = self, index, 0
                    finished[index] = work(index)
            except BaseException as error:  # handed to the caller below
                self.failure = self.failure or error
            alive.remove(index)
            self.back.release()

        alive = list(range(len(self.tiles)))
        for index in alive:
            threading.Thread(target=thread, args=(index,), daemon=True).start()
        try:
            while alive:
                for index in list(alive):
                    self.turns[index].release()
                    self.back.acquire()
                    if self.failure is not None:
                        raise self.failure
                    if index in finished:
                        yield index, finished.pop(index)
                if self.arrived:
                    self.pooled.append(pool(self.arrived))
                    self.arrived = []
        finally:  # also where the caller stops asking: let the waiting threads end
            self.failure = self.failure or InterruptedError("stopped")
            for index in list(alive):
                self.turns[index].release()

    def norm(self, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] that this tile's x [1, C, h, w] is to be normalised with."""
        at = in_tile.count
        in_tile.count += 1
        if self.known is not None:
            return self.known[at]
        rows, columns = self.tiles[in_tile.index].inner(*x.shape[-2:])
        core, size = x[0, :, rows, columns], x.shape[1] // groups
        # Eight channels at a time: a float32 copy of all would be the largest tensor of the run.
        parts = core.split(size * max(1, 8 // size))
        found = [torch.var_mean(p.float().reshape(len(p) // size, -1), 1, correction=0) for p in parts]
        variance, mean = (torch.cat(values) for values in zip(*found, strict=True))
        self.arrived.append((size * core[0].numel(), mean, variance))
        self.back.release()
        self.turns[in_tile.index].acquire()
        if self.failure is not None:
            raise self.failure
        return tuple(value.repeat_interleave(size) for value in self.pooled[at])


@contextlib.contextmanager
def shared_norms(network: nn.Module) -> Iterator[None]:
    """Inside, the network's norms over the picture ask the InStep of their thread for their statistics.

    Threads that work on no tile get the network as it is, and several pictures may be in tiles at a time.
    """
    norms = [module for module in network.modules() if is_spatial_norm(module)]
    with patching:
        for module in norms:
            patched[module] = patched.get(module, 0) + 1
            if patched[module] == 1:
                module.forward = norm_in_step(module)
    try:
        yield
    finally:
        with patching:
            for module in norms:
                patched[module] -= 1
                if not patched[module]:
                    del module.forward, patched[module]


@contextlib.contextmanager
def asking(step) -> Iterator[None]:
    """Inside, norms in `shared_norms` ask `step.norm(x, groups)` in this thread."""
    in_tile.step = step
    try:
        yield
    finally:
        in_tile.step = None


def asked() -> bool:
    """Whether this thread's norms ask somebody, so that only the network itself will do, no engine."""
    return getattr(in_tile, "step", None) is not None


def norm_in_step(module: nn.Module) -> Callable[[Tensor], Tensor]:
    alone, eps = type(module).forward, getattr(module, "eps", None) or 1e-5
    weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))

    def forward(x: Tensor) -> Tensor:
        step = getattr(in_tile, "step", None)
        if step is None:
            return alone(module, x)
        mean, variance = step.norm(x, getattr(module, "num_groups", x.shape[1]))
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    return forward


def pool(parts: list[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the union, from (count, mean, variance) of disjoint parts."""
    total = sum(count for count, _, _ in parts)
    mean = sum(m.double() * count for count, m, _ in parts) / total
    variance = sum((v.double() + (m.double() - mean) ** 2) * count for count, m, v in parts) / total
    return mean.float(), variance.float()


def tiled(
    network: nn.Module,
    generate: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    stride: int,
    margin: int,
    core: int = CORE,
    group_pixels: int = GROUP_PIXELS,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """generate([1, C, H, W]) on tiles, put together to [1, C', gH, gW] on the CPU; g is 1 or the enlargement.

    network: whose norms are shared. H and W: multiples of `stride`. margin: how far an output pixel sees; it
    is cut to FARTHEST. dtype: of the result; float16 halves its memory and is exact to 1/30 of a grey level.
    """
    exact = margin <= FARTHEST and not any(map(is_spatial_norm, network.modules()))  # nothing to blend
    blend = 0 if exact else BLEND // 2
    margin = -(-(min(margin, FARTHEST) + blend) // stride) * stride
    core = max(1, core // stride) * stride
    tiles = plan(*x.shape[-2:], core, margin)
    size = max((t.whole[0].stop - t.whole[0].start) * (t.whole[1].stop - t.whole[1].start) for t in tiles)
    shuffled = torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0)).tolist()
    spread = sorted(shuffled[: max(1, group_pixels // size)])
    rest = [i for i in range(len(tiles)) if i not in spread]
    cores = [list({tile.core[axis].start: tile.core[axis] for tile in tiles}.values()) for axis in (0, 1)]
    out, done, known = torch.empty(0), 0, None
    for members in [spread, *([i] for i in rest)]:
        step = InStep([tiles[i] for i in members], known)
        with shared_norms(network):
            pieces = step.run(lambda j, members=members: generate(x[(..., *tiles[members[j]].whole)]))
            for j, y in pieces:
                tile = tiles[members[j]]
                grow = y.shape[-1] // (tile.whole[1].stop - tile.whole[1].start)
                if not out.numel():
                    out = torch.zeros(1, y.shape[1], *(grow * side for side in x.shape[-2:]), dtype=dtype)
                    fades = [fade(axis, grow, blend) for axis in cores]
                both = [fades[axis][tile.core[axis].start] for axis in (0, 1)]
                (rows, down), (columns, across) = both
                first = [grow * whole.start for whole in tile.whole]
                inner = [slice(p.start - f, p.stop - f) for (p, _), f in zip(both, first, strict=True)]
                out[..., rows, columns] += y[(..., *inner)].float().cpu() * down[:, None] * across
                done += 1
                if progress:
                    progress(done, len(tiles))
        known = step.pooled if known is None else known
    return out


def fade(cores: list[slice], grow: int, blend: int) -> dict[int, tuple[slice, Tensor]]:
    """By the start of each core of one axis: where it goes in the result, and its weights there.

    They are 1 and fall over the seams; the weights of all cores add up to 1 everywhere.
    """
    length = grow * cores[-1].stop
    total, found = torch.zeros(length), {}
    for core in cores:
        place = slice(max(0, (core.start - blend) * grow), min(length, (core.stop + blend) * grow))
        ramp, position = torch.ones(place.stop - place.start), torch.arange(place.start, place.stop) + 0.5
        if blend and core.start:
            ramp = ramp.minimum((position - core.start * grow) / (2 * blend * grow) + 0.5)
        if blend and core.stop * grow < length:
            ramp = ramp.minimum((core.stop * grow - position) / (2 * blend * grow) + 0.5)
        total[place] += ramp
        found[core.start] = place, ramp
    return {start: (place, ramp / total[place]) for start, (place, ramp) in found.items()}
