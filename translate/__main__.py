"""The command line: python -m translate COMMAND, see COMMANDS below. Torch comes late."""

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from translate.cli import exit_code
from translate.config import UserError, nearest
from translate.inference.catalog import HERE, entries, locate, roots
from translate.inference.files import FORMATS, mask_for, plan, write
from translate.judging import doctor, evaluate


def image(
    inputs,
    *,
    model: str,
    output: str,
    direction: str = "AtoB",
    overwrite: bool = False,
    keep_alpha: bool = True,
    work_size: int | None = None,
    self_ensemble: bool = False,
    label: str | None = None,
    mask: str | None = None,
    seed: int = 0,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    engine: Literal["torch", "openvino"] = "torch",
    device: str | None = None,
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
        model: a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)
        output: a folder; for a single picture also a file: .png .jpg .webp .tiff
        direction: BtoA for models that also translate back
        overwrite: replace files that exist
        keep_alpha: no: lay transparent pictures on white for good
        work_size: translate with the longer side at so many pixels, then scale the result back; 0: full size.
            Default 0, but the size of training for U-Nets, which take a picture as a whole
        self_ensemble: the mean of eight results, of the picture mirrored and turned; eight times as long
        label: for models with classes: the wanted one, by name or number
        mask: for models that fill in: a picture of the same size, white where to fill, or a folder of such,
            each named as its picture
        seed: for models with noise inside
        precision: auto: bf16 where the model's card measured that it holds
        engine: openvino is faster on CPUs (optional: pip install openvino)
        device: cpu, cuda, ...; default the accelerator if there is one
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
    if work_size is not None and work_size < 0:
        raise UserError(f"--work-size {work_size} is too small; the least is 1, and 0 is full size")
    jobs, single = plan(inputs, output, f".{format}" if format else None)
    kept = [job for job in jobs if skip_existing and job.target.exists()]
    jobs = [job for job in jobs if job not in kept]
    if kept:
        print(f"left as they are: {len(kept)} of {len(kept) + len(jobs)} files, which exist", file=sys.stderr)
    folder = locate(model)

    from translate import machine

    machine.tune()
    from tqdm import tqdm

    from translate.inference import animation, images
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(folder, device, precision, engine)
    pipeline.check("image", direction)
    pipeline.check_given({name: value for name, value in dict(label=label, mask=mask).items() if value})
    failed: list[str] = []
    with tqdm(jobs, unit="picture", disable=None) as bar:
        for done, job in enumerate(bar):
            try:
                if job.target.exists() and not overwrite:
                    raise UserError(f"{job.target} exists; --overwrite replaces it")
                one = functools.partial(
                    pipeline.translate,
                    direction=direction,
                    seed=seed,
                    work_size=work_size,
                    keep_alpha=keep_alpha,
                    self_ensemble=self_ensemble,
                    label=label,
                    mask=images.decode(mask_for(job.source, mask)) if mask else None,
                    progress=lambda tile, of: bar.set_postfix_str(f"tile {tile}/{of}" if of > 1 else ""),
                )
                options = dict(quality=quality, lossless=lossless, metadata=metadata, location=keep_location)
                data, remark = animation.rendered(job.source, job.target.suffix.lower(), one, options)
                if remark:
                    tqdm.write(f"note: {job.source}: {remark}", file=sys.stderr)
                write(job.target, data)
            except UserError as error:
                failed.append(str(error))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped after {done} of {len(jobs)} pictures") from None
    if failed and single:
        raise UserError(failed[0])
    if len(failed) < len(jobs):
        count = len(jobs) - len(failed)
        print(output if single else f"{count} {'picture' if count == 1 else 'pictures'} in {output}")
    if failed:
        print(f"{len(failed)} of {len(jobs)} pictures failed:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


def frames(
    inputs,
    *,
    model: str,
    output: str,
    count: int = 8,
    seed: int = 0,
    overwrite: bool = False,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    device: str | None = None,
) -> None:
    """Continue a film: the frames after those given, as OUTPUT/0000.png, 0001.png, ...

    Args:
        inputs: the frames so far, oldest first: pictures, folders and globs
        model: a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)
        output: a folder
        count: how many frames to make
        seed: for models with noise inside
        overwrite: replace files that exist
        precision: auto: bf16 where the model's card measured that it holds
        device: cpu, cuda, ...; default the accelerator if there is one
    """
    if count < 1:
        raise UserError(f"--count {count} is too small; the least is 1")
    out = Path(output)
    sources, folder = [job.source for job in plan(inputs, f"{output}/")[0]], locate(model)
    targets = [out / f"{i:04d}.png" for i in range(count)]
    if not overwrite and (there := next((t for t in targets if t.exists()), None)):
        raise UserError(f"{there} exists; --overwrite replaces it")

    from translate import machine

    machine.tune()
    from translate.inference import images
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(folder, device, precision)
    pipeline.check("frames")
    made = pipeline.follow([images.decode(source) for source in sources], count, seed=seed)
    for target, picture in zip(targets, made, strict=True):
        write(target, images.encode(picture.tensor, picture))
    print(f"{count} frames in {output}")


def sample(
    *,
    model: str,
    output: str,
    label: str | None = None,
    count: int = 16,
    seed: int = 0,
    overwrite: bool = False,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    device: str | None = None,
) -> None:
    """Draw pictures from noise: OUTPUT/0000.png, 0001.png, ... and all of them in OUTPUT/grid.png.

    Args:
        model: a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)
        output: a folder
        label: for models with classes: one of them, by name or number; default each in turn
        count: how many
        seed: same seed, same pictures
        overwrite: replace files that exist
        precision: auto: bf16 where the model's card measured that it holds
        device: cpu, cuda, ...; default the accelerator if there is one
    """
    if count < 1:
        raise UserError(f"--count {count} is too small; the least is 1")
    out, folder = Path(output), locate(model)
    targets = [*(out / f"{i:04d}.png" for i in range(count)), out / "grid.png"]
    if not overwrite and (there := next((t for t in targets if t.exists()), None)):
        raise UserError(f"{there} exists; --overwrite replaces it")

    from translate import machine

    machine.tune()
    from translate.inference import images
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(folder, device, precision)
    tensors = [picture.tensor for picture in pipeline.sample(count, seed=seed, label=label)]
    for target, tensor in zip(targets, [*tensors, images.grid(tensors)], strict=True):
        write(target, images.encode(tensor))
    print(f"{count} pictures and grid.png in {output}")


def text(
    captions=(),
    *,
    model: str,
    output: str,
    file: str | None = None,
    count: int = 4,
    seed: int = 0,
    truncation: float = 0.0,
    overwrite: bool = False,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    device: str | None = None,
) -> None:
    """Make pictures of captions: OUTPUT/0000-0.png, 0000-1.png, ... and all of them in OUTPUT/grid.png.

    Args:
        captions: sentences, each in quotes
        model: a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)
        output: a folder
        file: a text file with a caption on each line, instead of or after those given
        count: pictures of each caption
        seed: same seed, same pictures
        truncation: e.g. 0.8: more typical, less varied pictures; 0 is off
        overwrite: replace files that exist
        precision: auto: bf16 where the model's card measured that it holds
        device: cpu, cuda, ...; default the accelerator if there is one
    """
    told = list(captions)
    if file:
        from datasets.texts import decoded

        try:
            lines, encoding = decoded(Path(file).read_bytes(), file)
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}") from None
        if encoding != "utf-8":
            print(f"note: {file} is read as {encoding}", file=sys.stderr)
        told += [line.strip() for line in lines.splitlines() if line.strip()]
    if not told:
        raise UserError("there is no caption; give one in quotes, or --file with one on each line")
    if count < 1:
        raise UserError(f"--count {count} is too small; the least is 1")
    out, folder = Path(output), locate(model)
    targets = [out / f"{i:04d}-{k}.png" for i in range(len(told)) for k in range(count)] + [out / "grid.png"]
    if not overwrite and (there := next((t for t in targets if t.exists()), None)):
        raise UserError(f"{there} exists; --overwrite replaces it")

    from translate import machine

    machine.tune()
    from tqdm import tqdm

    from translate.inference import images
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(folder, device, precision)
    tensors = []
    for number, caption in enumerate(tqdm(told, unit="caption", disable=None)):
        if note := pipeline.reading(caption).note:
            print(f"note: {caption[:60]!r}: {note}", file=sys.stderr)
        made = pipeline.imagine(caption, count, seed=seed, truncation=truncation)
        for target, picture in zip(targets[number * count :], made, strict=False):
            write(target, images.encode(picture.tensor))
        tensors += [picture.tensor for picture in made]
    write(targets[-1], images.encode(images.grid(tensors)))
    print(f"{len(tensors)} pictures and grid.png in {output}")


def models() -> None:
    """List the models: shipped ones and finished or running trainings."""
    found = entries()
    if not found:
        print(f"no models in {' or '.join(map(str, roots()))}; train one: python train.py --help")
        return
    wide = max(len(entry.name) for entry in found)
    for entry in found:
        origin = "shipped" if entry.folder.parent == HERE / "pretrained" else "run"
        size = f"{entry.size} px" if entry.size else ""
        facts = f"{entry.method:9} {size:>7} {entry.steps:>8,} steps  {origin:7}"
        print(f"{entry.name:{wide}}  {facts}  {entry.description}")


def data(path: str, *, a: str | None = None, b: str | None = None, output: str | None = None) -> None:
    """Show what training would find in PATH: counts, sizes, unreadable files.

    Args:
        path: folder, zip, folder inside a zip, tar shards, Hub data set id, or birds
        a: where domain A comes from, instead of a folder inside PATH
        b: where domain B comes from, instead of a folder inside PATH
        output: also write a contact sheet here (.png)
    """
    if output and Path(output).suffix.lower() != ".png":
        raise UserError(f"--output {output} must end in .png")

    from datasets.report import report

    found = report(path, a=a, b=b)
    print(found)
    if output:
        if found.contact_sheet is None:
            raise UserError(f"{path} holds no pictures for a contact sheet")
        import io

        file = io.BytesIO()
        found.contact_sheet.save(file, "PNG")
        write(Path(output), file.getvalue())
        print(f"contact sheet: {output}")


def export(*, model: str, output: str, direction: str = "AtoB", overwrite: bool = False) -> None:
    """Write a model as an ONNX file of any batch, checked against PyTorch: pictures [B, C, H, W] in [-1, 1].

    Captions come as the numbers of their pieces [B, 48]; the vocabulary is in the file's metadata.

    Args:
        model: a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)
        output: the file, ending in .onnx
        direction: BtoA for models that also translate back
        overwrite: replace a file that exists
    """
    target = Path(output)
    if target.suffix.lower() != ".onnx":
        raise UserError(f"--output {output} must end in .onnx")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; --overwrite replaces it")
    folder = locate(model)

    from translate.inference.export import to_onnx
    from translate.inference.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(folder, "cpu", "fp32")
    pipeline.check(pipeline.takes[0], direction)
    worst = to_onnx(pipeline.task, direction, target)
    print(f"{target}: exported, at most {worst:.1g} away from PyTorch")


COMMANDS: dict[str, Callable] = {
    "image": image, "sample": sample, "text": text, "frames": frames, "models": models, "data": data,
    "export": export, "evaluate": evaluate, "doctor": doctor,
}  # fmt: skip


def check_words(words: list[str]) -> None:
    """Raises UserError, with the nearest name, for an unknown command or flag."""
    command = next((word for word in words if not word.startswith("-")), None)
    if command is None:
        return
    if command not in COMMANDS:
        hint = nearest(command, list(COMMANDS)) or ";"
        raise UserError(f"unknown command {command!r}{hint} the commands are {', '.join(COMMANDS)}")
    known = ["help"]
    for name, parameter in inspect.signature(COMMANDS[command]).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            known += [name.replace("_", "-")] + ["no-" + name.replace("_", "-")] * isinstance(
                parameter.default, bool
            )
    for word in words:
        flag = word.removeprefix("--").split("=")[0]
        if word.startswith("--") and flag.replace("_", "-") not in known:
            hint = nearest(flag, known).replace("mean ", "mean --") or f"; see `{command} --help`"
            raise UserError(f"unknown flag --{flag} for {command}{hint}")


def main() -> int:
    words = sys.argv[1:] or ["--help"]
    check_words(words)

    import tyro

    Inputs = tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="IN...")]]
    image.__annotations__["inputs"] = frames.__annotations__["inputs"] = Inputs
    Told = tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="CAPTION...")]]
    text.__annotations__["captions"] = Told
    doctor.__annotations__["run"] = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]]
    data.__annotations__["path"] = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="PATH")]]
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="python -m translate", description="Use a trained model.", args=words
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
