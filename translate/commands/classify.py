"""python -m translate classify."""

import sys

from translate.commands import Device, Model, Precision, at_least, opened
from translate.config import UserError
from translate.inference.files import plan


def classify(
    inputs: tuple[str, ...],
    /,
    *,
    model: Model,
    top: int = 3,
    precision: Precision = "auto",
    device: Device = None,
) -> int:
    """Name what pictures show, with models that learned classes: FILE, then names and probabilities.

    Args:
        inputs: pictures, folders (searched through) and globs
        top: so many names at most, the likeliest first
    """
    at_least(1, top=top)
    sources = [job.source for job in plan(inputs, "./")[0]]
    pipeline = opened(model, device, precision)

    from translate.inference import images

    failed = []
    for source in sources:
        try:
            shares = pipeline.classify(images.decode(source), top)
        except UserError as error:
            failed.append(str(error))
            continue
        print(f"{source}\t" + "\t".join(f"{name} {share:.2f}" for name, share in shares.items()), flush=True)
    if failed and len(sources) == 1:
        raise UserError(failed[0])
    if failed:
        print(f"{len(failed)} of {len(sources)} pictures failed:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0
