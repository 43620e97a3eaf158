"""One training at a time in a folder: a lock that ends with its process, however that ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from translate.config import UserError

try:
    import fcntl
except ImportError:  # Windows has another call for it; there a folder is not locked
    fcntl = None

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Raises UserError, with host and process, where another training holds the folder.

    The kernel gives a lock back when its process ends, so nothing stale is ever in the way. Where the file
    system cannot lock, nothing is locked. Advisory: it stops trainings, not other programs.
    """
    file = acquire(folder / NAME) if fcntl else None
    try:
        if file:
            with contextlib.suppress(OSError):  # a full disk is told of when there is more to write
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                file.flush()
        yield
    finally:
        if file:
            with contextlib.suppress(OSError):  # a folder made read-only meanwhile
                (folder / NAME).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                file.close()


def acquire(path: Path) -> TextIO | None:
    """The open and locked file; None where the file system has no locks."""
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise UserError(
                f"{path.parent} is being trained by {holder}; wait for it, stop it, or choose another "
                "--output"
            ) from None
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            return None
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()  # whoever had it took the file away just now: it locks nothing any more
