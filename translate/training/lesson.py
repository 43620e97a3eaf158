"""A training in memory: what `train` does between two looks, without a folder. For figures and the page."""

import torch

from translate.config import RunConfig
from translate.task import DataInfo, Task, find
from translate.training.stream import Stream, mix
from translate.training.update import Update


class One:
    """Stands for Accelerate where there is one process, on the CPU."""

    num_processes, device = 1, torch.device("cpu")


class Lesson:
    """Update `t` is what it is in `train` with one process: the same weights after the same settings."""

    def __init__(self, task: Task, data, config: RunConfig):
        self.task, self.config, self.t = task, config, 0
        self.update = Update(task, config, One(), None)
        self.stream = Stream(data, config.batch_size, config.seed)
        if config.ema:
            task.keep_average()

    @classmethod
    def of(cls, method: str, data, /, **settings) -> "Lesson":
        """A method by name, with its defaults but for `settings`, built under the seed."""
        found = find(method)
        config = found.Config(**{"mixed_precision": "no", "save_every": 10**9} | settings)
        with torch.random.fork_rng([]):
            torch.manual_seed(config.seed)
            return cls(found(config, DataInfo.of(data.info)), data, config)

    def learn(self, updates: int) -> list[dict[str, float]]:
        """`updates` more of them; what each losses. Torch's random state is as before. Raises NonFinite."""
        losses = []
        with torch.random.fork_rng([]):
            for _ in range(updates):
                torch.manual_seed(mix(self.config.seed, 0, self.t))
                self.update.schedule(self.t)
                self.task.train()
                logs = self.task.step(self.stream.batch(self.t), self.t, self.update)
                if self.config.ema:
                    self.task.update_average(self.t)
                losses.append({name: float(value) for name, value in logs.items()})
                self.t += 1
        self.task.eval()
        return losses
