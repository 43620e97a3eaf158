"""`--dry-run`: what would be trained on what, and the memory it takes."""

import dataclasses

import torch
from torch import Tensor, nn

from translate.calls import Idle
from translate.config import RunConfig, to_json
from translate.probe import Way
from translate.task import Task
from translate.training import checkpoint
from translate.training.observers import preview_batch
from translate.training.run import start_from
from translate.training.stream import to_device
from translate.training.way import saved, way_of


def describe(task: Task, dataset, config: RunConfig) -> str:
    """What --dry-run prints: settings, networks, memory, data."""
    lines = ["settings"]
    lines += [f"  {k} = {v}" for k, v in to_json(config).items()]
    begun = config.output and checkpoint.states(config.output)
    if source := config.output if begun else config.init_from:  # a method may refuse to begin without
        lines.append(start_from(source, task))
    lines.append("networks")
    for name, module in task.named_children():
        if count := sum(p.numel() for p in module.parameters()):
            mark = " (exported)" if name in task.exported else ""
            lines.append(f"  {name:12} {count / 1e6:10.3f} M parameters{mark}")
    device = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    )
    kept = config.mixed_precision == "auto" and config.output
    choice = kept and saved(kept) or way_of(task, config, lambda: preview_batch(dataset, 2), device)
    lines.append(f"runs in {choice}, on {device}")
    gib = estimate_memory(task, dataset, config, choice.way) / 2**30
    parts = "weights, gradients, Adam's moments, activations, the program itself"
    lines.append(f"memory, estimated: {gib:.1f} GiB a process ({parts}; cached pictures come on top)")
    lines.append("data")
    lines += [f"  {k} = {brief(v)}" for k, v in dataclasses.asdict(task.info).items()]
    return "\n".join(lines)


def brief(value) -> str:
    """A long list by its first members and their number."""
    if isinstance(value, tuple) and len(value) > FEW:
        return f"{', '.join(map(str, value[:FEW]))}, ... ({len(value):,} in all)"
    return str(value)


FEW = 8  # members of a list that are shown
PROGRAM = 512 * 2**20  # Python with torch, before the first picture
COPIES = 6  # of the weights: they, gradients, Adam's two moments, about two in bfloat16 and kernels' layouts


def estimate_memory(task: Task, dataset, config: RunConfig, way: Way) -> int:
    """Bytes of one process: copies of the weights, and the activations of the largest graph.

    The activations are counted, not guessed: one real step on at most two pictures that moves no weight.
    The peak of real runs was 0.9 to 1.1 of this (pix2pix, CycleGAN, DCGAN and VAE on a CPU).
    """
    batch = preview_batch(dataset, min(config.batch_size, 2))
    device, precision = torch.device("cpu"), way.autocast
    kept: dict[int, int] = {}
    largest = 0

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    class Held(Idle):
        def __call__(self, name: str, loss: Tensor) -> None:
            nonlocal largest
            largest = max(largest, sum(kept.values()))
            kept.clear()

    task.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", precision, enabled=precision is not None):
            task.step(to_device(batch, device, way.memory_format), 0, Held(task))
    weights = sum(p.numel() * p.element_size() for p in task.parameters())
    buffers = sum(b.numel() * b.element_size() for b in task.buffers())
    exported = [p for name in task.exported for p in getattr(task, name).parameters()]
    average = sum(p.numel() * p.element_size() for p in exported) if config.ema else 0
    activations = int(largest * config.batch_size / len(batch["index"]))
    return PROGRAM + COPIES * weights + average + buffers + activations
