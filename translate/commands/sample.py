"""python -m translate sample."""

from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.inference.files import write


def sample(
    *,
    model: Model,
    output: str,
    label: str | None = None,
    count: int = 16,
    seed: int = 0,
    truncation: float = 0.0,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Draw pictures from noise: OUTPUT/0000.png, 0001.png, ... and all of them in OUTPUT/grid.png.

    Args:
        output: a folder
        label: for models with classes: one of them, by name or number; default each in turn
        count: how many
        seed: same seed, same pictures
        truncation: e.g. 0.8: more typical, less varied pictures; 0 is off
    """
    at_least(1, count=count)
    targets = [*(Path(output) / f"{i:04d}.png" for i in range(count)), Path(output) / "grid.png"]
    check_free(targets, overwrite)
    pipeline = opened(model, device, precision)

    from translate.inference import images

    made = pipeline.sample(count, seed=seed, truncation=truncation, label=label)
    tensors = [picture.tensor for picture in made]
    for target, tensor in zip(targets, [*tensors, images.grid(tensors)], strict=True):
        write(target, images.encode(tensor))
    print(f"{count} pictures and grid.png in {output}")
