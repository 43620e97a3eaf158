"""python -m translate reconstruct."""

import sys
from pathlib import Path

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.inference.files import plan, write


def reconstruct(
    inputs: tuple[str, ...],
    /,
    *,
    model: Model,
    output: str,
    decodings: int = 0,
    seed: int = 0,
    overwrite: Overwrite = False,
    precision: Precision = "auto",
    device: Device = None,
) -> None:
    """Find pictures' latents and draw them again: OUTPUT/NAME.png, the picture and what a model keeps of it.

    Args:
        inputs: pictures, folders (searched through) and globs
        output: a folder
        decodings: for models that draw codes (vae): so many codes of each picture, drawn again
        seed: of those codes
    """
    at_least(0, decodings=decodings)
    jobs = plan(inputs, f"{output}/", ".png")[0]
    check_free([job.target for job in jobs], overwrite)
    pipeline = opened(model, device, precision)
    pipeline.check("sample")

    from tqdm import tqdm

    from translate.inference import exploring, images

    for job in tqdm(jobs, unit="picture", disable=None):
        picture = images.decode(job.source)
        made = pipeline.from_noise(exploring.end(pipeline, picture))
        if decodings:
            made += exploring.decodings(pipeline, picture, decodings, seed)
        x = pipeline.square(picture)
        error = float((made[0].tensor - x).square().mean().sqrt())
        tqdm.write(f"{job.source}: off by {error:.3f} (root mean square, of values in [-1, 1])", sys.stderr)
        write(job.target, images.encode(images.row([x, *(p.tensor for p in made)])))
    print(f"{len(jobs)} {'picture' if len(jobs) == 1 else 'pictures'} in {Path(output)}")
