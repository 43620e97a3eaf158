"""Pictures on their way between the page, the models and its temporary folder."""

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image

from translate.config import UserError
from translate.inference import decoding, images
from translate.inference.images import Picture

BROWSERS_SHOW = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")
SHOWN = 1600  # longer side of the pictures in the before/after slider


def showable(source: str, picture: Picture) -> str:
    """The file itself, or what browsers cannot show (TIFF, HEIC, JPEG 2000) as a PNG of the same values."""
    if Path(source).suffix.lower() in BROWSERS_SHOW:
        return source
    return str(write(picture, f"{Path(source).stem}.png"))


class Unreadable(UserError):
    """What was given is no picture, or too large a one."""


def opened(source: str, max_pixels: int) -> Picture:
    """Raises Unreadable."""
    try:
        return images.decode(source, name=Path(source).name, max_pixels=max_pixels)
    except UserError as error:
        raise Unreadable(str(error)) from None


def extent(source: str) -> tuple[int, int]:
    """Width and height as the file's head tells, for planning; zeros where it tells nothing."""
    try:
        with decoding.opened(source) as image:
            return image.size
    except Exception:  # damaged in whatever way: `images.decode` says how
        return 0, 0


def pixels(source: str) -> int:
    width, height = extent(source)
    return width * height


def write(picture: Picture, name: str) -> Path:
    """A PNG of full size and depth in the page's temporary folder."""
    return lay(name, images.encode(picture.tensor, picture))


def folder() -> Path:
    """The only one that the page writes to, made for this run of it."""
    found = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    found.mkdir(parents=True, exist_ok=True)
    return found


def lay(name: str, data: bytes) -> Path:
    """A file in the temporary folder, the only one the page writes to; browsers get a copy of Gradio's."""
    for old in folder().glob("made-*"):
        with contextlib.suppress(FileNotFoundError):  # another thread was faster
            if time.time() - old.stat().st_mtime > 600:
                shutil.rmtree(old, ignore_errors=True)
    file = folder() / f"made-{secrets.token_hex(16)}" / name
    file.parent.mkdir()
    file.write_bytes(data)
    return file


def thumbnail(path: Path, side: int, place: str = "thumbnails") -> str:
    """A file with a small copy, made once for all visitors; an empty square for a damaged picture."""
    about = f"{path}{path.stat().st_mtime_ns}{side}"
    file = folder() / place / f"{hashlib.sha256(about.encode()).hexdigest()}.webp"
    if not file.exists():
        try:
            shown = images.to_image(images.decode(path).tensor)
        except UserError:
            shown = Image.new("L", (1, 1), 255)
        shown.thumbnail((side, side))
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{secrets.token_hex(8)}.webp")  # two visitors may make it at once
        shown.save(part, quality=85)
        part.replace(file)
    return str(file)


def small(picture: Picture) -> Image.Image:
    image = images.to_image(picture.tensor, Picture(tensor=picture.tensor, alpha=picture.alpha))
    image.thumbnail((SHOWN, SHOWN))
    return image
