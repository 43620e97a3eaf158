"""Two hundred odd, damaged and hostile picture files, and what must come of them: a picture or one sentence.

python -m tests.hostile               # through the command line and an open page (minutes)
python -m tests.hostile --write DIR   # only the files
"""

import argparse
import contextlib
import functools
import io
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
SUFFIX = {"JPEG": "jpg", "TIFF": "tif", "JPEG2000": "jp2"}
LONGEST = 60.0  # seconds for one file


def picture(size=(40, 30), mode="RGB") -> Image.Image:
    random = np.random.default_rng(1)
    image = Image.fromarray(random.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    return image.convert(mode)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, kind: int = 0, *more: bytes) -> bytes:
    """With whatever it is said to hold."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def cut() -> dict[str, bytes]:
    """Every format cut off at each tenth."""
    found = {}
    for format in FORMATS:
        whole = encoded(picture(), format)
        for tenth in range(10):
            name = f"cut-{tenth}.{SUFFIX.get(format, format.lower())}"
            found[name] = whole[: len(whole) * tenth // 10]
    return found


def flipped() -> dict[str, bytes]:
    """Bytes changed in the middle."""
    found = {}
    for number, format in enumerate(4 * FORMATS):
        data = bytearray(encoded(picture(), format))
        for place in np.random.default_rng(number).integers(len(data) // 4, len(data), 12):
            data[place] ^= 0xFF
        found[f"flipped-{number}.{SUFFIX.get(format, format.lower())}"] = bytes(data)
    return found


@functools.cache
def bombs() -> dict[str, bytes]:
    """Small files that say they are large, or are."""
    rows = zlib.compress(bytes(20_001 * 6500), 9)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20), 9))
    return {
        "bomb-said.png": png(100_000, 100_000, zlib.compress(b"\0" * 100)),
        "bomb-real.png": png(20_000, 6500, rows),
        "bomb-text.png": png(1, 1, zlib.compress(b"\0\0"), 0, text),
        "bomb-most.png": png(2**31 - 1, 2**31 - 1, b""),
        "bomb.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0"
        + bytes(6)
        + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;",
        "bomb.bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, *[0] * 6),
        "bomb.ppm": b"P6 65535 65535 255\n",
        "bomb-digits.ppm": b"P6 " + b"9" * 5000 + b" 1 255\n",
        "bomb.tif": tiff_of(60_000, 60_000),
        "endless.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    }


def tiff_of(width: int, height: int) -> bytes:
    """A TIFF that says it is so large."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (279, 4, 8),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def odd() -> dict[str, bytes]:
    """Whole pictures of unusual kinds, which must come out as pictures."""
    found = {
        f"size-{w}x{h}.png": encoded(picture((w, h)), "PNG") for w, h in [(1, 1), (1, 3), (2000, 1), (3, 2)]
    }
    found["size-1x20000.png"] = encoded(picture((1, 20_000)), "PNG")
    found["cmyk.jpg"] = encoded(picture(mode="CMYK"), "JPEG")
    found["cmyk.tif"] = encoded(picture(mode="CMYK"), "TIFF")
    found["lab.tif"] = encoded(picture(mode="LAB"), "TIFF")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found["profile.png"] = encoded(picture(), "PNG", icc_profile=profile)
    found["profile-cut.jpg"] = encoded(picture(), "JPEG", icc_profile=profile[:200])
    found["profile-false.png"] = encoded(picture(), "PNG", icc_profile=b"no profile at all")
    found["palette.png"] = encoded(picture(mode="P"), "PNG", transparency=3)
    found["palette-alphas.png"] = encoded(picture(mode="P"), "PNG", transparency=bytes(range(256)))
    found["grey-alpha.png"] = encoded(picture(mode="LA"), "PNG")
    found["black-and-white.png"] = encoded(picture(mode="1"), "PNG")
    found["sixteen.png"] = encoded(Image.fromarray(np.full((30, 40), 30_000, np.uint16)), "PNG")
    found["thirty-two.tif"] = encoded(Image.fromarray(np.full((30, 40), 70_000, np.int32)), "TIFF")
    found["float.tif"] = encoded(Image.fromarray(np.full((30, 40), np.nan, np.float32)), "TIFF")
    frames = [picture((20, 20)).rotate(90 * turn) for turn in range(3)]
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        moving = dict(save_all=True, append_images=frames[1:])
        found[f"frames.{SUFFIX.get(format, format.lower())}"] = encoded(frames[0], format, **moving)
    for turn in range(10):
        exif = Image.Exif()
        exif[0x0112] = turn
        found[f"turned-{turn}.jpg"] = encoded(picture(), "JPEG", exif=exif)
    found["exif-false.jpg"] = encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    found["progressive.jpg"] = encoded(picture(), "JPEG", progressive=True)
    found["behind.png"] = encoded(picture(), "PNG") + b"<?php system($_GET['c']); ?>" * 50
    return found


def misnamed() -> dict[str, bytes]:
    """Wrong suffixes, names that hurt, and what is no picture."""
    whole, named = encoded(picture(), "PNG"), {}
    for name in (
        "a b.png",
        "a\nb.png",
        "\u202egnp.exe",
        "-o.png",
        "--model.png",
        "$(touch owned).png",
        "'\".png",
    ):
        named[name] = whole
    for name in (
        "%2e%2e%2fx.png",
        "..png",
        ".png",
        "a" * 240 + ".png",
        "nul",
        "é\u0301 \U0001f426.png",
        "<b>.png",
    ):
        named[name] = whole
    for format, suffix in (("JPEG", "png"), ("PNG", "jpg"), ("WEBP", "gif"), ("TIFF", "png"), ("GIF", "txt")):
        named[f"wrong-{format}.{suffix}"] = encoded(picture(), format)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    others = {
        "text.png": b"This is no picture.",
        "empty.png": b"",
        "zeros.png": bytes(1000),
        "drawing.svg": svg,
        "drawing.png": svg,
        "page.pdf": b"%PDF-1.7\n1 0 obj",
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "script.png": b"#!/bin/sh\ntouch owned\n",
        "archive.png": b"PK\x03\x04" + bytes(60),
        "pickle.png": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "heic.heic": b"\0\0\0\x18ftypheic" + bytes(100),
        "avif.avif": b"\0\0\0\x1cftypavif" + bytes(100),
    }
    return {**named, **others}


def everything() -> dict[str, bytes]:
    """By file name."""
    return {**cut(), **flipped(), **bombs(), **odd(), **misnamed()}


WHOLE = {*odd()} - {"thirty-two.tif", "float.tif"}  # of these a picture must come


def write(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in everything().items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


def command_line(folder: Path, model: str) -> list[str]:
    """What is wrong after `python -m translate image FOLDER`."""
    outside, out = folder.parent / "outside", folder.parent / "out"
    outside.mkdir()
    command = [
        sys.executable,
        "-m",
        "translate",
        "image",
        str(folder),
        "--model",
        model,
        "--output",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, cwd=ROOT)
    told = done.stdout + done.stderr
    wrong = ["the command line shows a traceback"] * ("Traceback" in told)
    wrong += [f"{path.name} was written" for path in ROOT.rglob("owned")]
    made = {path.stem for path in out.rglob("*") if path.is_file()}  # each in the format it came in
    wrong += [
        f"the command line made nothing of {name}"
        for name in WHOLE
        if not any(Path(name).stem in m for m in made)
    ]
    return wrong


def page(files: list[Path], address: str, model: str) -> list[str]:
    """What is wrong after each file was given to tab Translate."""
    from tests.visitor import Visitor

    visitor, wrong = Visitor(address, timeout=LONGEST).load(), []
    handler = visitor.handler("go", "click")
    for file in files:
        start = time.monotonic()
        try:
            given = visitor.upload(file)
        except Exception as error:  # a refused upload is an answer
            wrong += [f"{file.name!r}: {error}"] * (file.name in WHOLE)
            continue
        done = visitor.run(handler, visitor.values(handler, model=model, input=given))
        told = str(done["output"])
        picture = done["success"] and "file=" in str(done["output"]["data"][0])
        sentence = done["success"] and "problem" in told
        if not picture and (file.name in WHOLE or not sentence):
            wrong.append(f"{file.name!r}: {told[:200]}")
        if time.monotonic() - start > LONGEST / 2:
            wrong.append(f"{file.name!r} took {time.monotonic() - start:.0f} s")
    visitor.close()
    return wrong


def everything_below(folder: Path) -> set[Path]:
    """Files, but for what Python, git and the tests keep."""
    kept = {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"}
    return {path for path in folder.rglob("*") if not kept & set(path.parts)}


@contextlib.contextmanager
def open_page(log: Path):
    """The address of a page of its own, which writes to `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as file:
        command = [sys.executable, "app.py", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        while "is open" not in log.read_text():
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="only write the files")
    parser.add_argument("--model", default="photo-scream")
    parser.add_argument("--skip", choices=["page", "command-line"])
    options = parser.parse_args()
    if options.write:
        print(len(write(options.write)), "files")
        return
    before = everything_below(ROOT)
    with tempfile.TemporaryDirectory() as temporary:
        files, log = write(Path(temporary) / "in"), Path(temporary) / "log"
        wrong = []
        if options.skip != "page":
            start = time.monotonic()
            with open_page(log) as address:
                wrong += page(files, address, options.model)
            told = log.read_text()
            wrong += [f"the page's log has a traceback:\n{told[-3000:]}"] * ("Traceback" in told)
            print(
                f"page: {len(files)} files in {time.monotonic() - start:.0f} s, {len(wrong)} wrong",
                flush=True,
            )
        if options.skip != "command-line":
            start = time.monotonic()
            found = command_line(Path(temporary) / "in", options.model)
            print(f"command line: {time.monotonic() - start:.0f} s, {len(found)} wrong", flush=True)
            wrong += found
        left = {path.name for path in Path(temporary).iterdir()} - {"in", "out", "outside", "log"}
        wrong += [f"{name} was written beside the pictures" for name in left]
    wrong += [f"{path} was written" for path in everything_below(ROOT) - before]
    print(f"{len(files)} files;", "\n".join(wrong) or "each gave a picture or a sentence")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
