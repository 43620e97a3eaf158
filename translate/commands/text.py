"""python -m translate text."""

import sys
from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.config import UserError
from translate.inference.files import write


def text(
    captions: tuple[str, ...] = (),
    /,
    *,
    model: Model,
    output: str,
    file: str | None = None,
    count: int = 4,
    seed: int = 0,
    truncation: float = 0.0,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Make pictures of captions: OUTPUT/0000-0.png, 0000-1.png, ... and all of them in OUTPUT/grid.png.

    Args:
        captions: sentences, each in quotes
        output: a folder
        file: a text file with a caption on each line, instead of or after those given
        count: pictures of each caption
        seed: same seed, same pictures
        truncation: e.g. 0.8: more typical, less varied pictures; 0 is off
    """
    texts = [*captions, *(lines(file) if file else [])]
    if not texts:
        raise UserError("there is no caption; give one in quotes, or --file with one on each line")
    at_least(1, count=count)
    out = Path(output)
    targets = [out / f"{i:04d}-{k}.png" for i in range(len(texts)) for k in range(count)]
    check_free([*targets, out / "grid.png"], overwrite)
    pipeline = opened(model, device, precision)

    from tqdm import tqdm

    from translate.inference import images

    tensors = []
    for number, caption in enumerate(tqdm(texts, unit="caption", disable=None)):
        if note := pipeline.reading(caption).note:
            print(f"note: {caption[:60]!r}: {note}", file=sys.stderr)
        made = pipeline.imagine(caption, count, seed=seed, truncation=truncation)
        for target, picture in zip(targets[number * count :], made, strict=False):
            write(target, images.encode(picture.tensor))
        tensors += [picture.tensor for picture in made]
    write(out / "grid.png", images.encode(images.grid(tensors)))
    print(f"{len(tensors)} pictures and grid.png in {output}")


def lines(file: str) -> list[str]:
    """The captions of a text file, in whatever encoding. Raises UserError."""
    from datasets.texts import decoded

    try:
        read, encoding = decoded(Path(file).read_bytes(), file)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    if encoding != "utf-8":
        print(f"note: {file} is read as {encoding}", file=sys.stderr)
    return [line.strip() for line in read.splitlines() if line.strip()]
