"""python -m translate data."""

import io
from pathlib import Path

from translate.config import UserError
from translate.inference.files import write


def data(path: str, /, *, a: str | None = None, b: str | None = None, output: str | None = None) -> None:
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
        file = io.BytesIO()
        found.contact_sheet.save(file, "PNG")
        write(Path(output), file.getvalue())
        print(f"contact sheet: {output}")
