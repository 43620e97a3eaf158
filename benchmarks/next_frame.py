"""Sharper than squares: `python -m benchmarks.next_frame --data moving-digits --output RUNS`.

Trains `next_frame` twice, on mean squares alone and as published, resumes what is there, and scores both on
films that were never shown, beside the last frame copied: PSNR, the sharpness difference of Mathieu et al.
(2016), eq. 12, and sharpness itself, the mean step between neighbouring pixels over that of the true frames
(1: as sharp as the truth). Writes roll-outs of ten frames as GIFs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

WAYS = {"squares": dict(lambda_adv=0.0, lambda_lp=1.0, lambda_gdl=0.0), "published": {}}


@dataclass(frozen=True, kw_only=True)
class Settings:
    output: Path  # where the runs go
    data: str = "moving-digits"  # or bouncing-balls, or films
    steps: int = 600  # updates of each
    size: int = 64  # pixels
    channels: int = 16  # of the first layers; the paper has 128
    batch_size: int = 8  # films an update
    learning_rate: float = 5e-4  # of Adam
    lambda_adv: float = 0.05  # of the published way, as are the next two
    lambda_lp: float = 1.0
    lambda_gdl: float = 1.0
    ways: tuple[str, ...] = tuple(WAYS)  # which are trained, and scored
    length: int = 5  # frames of a sample, the last of which is to be told; 2: which way things go is unknown
    count: int = 200  # test films


def trained(name: str, settings: Settings):
    """The task after its training, in eval mode."""
    import torch

    import datasets
    from models.translation.next_frame import NextFrame
    from translate.task import DataInfo
    from translate.training.loop import train

    given = dict(size=settings.size, channels=settings.channels, batch_size=settings.batch_size)
    given |= dict(steps=settings.steps, learning_rate=settings.learning_rate, data=settings.data)
    given |= dict(length=settings.length, output=settings.output / name)
    given |= dict(save_minutes=2.0, mixed_precision="no")
    weights = {name: getattr(settings, name) for name in ("lambda_adv", "lambda_lp", "lambda_gdl")}
    config = NextFrame.Config(**given | weights | WAYS[name])
    data = datasets.load("frames", settings.data, size=settings.size, length=config.length)
    torch.manual_seed(config.seed)
    task = NextFrame(config, DataInfo.of(data.info))
    train(task, data, config)
    return task.eval()


def main(settings: Settings) -> None:
    from translate import machine

    machine.tune()
    import torch

    import datasets
    from translate.inference import animation
    from translate.inference.files import write
    from translate.inference.images import Picture
    from translate.metrics.next_frames import scores
    from translate.training.checkpoint import read_model
    from translate.training.observers import preview_batch

    for name in settings.ways:
        trained(name, settings)
    tasks = {name: read_model(settings.output / name) for name in settings.ways}
    longer = dict(size=settings.size, length=settings.length + 9)
    films = datasets.load("frames", settings.data, split="test", **longer)
    frames = preview_batch(films, settings.count)["frames"]
    so_far = settings.length - 1
    known, real = frames[:, :so_far], frames[:, so_far]
    rows = {"last frame copied": scores(known[:, -1], real)}
    with torch.inference_mode():
        for name, task in tasks.items():
            made = torch.cat([task(frames=part) for part in known.split(16)])
            rows[f"{name}, {settings.steps:,} updates"] = scores(made, real)
    rows["the true frame"] = scores(real, real) | {"PSNR": float("inf"), "sharpness difference": float("inf")}
    print(f"\n{settings.data}, {len(frames)} test films, {settings.size} px, one frame ahead\n")
    print("| | PSNR, dB | sharpness difference, dB | sharpness / true |\n|---|---|---|---|")
    for name, row in rows.items():
        values = row["PSNR"], row["sharpness difference"], row["sharpness"]
        print("| " + name + " | " + " | ".join(f"{value:.2f}" for value in values) + " |", flush=True)
    with torch.inference_mode():
        columns = [frames[:4, so_far:]]
        for task in tasks.values():
            film = known[:4]
            for _ in range(10):
                film = torch.cat([film, task(frames=film)[:, None]], 1)
            columns.append(film[:, so_far:])
    shown = []
    for at in range(10):
        lines = [torch.cat([one[row, at] for one in columns], -1) for row in range(4)]
        shown.append(Picture(tensor=torch.cat(lines, -2)[None]))
    write(settings.output / "roll-out.gif", animation.joined(shown, ".gif", 200))
    print(f"true, {', '.join(tasks)}: ten frames of four films in {settings.output / 'roll-out.gif'}")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
