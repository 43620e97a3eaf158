"""python -m translate frames."""

from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.inference.files import plan, write


def frames(
    inputs: tuple[str, ...],
    /,
    *,
    model: Model,
    output: str,
    count: int = 8,
    seed: int = 0,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Continue a film: the frames after those given, as OUTPUT/0000.png, 0001.png, ...

    Args:
        inputs: the frames so far, oldest first: pictures, folders and globs
        output: a folder
        count: how many frames to make
        seed: for models with noise inside
    """
    at_least(1, count=count)
    sources = [job.source for job in plan(inputs, f"{output}/")[0]]
    targets = [Path(output) / f"{i:04d}.png" for i in range(count)]
    check_free(targets, overwrite)
    pipeline = opened(model, device, precision)
    pipeline.check("frames")

    from translate.inference import images

    made = pipeline.follow([images.decode(source) for source in sources], count, seed=seed)
    for target, picture in zip(targets, made, strict=True):
        write(target, images.encode(picture.tensor, picture))
    print(f"{count} frames in {output}")
