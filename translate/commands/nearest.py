"""python -m translate nearest."""

from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.config import UserError
from translate.inference.files import write


def nearest(
    *,
    model: Model,
    output: str,
    caption: str | None = None,
    label: str | None = None,
    count: int = 4,
    seed: int = 0,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Are they copies? Draw pictures and show beside each the training pictures most like it.

    Args:
        output: the picture to write, ending in .png
        caption: for models that draw captions
        label: for models with classes: one of them, by name or number
        count: how many pictures
        seed: same seed, same pictures
    """
    at_least(1, count=count)
    if Path(output).suffix.lower() != ".png":
        raise UserError(f"--output {output} must end in .png")
    check_free([Path(output)], overwrite)
    pipeline = opened(model, device, precision)

    import torch

    from translate.inference import images
    from translate.ui.lanes import Lanes
    from translate.ui.nearest import nearest as known

    if "text" in pipeline.takes:
        if not caption:
            raise UserError(f"{pipeline.name} draws captions; give a --caption")
        made = pipeline.imagine(caption, count, seed=seed, label=label)
    else:
        made = pipeline.sample(count, seed=seed, label=label)
    found = known(Lanes(), pipeline)
    rows = []
    for number, picture in enumerate(made):
        near = found.of(picture.tensor[0])
        rows.append(images.row([picture.tensor, *(one[None] for one in near.pictures)]))
        print(f"{number}: {near.note}")
    write(Path(output), images.encode(torch.cat(rows, 2)))
    print(output)
