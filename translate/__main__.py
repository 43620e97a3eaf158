"""The command line: python -m translate COMMAND, each a file of translate/commands. Torch comes late."""

import inspect
import sys
from collections.abc import Callable
from typing import Annotated

from translate import commands
from translate.cli import exit_code
from translate.config import UserError, nearest


def check_command(name: str) -> None:
    """Raises UserError, with the nearest name, for an unknown command."""
    if name not in commands.names():
        hint = nearest(name, commands.names()) or ";"
        raise UserError(f"unknown command {name!r}{hint} the commands are {', '.join(commands.names())}")


def check_flags(name: str, command: Callable, words: list[str]) -> None:
    """Raises UserError, with the nearest name, for a flag that the command has not."""
    known = ["help"]
    for parameter in inspect.signature(command).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            flag = parameter.name.replace("_", "-")
            known += [flag, *([f"no-{flag}"] if isinstance(parameter.default, bool) else [])]
    for word in words:
        flag = word.removeprefix("--").split("=")[0]
        if word.startswith("--") and flag.replace("_", "-") not in known:
            hint = nearest(flag, known).replace("mean ", "mean --") or f"; see `{name} --help`"
            raise UserError(f"unknown flag --{flag} for {name}{hint}")


def name_places(command: Callable) -> None:
    """Arguments given by place are shown in the help as RUN, or CAPTION... for several."""
    import tyro

    for parameter in inspect.signature(command).parameters.values():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            several = parameter.annotation is not str
            shown = parameter.name.removesuffix("s").upper() + "..." if several else parameter.name.upper()
            places = Annotated[parameter.annotation, tyro.conf.arg(metavar=shown)]
            command.__annotations__[parameter.name] = places


def main() -> int:
    words = sys.argv[1:] or ["--help"]
    name = next((word for word in words if not word.startswith("-")), None)
    if name is not None:
        check_command(name)
        check_flags(name, commands.command(name), words)
    offered = {each: commands.command(each) for each in commands.names()}
    for command in offered.values():
        name_places(command)

    import tyro

    return tyro.extras.subcommand_cli_from_dict(
        offered, prog="python -m translate", description="Use a trained model.", args=words
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
