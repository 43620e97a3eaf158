"""python -m translate image."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from translate.commands import Device, Model, Overwrite, Precision, at_least, check_free, opened
from translate.config import UserError
from translate.inference.files import FORMATS, Job, mask_for, plan, write


def image(
    inputs: tuple[str, ...],
    /,
    *,
    model: Model,
    output: str,
    direction: str = "AtoB",
    overwrite: Overwrite = False,
    keep_alpha: bool = True,
    work_size: int | None = None,
    brush: float | None = None,
    strength: float = 1.0,
    self_ensemble: bool = False,
    label: str | None = None,
    mask: str | None = None,
    seed: int = 0,
    precision: Precision = "auto",
    engine: Literal["torch", "openvino"] = "torch",
    device: Device = None,
    format: Literal["png", "jpg", "webp", "tiff", "avif"] | None = None,
    quality: int = 95,
    lossless: bool = False,
    skip_existing: bool = False,
    metadata: bool = True,
    keep_location: bool = False,
) -> int:
    """Translate or enlarge pictures: same size out as in, or a multiple; alpha and 16 bits kept.

    Args:
        inputs: pictures, folders (searched through) and globs
        output: a folder; for a single picture also a file: .png .jpg .webp .tiff
        direction: BtoA for models that also translate back
        keep_alpha: no: lay transparent pictures on white for good
        work_size: translate with the longer side at so many pixels, then scale the result back; 0: full size.
            Default 0, but the size of training for U-Nets, which take a picture as a whole
        brush: of styles: 1 paints at the size at which strokes show and gives the result at full size, as the
            page does; down to 0.4 for finer strokes, up to 2.5 for broader ones. Default: paint at full size
        strength: with --brush: how much of the style, 0 (the picture) to 1
        self_ensemble: the mean of eight results, of the picture mirrored and turned; eight times as long
        label: for models with classes: the wanted one, by name or number
        mask: for models that fill in: a picture of the same size, white where to fill, or a folder of such,
            each named as its picture
        seed: for models with noise inside
        engine: openvino is faster on CPUs (optional: pip install openvino)
        format: of all files written to a folder; default that of each picture, where it can be written
        quality: of JPEG, WebP and AVIF, 1 to 100
        lossless: WebP without loss (PNG and TIFF always are)
        skip_existing: leave files that exist as they are, and do the others
        metadata: keep resolution, date, author and camera; --no-metadata leaves all out
        keep_location: keep where the picture was taken, too
    """
    if not 1 <= quality <= 100:
        raise UserError(f"--quality {quality} must be 1 to 100")
    if format and Path(output).suffix.lower() in FORMATS and not Path(output).is_dir():
        raise UserError(f"--format {format} is for a folder; --output {output} names a file")
    if work_size:
        at_least(1, work_size=work_size)
    if brush is None and strength != 1:
        raise UserError("--strength goes with --brush; add --brush 1")
    if brush is not None and (work_size is not None or self_ensemble):
        raise UserError("--brush says at which size to paint; leave out --work-size and --self-ensemble")
    if not 0 <= strength <= 1:
        raise UserError(f"--strength {strength} must be 0 to 1")
    jobs, single = plan(inputs, output, f".{format}" if format else None)
    jobs = missing(jobs) if skip_existing else jobs
    pipeline = opened(model, device, precision, engine)
    pipeline.check("image", direction)
    pipeline.check_given({name: value for name, value in dict(label=label, mask=mask).items() if value})

    from tqdm import tqdm

    from translate.inference import animation, images

    painted = brushed(pipeline, brush, strength) if brush is not None else None

    failed: list[str] = []
    with tqdm(jobs, unit="picture", disable=None) as bar:
        for done, job in enumerate(bar):
            try:
                check_free([job.target], overwrite)
                given = dict(direction=direction, keep_alpha=keep_alpha, label=label)
                given["progress"] = lambda tile, of: bar.set_postfix_str(f"tile {tile}/{of}" * (of > 1))
                if not painted:
                    given |= dict(seed=seed, work_size=work_size, self_ensemble=self_ensemble)
                    given["mask"] = images.decode(mask_for(job.source, mask)) if mask else None
                one = functools.partial(painted or pipeline.translate, **given)
                options = dict(quality=quality, lossless=lossless, metadata=metadata, location=keep_location)
                data, remark = animation.rendered(job.source, job.target.suffix.lower(), one, options)
                if remark:
                    tqdm.write(f"note: {job.source}: {remark}", file=sys.stderr)
                write(job.target, data)
            except UserError as error:
                failed.append(str(error))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped after {done} of {len(jobs)} pictures") from None
    return report(failed, len(jobs), output, single)


def brushed(pipeline, brush: float, strength: float) -> Callable:
    """Picture to picture, painted where strokes show. Raises UserError for a model that does not paint."""
    from translate.inference import painting
    from translate.inference.catalog import entries, trouble
    from translate.inference.pipeline import Pipeline
    from translate.task import find

    if not painting.paints(pipeline.task):
        raise UserError(f"--brush is for styles; {pipeline.name} learned no style, leave it out")
    if not painting.THINNEST <= brush <= painting.BROADEST:
        raise UserError(f"--brush {brush} must be {painting.THINNEST} to {painting.BROADEST}")
    known = [entry for entry in entries() if not trouble(entry.folder)]
    found = painting.quickest([entry for entry in known if find(entry.task).data == "lowres"])
    enlarger = Pipeline.from_pretrained(found.folder, pipeline.device) if found else None
    side = painting.painted_at(pipeline.task.config.size, brush)

    def paint(picture, **options):
        copy = painting.paint(pipeline, picture, side, **options)
        return painting.whole(copy, picture, enlarger, strength)

    return paint


def missing(jobs: list[Job]) -> list[Job]:
    """Those whose result does not exist yet; says how many others there are."""
    left = [job for job in jobs if not job.target.exists()]
    if len(left) < len(jobs):
        count = len(jobs) - len(left)
        print(f"left as they are: {count} of {len(jobs)} files, which exist", file=sys.stderr)
    return left


def report(failed: list[str], of: int, output: str, single: bool) -> int:
    """Say what was written and what failed: the exit code. Raises UserError where the only picture failed."""
    if failed and single:
        raise UserError(failed[0])
    if len(failed) < of:
        count = of - len(failed)
        print(output if single else f"{count} {'picture' if count == 1 else 'pictures'} in {output}")
    if failed:
        print(f"{len(failed)} of {of} pictures failed:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0
