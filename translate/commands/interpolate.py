"""python -m translate interpolate."""

from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.config import UserError
from translate.inference.files import write


def interpolate(
    *,
    model: Model,
    output: str,
    start: str = "0",
    end: str = "1",
    captions: tuple[str, ...] = (),
    label: str | None = None,
    count: int = 12,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Pictures on the way from one to another: OUTPUT/0000.png, ..., strip.png and way.gif.

    Args:
        output: a folder
        start: where the way begins: a seed, or a picture (encoded, or sought where there is no encoder)
        end: where it ends
        captions: for models that draw captions: one or two, in quotes
        label: for models with classes: one of them, by name or number
        count: how many, both ends included
    """
    at_least(2, count=count)
    out = Path(output)
    targets = [*(out / f"{i:04d}.png" for i in range(count)), out / "strip.png", out / "way.gif"]
    check_free(targets, overwrite)
    ends = [int(given) if given.isdecimal() else Path(given) for given in (start, end)]
    pipeline = opened(model, device, precision)

    from translate.inference import exploring, images

    if "text" in pipeline.takes:
        if not 1 <= len(captions) <= 2 or not all(isinstance(e, int) for e in ends):
            raise UserError(f"{pipeline.name} goes between one or two --captions, and seeds")
        made = pipeline.between((captions[0], captions[-1]), tuple(ends), count)
    else:
        pipeline.check("sample")
        places = [exploring.end(pipeline, e if isinstance(e, int) else images.decode(e)) for e in ends]
        made = exploring.way(pipeline, *places, count, label=label)
    tensors = [picture.tensor for picture in made]
    for target, tensor in zip(targets, [*tensors, images.row(tensors)], strict=False):
        write(target, images.encode(tensor))
    write(targets[-1], exploring.moving(made))
    print(f"{count} pictures, strip.png and way.gif in {output}")
