"""Which pictures are read and where they are written; torch-free, so that mistakes are answered at once."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path

from translate.config import UserError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
FORMATS[".avif"] = "AVIF"
READABLE = {*FORMATS, *".jpe .jfif .gif .bmp .pgm .ppm .pbm .pnm .heic .heif .jp2 .mpo .apng .tga".split()}


@dataclass(frozen=True)
class Job:
    """One picture to translate."""

    source: Path
    target: Path


def plan(inputs: tuple[str, ...], output: str, suffix: str | None = None) -> tuple[list[Job], bool]:
    """What is read and what is written, and whether it is one picture named by itself. Raises UserError.

    suffix: of all files written to a folder; None: as they are read, where that can be written, else .png.
    Of two pictures that differ in their format alone, the second is named after it: logo.png, logo-gif.png.
    """
    out = Path(output)
    found: dict[Path, Path] = {}  # file -> its place below the output folder
    for word in inputs:
        if re.match(r"[a-z]+://", word):
            raise UserError(f"{word} is a URL, which is not read; download the picture and name its file")
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
    named = out.suffix.lower()
    names_file = not out.is_dir() and not output.endswith("/") and (named in READABLE or out.exists())
    if names_file and not single:
        raise UserError(f"--output {output} must be a folder for several pictures")
    if names_file and named not in FORMATS and not (named == ".gif" and moves(next(iter(found)))):
        more = "; .gif is for animations" if named == ".gif" else ""
        raise UserError(f"--output {output}: the file types written are {' '.join(FORMATS)}{more}")
    jobs, sources = [], {}
    for file, place in found.items():
        target = out if names_file else out / place
        if not names_file:
            target = target.with_suffix(suffix or written(file))
        if target in sources:
            if sources[target].with_suffix("") != file.with_suffix(""):
                raise UserError(
                    f"{sources[target]} and {file} would both become {target}; translate them apart"
                )
            target = numbered(target, file, sources)
        if target.resolve() == file.resolve():
            raise UserError(f"{target} would replace the picture it is made from; choose another --output")
        sources[target] = file
        jobs.append(Job(file, target))
    if clash := {job.target.resolve() for job in jobs} & {job.source.resolve() for job in jobs}:
        raise UserError(f"{min(clash)} is both read and written; choose another --output")
    return jobs, single


def written(file: Path) -> str:
    """The suffix of what becomes of a picture: its own where it can be written, .gif where it moves."""
    suffix = file.suffix.lower()
    if suffix == ".gif":
        return ".gif" if moves(file) else ".png"
    return file.suffix if suffix in FORMATS else ".png"


def moves(file: Path) -> bool:
    from translate.inference import decoding

    try:
        with decoding.opened(file) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # the decoder says why, when its turn comes
        return False


def numbered(target: Path, file: Path, taken: dict[Path, Path]) -> Path:
    """A free name for a second picture of one name: with its format, then with a number."""
    kind = file.suffix.lower().removeprefix(".") or "2"
    names = [kind, *(f"{kind}-{number}" for number in range(2, len(taken) + 3))]
    paths = (target.with_name(f"{target.stem}-{name}{target.suffix}") for name in names)
    return next(path for path in paths if path not in taken)


def is_picture(path: Path, folder: Path, out: Path) -> bool:
    """Whether a file found in a folder counts: picture suffix, not hidden, not an earlier result."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    earlier = out.resolve() != folder.resolve() and out.resolve() in path.resolve().parents
    return path.suffix.lower() in READABLE and not hidden and not earlier and path.is_file()


def mask_for(picture: Path, mask: str) -> Path:
    """The mask itself, or the file of the picture's name (whatever its suffix) in a folder of masks."""
    if not Path(mask).is_dir():
        return Path(mask)
    found = sorted(path for path in Path(mask).iterdir() if path.stem == picture.stem)
    if not found:
        raise UserError(f"{mask} has no mask for {picture.name}: expected {picture.stem}.png there")
    return found[0]


def write(target: Path, data: bytes) -> None:
    """Put the file in place at once. Raises UserError."""
    from translate.training.checkpoint import replace_file

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, lambda path: path.write_bytes(data))
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None
