"""The commands of python -m translate. ONE FILE = ONE COMMAND: `image.py` holds the function `image`.

A command's parameters are its flags, its docstring their help (tyro reads both); parameters before a `/` are
given by place. A new file is a new command, in `--help` too. What is imported at the top of such a file needs
no torch, so that help and mistakes are answered at once. Here is what several commands share.
"""

import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import Doc

from translate.config import UserError

if TYPE_CHECKING:
    from translate.inference.pipeline import Pipeline

Model = Annotated[
    str, Doc("a name (see `python -m translate models`), a folder, or a Hugging Face Hub id (owner/name)")
]
Overwrite = Annotated[bool, Doc("replace files that exist")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    Doc("auto: bf16 where it is faster here, by measurement, and holds 40 dB"),
]
Device = Annotated[str | None, Doc("cpu, cuda, ...; default the accelerator if there is one")]


def names() -> list[str]:
    """The commands: the files beside this one."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def command(name: str) -> Callable[..., int | None]:
    """The function of a command."""
    return pkgutil.resolve_name(f"translate.commands.{name}:{name}")


def at_least(least: int, **values: int | None) -> None:
    """Raises UserError for a flag with a smaller value."""
    for name, value in values.items():
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} {value} is too small; the least is {least}")


def check_free(targets: Iterable[Path], overwrite: bool) -> None:
    """Raises UserError where a file to be written exists."""
    if not overwrite and (there := next((target for target in targets if target.exists()), None)):
        raise UserError(f"{there} exists; --overwrite replaces it")


def opened(
    model: str, device: str | None = None, precision: str = "auto", engine: str = "torch"
) -> "Pipeline":
    """A model, ready to use. Raises UserError where there is none of that name (before torch is imported)."""
    from translate.inference.catalog import locate

    folder = locate(model)

    from translate import machine

    machine.tune()
    from translate.inference.pipeline import Pipeline

    return Pipeline.from_pretrained(folder, device, precision, engine)
