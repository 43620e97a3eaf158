"""What a network calls: its layers, and the shapes of what they are given, without their numbers."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

FLOPS, BYTES = 5e10, 5e9  # a second, of a modest processor: which layers are worth timing


@dataclass
class Layer:
    """A module without children, and an input it was called with, `count` times."""

    module: nn.Module
    shape: tuple[int, ...]
    work: float  # seconds, estimated, of one call
    weights: float  # seconds of that which a smaller input would not save
    last: bool = True  # whether that lay in channels_last, as the pictures did
    count: int = 1

    def grow(self, factor: float) -> None:
        """As it is called for a picture `factor` times as high and wide."""
        if len(self.shape) == 4 and factor != 1:
            *batch, height, width = self.shape
            self.shape = (*batch, round(height * factor), round(width * factor))
            self.work = (self.work - self.weights) * factor**2 + self.weights


def estimate(module: nn.Module, given: int, made: int) -> tuple[float, float]:
    """Seconds of a call from `given` numbers to `made`, and the part of them that its weights take."""
    weight = getattr(module, "weight", None)
    weights = 4 * sum(p.numel() for p in module.parameters()) / BYTES
    moved = 4 * (given + made) / BYTES + weights
    if isinstance(module, nn.Linear):
        return 2 * made * module.in_features / FLOPS + moved, weights
    if isinstance(weight, Tensor) and weight.dim() > 2:  # a convolution, torch's or another
        places = given if getattr(module, "transposed", False) else made
        return 2 * places * weight[0].numel() / FLOPS + moved, weights
    return moved, weights


def recorded(network: nn.Module, run: Callable[[], object], owner: nn.Module | None = None) -> list[Layer]:
    """The layers that `run()`, which is to give it pictures in channels_last, calls, alike ones once.

    Those of `network`, and of networks it uses but does not own, as a projected discriminator EfficientNet.
    owner: whose modules of the same names stand for those of `network`; default `network` itself.
    """
    found: dict[str, Layer] = {}
    owners = dict((owner or network).named_modules())
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, given: tuple, made: object) -> None:
        if next(module.children(), None) is not None:
            return
        if not (len(given) == 1 and isinstance(given[0], Tensor) and given[0].is_floating_point()):
            return
        mine = owners.get(names[module]) if module in names else module
        if not isinstance(made, Tensor) or mine is None:
            return
        shape = tuple(given[0].shape)
        widths = [tuple(p.shape) for p in module.parameters()]
        last = len(shape) != 4 or given[0].is_contiguous(memory_format=torch.channels_last)
        key = f"{type(module).__name__} {module.extra_repr()} {widths} {shape} {last}"
        if key in found:
            found[key].count += 1
        else:
            found[key] = Layer(mine, shape, *estimate(module, given[0].numel(), made.numel()), last)

    hook = nn.modules.module.register_module_forward_hook(note)
    try:
        run()
    finally:
        hook.remove()
    return sorted(found.values(), key=lambda layer: -layer.work * layer.count)


class Ones(TorchDispatchMode):
    """What depends on the data, which shapes alone do not tell: a number is taken as 1, a choice as all."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        aten = torch.ops.aten
        if function is aten._local_scalar_dense.default:
            x = args[0]
            return True if x.dtype == torch.bool else 1.0 if x.is_floating_point() else 1
        if function is aten.nonzero.default:
            return torch.zeros(args[0].numel(), args[0].dim(), dtype=torch.long, device=args[0].device)
        if function is aten.index.Tensor:
            args = args[0], [all_of(x) for x in args[1]]
        return function(*args, **(kwargs or {}))


def all_of(places: Tensor | None) -> Tensor | None:
    """Numbers in place of a mask of one axis."""
    if places is None or places.dtype != torch.bool or places.dim() != 1:
        return places
    return torch.zeros(len(places), dtype=torch.long, device=places.device)


class Idle:
    """In place of an `Update`: nothing moves."""

    def __init__(self, task: nn.Module):
        self.optimizers = task.optimizers()

    def mean(self, value: Tensor) -> Tensor:
        return value.detach()

    def __call__(self, name: str, loss: Tensor) -> None:
        pass


def of_step(task: nn.Module, batch: dict, t: int) -> list[Layer]:
    """The layers of `task.step(batch, t, update)`: no number is computed and nothing of the task changes.

    Shapes go through torch's FakeTensorMode, on a copy of the task without weights.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    states = [*task.parameters(), *task.buffers()]
    hollow = copy.deepcopy(task, {id(state): mode.from_tensor(state) for state in states})
    shapes = {k: mode.from_tensor(v) if isinstance(v, Tensor) else v for k, v in batch.items()}
    with mode, Ones():
        return recorded(hollow.train(), lambda: hollow.step(shapes, t, Idle(task)), task)
