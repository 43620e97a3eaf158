"""Train a model: `accelerate launch train.py --task cyclegan --data DIR`. `train.py --help` lists the tasks."""

import sys

from translate import config as settings


def main() -> None:
    name, config, dry_run = settings.parse(sys.argv[1:])

    from translate import allocator

    allocator.tune()
    import torch

    import datasets
    from translate import loop
    from translate.task import DataInfo, find

    task_class = find(name)
    config = task_class.Config(**vars(config))
    options = {option: getattr(config, option) for option in datasets.OPTIONS}
    data = datasets.load(task_class.data, config.data, size=config.size, **options)
    held_out = datasets.load(task_class.data, config.data, size=config.size, split="test", **options)
    torch.manual_seed(config.seed)
    task = task_class(config, DataInfo(**{**data.info, "classes": tuple(data.info["classes"])}))
    if dry_run:
        print(loop.describe(task, data, config))
        return
    folder = loop.train(task, data, config, held_out)
    print(
        f"done: {folder}. Use it: python -m translate image PHOTO --model {folder} --output OUT, or python app.py"
    )


if __name__ == "__main__":
    from translate.cli import exit_code

    sys.exit(exit_code(main))
