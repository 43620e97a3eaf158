"""Which pictures are read and where they are written; torch-free, so that mistakes are answered at once."""

import glob
from dataclasses import dataclass
from pathlib import Path

from translate.config import UserError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
READABLE = {*FORMATS, *".jfif .gif .bmp .pgm .ppm .pbm .pnm .avif .heic .heif .jp2 .mpo .apng".split()}


@dataclass(frozen=True)
class Job:
    """One picture to translate."""

    source: Path
    target: Path


def plan(inputs: tuple[str, ...], output: str) -> tuple[list[Job], bool]:
    """What is read and what is written, and whether it is one picture named by itself. Raises UserError."""
    out = Path(output)
    found: dict[Path, Path] = {}  # file -> its place below the output folder
    for word in inputs:
        path = Path(word)
        listed = sorted(map(Path, glob.glob(word, recursive=True))) if not path.exists() else [path]
        if not listed and any(sign in word for sign in "*?["):
            raise UserError(f"{word} matches no file")
        for match in listed or [path]:
            if match.is_dir():
                inside = [p for p in sorted(match.rglob("*")) if is_picture(p, match, out)]
                if not inside:
                    raise UserError(f"{match} holds no pictures ({' '.join(FORMATS)} ...)")
                for file in inside:
                    found.setdefault(file, file.relative_to(match))
            else:
                found.setdefault(match, Path(match.name))
    if not found:
        raise UserError("no pictures given; name files, folders or globs")
    single = len(found) == len(inputs) == 1 and not Path(inputs[0]).is_dir()
    suffix = out.suffix.lower()
    names_file = not out.is_dir() and not output.endswith("/") and (suffix in READABLE or out.exists())
    if names_file and not single:
        raise UserError(f"--output {output} must be a folder for several pictures")
    if names_file and suffix not in FORMATS:
        raise UserError(f"--output {output}: the file types written are {' '.join(FORMATS)}")
    jobs, sources = [], {}
    for file, place in found.items():
        target = out if names_file else out / place
        if target.suffix.lower() not in FORMATS:
            target = target.with_suffix(".png")
        if target.resolve() == file.resolve():
            raise UserError(f"{target} would replace the picture it is made from; choose another --output")
        if target in sources:
            raise UserError(f"{sources[target]} and {file} would both become {target}; translate them apart")
        sources[target] = file
        jobs.append(Job(file, target))
    if clash := {job.target.resolve() for job in jobs} & {job.source.resolve() for job in jobs}:
        raise UserError(f"{min(clash)} is both read and written; choose another --output")
    return jobs, single


def is_picture(path: Path, folder: Path, out: Path) -> bool:
    """Whether a file found in a folder counts: picture suffix, not hidden, not an earlier result."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    earlier = out.resolve() != folder.resolve() and out.resolve() in path.resolve().parents
    return path.suffix.lower() in READABLE and not hidden and not earlier and path.is_file()


def write(target: Path, data: bytes) -> None:
    """Put the file in place at once. Raises UserError."""
    from translate.training.checkpoint import replace_file

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, lambda path: path.write_bytes(data))
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None
