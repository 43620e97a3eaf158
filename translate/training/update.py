"""One descent on one loss: backward, accumulate, average over processes, check, clip, step."""

from collections import Counter

import torch
from torch import Tensor

from translate.config import RunConfig
from translate.machine import bf16_is_fast
from translate.task import Task


class NonFinite(Exception):
    """A loss or gradient is infinite or not a number; that network was not changed.

    here: whether this process's own pictures are to blame, as far as it can be told.
    """

    def __init__(self, message: str, here: bool = True):
        super().__init__(message)
        self.here = here


class Update:
    """Descend one loss on one optimizer: `update("G", loss)`.

    Gradients go to that optimizer's parameters alone. With `--accumulate k` the gradients of k batches are
    averaged and the optimizer moves at the last of them. That is the same as one batch k times the size where
    a step takes its losses from the networks as they were before it; where a later loss looks through a
    network that an earlier update moved (DCGAN's G), the first k - 1 batches see that network unmoved.
    """

    def __init__(self, task: Task, config: RunConfig, accelerator, precision: torch.dtype | None):
        self.config, self.accelerator = config, accelerator
        self.optimizers = task.optimizers()
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
        self.held: dict[tuple[str, int], tuple[list[Tensor], Tensor]] = {}

    def begin(self, number: int) -> None:
        """Say which batch of an update comes, 0 <= number < accumulate."""
        self.last = number == self.config.accumulate - 1
        self.calls.clear()

    def schedule(self, scale: float) -> None:
        """Multiply every learning rate, as it was set at first, by `scale`."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * scale

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over all processes, so that each decides alike; detached."""
        value = value.detach()
        return self.accelerator.reduce(value, "mean") if self.accelerator.num_processes > 1 else value

    def __call__(self, name: str, loss: Tensor) -> None:
        """Raises NonFinite before anything moves, on all processes alike."""
        optimizer, parameters, scaler = self.optimizers[name], self.parameters[name], self.scalers.get(name)
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast(loss.device.type, enabled=False):
            share = loss.float() / self.config.accumulate
            (scaler.scale(share) if scaler else share).backward(inputs=parameters)
        gradients = [p.grad for p in parameters if p.grad is not None]
        finite = here = torch.isfinite(loss.detach()).float()

        call = (name, self.calls[name])  # a step may descend the same optimizer several times
        self.calls[name] += 1
        if call in self.held:
            earlier, sound = self.held.pop(call)
            torch._foreach_add_(gradients, earlier)
            finite = here = finite * sound
        if not self.last:
            self.held[call] = gradients, finite
            return

        if self.accelerator.num_processes > 1:
            finite = self.average(gradients, finite)
        if scaler:
            scaler.unscale_(optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        if not finite:
            raise NonFinite(f"the loss of {name} is infinite or not a number", here=not here)
        # A gradient too large for fp16 is no failure: the scaler skips this step and halves its scale.
        if not torch.isfinite(norm) and (scaler is None or scaler.get_scale() < 1):
            raise NonFinite(f"a gradient of {name} is infinite or not a number")
        if self.config.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.config.clip, norm)
        if scaler:
            scaler.step(optimizer)
            scaler.update()
        else:
            optimizer.step()
        torch.clear_autocast_cache()  # else the rest of the step sees the weights as they were

    def average(self, gradients: list[Tensor], finite: Tensor) -> Tensor:
        """Mean gradients over the processes, in one message; 1 only if every process's loss is finite."""
        message = torch.cat([g.reshape(-1) for g in gradients] + [finite.reshape(1)])
        message = self.accelerator.reduce(message, "mean")
        parts = message[:-1].split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
        return (message[-1] == 1).float()


def precision_of(config: RunConfig, device: torch.device) -> torch.dtype | None:
    """The dtype of autocast; `auto` is bfloat16 where the processor multiplies it natively."""
    choice = config.mixed_precision
    if choice == "auto":
        choice = "bf16" if bf16_is_fast(device) else "no"
    return {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[choice]
