"""Pictures on their way between the page, the models and its temporary folder."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image

from translate.inference import images
from translate.inference.images import Picture

BROWSERS_SHOW = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")
SHOWN = 1600  # longer side of the pictures in the before/after slider


def showable(source: str | None) -> str | None:
    """The file itself, or what browsers cannot show (TIFF, HEIC, JPEG 2000) as a PNG of the same values."""
    if not source or Path(source).suffix.lower() in BROWSERS_SHOW:
        return source
    picture = images.decode(source, name=Path(source).name)
    return str(write(picture, f"{Path(source).stem}.png"))


def write(picture: Picture, name: str) -> Path:
    """A PNG of full size and depth in the page's temporary folder."""
    return lay(name, images.encode(picture.tensor, picture))


def lay(name: str, data: bytes) -> Path:
    """A file in the temporary folder, the only one the page writes to; browsers get a copy of Gradio's."""
    folder = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("made-*"):
        if time.time() - old.stat().st_mtime > 600:
            shutil.rmtree(old, ignore_errors=True)
    file = Path(tempfile.mkdtemp(prefix="made-", dir=folder)) / name
    file.write_bytes(data)
    return file


def small(picture: Picture) -> Image.Image:
    image = images.to_image(picture.tensor, Picture(tensor=picture.tensor, alpha=picture.alpha))
    image.thumbnail((SHOWN, SHOWN))
    return image
