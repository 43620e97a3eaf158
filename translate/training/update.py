"""One descent on one loss: backward, accumulate, average over processes, check, clip, step."""

from collections import Counter

import torch
from torch import Tensor

from translate.config import RunConfig
from translate.task import Task

SMALL = 2**26  # bytes of a buffer that a refused update puts back


class NonFinite(Exception):
    """A loss or gradient is infinite or not a number; that network was not changed.

    here: whether this process's own pictures are to blame, as far as it can be told.
    """

    def __init__(self, message: str, here: bool = True):
        super().__init__(message)
        self.here = here


class Update:
    """Descend one loss on one optimizer: `update("G", loss)`; `update.mean(value)` over the processes.

    Gradients go to that optimizer's parameters alone. With `--accumulate k` the gradients of k batches are
    averaged and the optimizer moves at the last of them. That is the same as one batch k times the size where
    a step takes its losses from the networks as they were before it; where a later loss looks through a
    network that an earlier update moved (DCGAN's G), the first k - 1 batches see that network unmoved.
    """

    def __init__(self, task: Task, config: RunConfig, accelerator, precision: torch.dtype | None):
        self.config, self.accelerator, self.scale = config, accelerator, task.lr_scale
        self.optimizers = task.optimizers()
        self.norms: dict[str, Tensor] = {}  # of the gradients of each optimizer's last move, before clipping
        self.parameters = {
            name: [p for group in optimizer.param_groups for p in group["params"]]
            for name, optimizer in self.optimizers.items()
        }
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["base_lr"] = group["lr"]
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        if precision == torch.float16:
            self.scalers = {name: torch.amp.GradScaler(accelerator.device.type) for name in self.optimizers}
        self.last = config.accumulate == 1
        self.calls: Counter[str] = Counter()
        self.held: dict[tuple[str, int], tuple[list[Tensor | None], Tensor]] = {}

    def begin(self, number: int) -> None:
        """Say which batch of an update comes, 0 <= number < accumulate."""
        self.last = number == self.config.accumulate - 1
        self.calls.clear()
        self.norms = {}

    def schedule(self, t: int) -> None:
        """Multiply every learning rate, as it was set at first, by its optimizer's `lr_scale(t, name)`."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * self.scale(t, name)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar (or of tensors of one shape) over the processes, detached.

        What a method keeps from step to step, as BEGAN its k, it computes from such means: else the processes
        would keep different ones.
        """
        value = value.detach().float()
        return self.accelerator.reduce(value, "mean") if self.accelerator.num_processes > 1 else value

    def __call__(self, name: str, loss: Tensor) -> None:
        """Raises NonFinite before anything moves, on all processes alike."""
        optimizer, parameters, scaler = self.optimizers[name], self.parameters[name], self.scalers.get(name)
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(loss.device.type, enabled=False):
            share = loss.float() / self.config.accumulate
            (scaler.scale(share) if scaler else share).backward(inputs=parameters)
        finite = here = torch.isfinite(loss.detach()).float()

        call = (name, self.calls[name])  # a step may descend the same optimizer several times
        self.calls[name] += 1
        if call in self.held:
            earlier, sound = self.held.pop(call)
            for parameter, gradient in zip(parameters, earlier, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
            finite = here = finite * sound
        if not self.last:
            self.held[call] = [p.grad for p in parameters], finite
            return

        if self.accelerator.num_processes > 1:
            finite = self.average(parameters, finite)
        if scaler:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        flags = torch.stack([torch.isfinite(norm).float(), finite.reshape(()), here.reshape(())])
        sound, finite, here = (bool(flag) for flag in flags.tolist())  # one wait for the device, not three
        if sound:
            self.norms[name] = norm.detach()
        if not finite:
            raise NonFinite(f"the loss of {name} is infinite or not a number", here=not here)
        # A gradient too large for fp16 is no failure: the scaler skips this step and halves its scale.
        if not sound and (scaler is None or scaler.get_scale() < 1):
            raise NonFinite(f"a gradient of {name} is infinite or not a number")
        if self.config.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        torch.clear_autocast_cache()  # else the rest of the step sees the weights as they were

    def average(self, parameters: list[Tensor], finite: Tensor) -> Tensor:
        """Mean gradients over the processes, in one message; 1 only if every process's loss is finite.

        A parameter that a process's loss does not reach sends zeros, so that all messages are alike; one that
        no process reaches keeps no gradient.
        """
        reached = torch.tensor([float(p.grad is not None) for p in parameters], device=finite.device)
        sent = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        message = torch.cat([g.reshape(-1) for g in sent] + [reached, finite.reshape(1)])
        message = self.accelerator.reduce(message, "mean")
        *parts, reached, finite = message.split([*(p.numel() for p in parameters), len(parameters), 1])
        for parameter, part, anywhere in zip(parameters, parts, reached.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if anywhere else None
        return (finite[0] == 1).float()


class Steady:
    """Puts back what a refused update has changed beside networks: running means, a k, a pool."""

    def __init__(self, task: Task):
        self.buffers = [b for b in task.buffers() if b.nbytes <= SMALL]
        self.kept: list[Tensor] = []

    def keep(self) -> None:
        if not self.kept:
            self.kept = [torch.empty_like(b) for b in self.buffers]
        for kept, buffer in zip(self.kept, self.buffers, strict=True):
            kept.copy_(buffer)

    def restore(self) -> None:
        for kept, buffer in zip(self.kept, self.buffers, strict=True):
            buffer.copy_(kept)
