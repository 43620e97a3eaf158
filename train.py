"""Train a model: `accelerate launch train.py --task cyclegan --data DIR`. `--help` lists the tasks."""

import sys

from translate import arguments


def main() -> None:
    name, config, dry = arguments.parse(sys.argv[1:])

    from translate import machine

    machine.tune()
    machine.use_cores()
    import torch

    import datasets
    from translate import judging
    from translate.task import DataInfo, find
    from translate.training import dry_run, loop

    task_class = find(name)
    options = datasets.options_of(config)
    data = datasets.load(task_class.data, config.data, size=config.size, **options)
    held_out = datasets.load(task_class.data, config.data, size=config.size, split="test", **options)
    torch.manual_seed(config.seed)
    task = task_class(config, DataInfo.of(data.info))
    if dry:
        print(dry_run.describe(task, data, task.config))
    else:
        loop.train(task, data, task.config, held_out, judging.observers(task, data, held_out))


if __name__ == "__main__":
    from translate.cli import exit_code

    sys.exit(exit_code(main))
