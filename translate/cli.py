"""What the command line programs share: a user's mistake is one line, not a traceback."""

import contextlib
import os
import sys
from collections.abc import Callable

from translate.config import UserError


def exit_code(run: Callable[[], int | None]) -> int:
    """Run a command: 0 (or its own code); a user's mistake is one line on stderr and 2; Ctrl-C is 130.

    Where nobody reads the output to its end (`--help | head`), 141, as the shell has it for a broken pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # β in an ASCII terminal is a question mark, not a failure
            stream.reconfigure(errors="replace")
    try:
        try:
            return run() or 0
        finally:
            sys.stdout.flush()  # here, not while Python exits, where a broken pipe could not be caught
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as stopped:
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            print(f"\n{stopped.args[0] if stopped.args else 'stopped'}", file=sys.stderr)
        return 130
    except ValueError as error:
        # DataError is the data sets' own class, which this package does not import.
        if not isinstance(error, UserError) and type(error).__name__ != "DataError":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
