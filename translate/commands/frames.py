"""python -m translate frames."""

from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.inference.files import plan, write

MOVING = (".gif", ".webp")
SHOWN = 100  # milliseconds each, where the film does not say


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
    """Continue a film: the frames after those given, as OUTPUT/0000.png, 0001.png, ..., or all as OUTPUT.gif.

    Args:
        inputs: the frames so far, oldest first: pictures, folders and globs, or an animation
        output: a folder, or a .gif or .webp of what is given and what follows
        count: how many frames to make
        seed: for models with noise inside
    """
    at_least(1, count=count)
    sources = [job.source for job in plan(inputs, f"{output}/")[0]]
    moving = Path(output).suffix.lower() in MOVING
    targets = [Path(output)] if moving else [Path(output) / f"{i:04d}.png" for i in range(count)]
    check_free(targets, overwrite)
    pipeline = opened(model, device, precision)
    pipeline.check("frames")

    from translate.inference import animation, images

    known, shown = [], SHOWN
    for source in sources:
        if film := animation.film(source):
            known += film
            shown = film.durations[-1] or SHOWN
        else:
            known.append(images.decode(source))
    made = pipeline.follow(known, count, seed=seed)
    if moving:
        write(targets[0], animation.joined([*known, *made], targets[0].suffix.lower(), shown))
        print(f"{len(known)} frames and {count} that follow in {output}")
        return
    for target, picture in zip(targets, made, strict=True):
        write(target, images.encode(picture.tensor, picture))
    print(f"{count} frames in {output}")
