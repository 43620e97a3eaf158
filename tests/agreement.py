"""Run by torchrun in two processes (see test_services.py): a toy like BEGAN learns; each says what it has."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import torch
from torch import nn

from tests.conftest import World, build
from translate.config import RunConfig
from translate.task import Task
from translate.training.loop import train


class Balanced(Task):
    """k follows the mean over the processes of what each sees; one weight is reached in the first alone."""

    Config, data, takes, exported = RunConfig, "images", ("noise",), ("net",)

    def __init__(self, config, info):
        super().__init__(config, info)
        self.net, self.branch, self.never = (nn.Linear(1, 1, bias=False) for _ in range(3))
        for layer in (self.net, self.branch, self.never):
            nn.init.ones_(layer.weight)
        self.register_buffer("k", torch.zeros(()))

    def optimizers(self):
        return {"net": torch.optim.SGD(self.parameters(), lr=0.1)}

    def step(self, batch, t, update):
        seen = batch["image"].mean().reshape(1, 1)
        loss = self.net(seen).sum()
        if int(os.environ.get("RANK", "0")) == 0:
            loss = loss + self.branch(torch.ones(1, 1)).sum()
        update("net", loss)
        self.k += 0.1 * update.mean(seen.mean())
        return {"loss": loss.detach()}


def main(folder: Path) -> None:
    config = RunConfig(size=8, batch_size=2, steps=3, output=folder, preview_every=0, mixed_precision="no")
    data = World("images", 8)
    task = build(Balanced, data, dataclasses.replace(config))
    train(task, data, config)
    held = {name: value.item() for name, value in task.state_dict().items()}
    (folder / f"rank-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(held))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
