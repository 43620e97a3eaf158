"""What the command line programs share: a user's mistake is one line, not a traceback."""

import sys
from collections.abc import Callable

from translate.config import UserError


def exit_code(run: Callable[[], int | None]) -> int:
    """Run a command: 0 (or its own code); a user's mistake is one line on stderr and 2; Ctrl-C is 130."""
    try:
        return run() or 0
    except KeyboardInterrupt as stopped:
        print(f"\n{stopped.args[0] if stopped.args else 'stopped'}", file=sys.stderr)
        return 130
    except ValueError as error:
        # DataError is the data sets' own class, which this package does not import.
        if not isinstance(error, UserError) and type(error).__name__ != "DataError":
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
