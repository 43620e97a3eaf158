"""What one process learns, all must know: signals and failures are shared, so that none waits for ever."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import torch

FIRST = 60  # seconds


@contextlib.contextmanager
def barrier(accelerator) -> Iterator[None]:
    """A block that may fail in one process: then all leave it. Also a barrier.

    The process that failed raises what happened there; the others exit quietly with code 2.
    """
    problem: Exception | None = None
    try:
        yield
    except Exception as error:
        problem = error
    failed = problem is not None
    if accelerator.num_processes > 1:
        failed = bool(accelerator.reduce(torch.tensor(float(failed), device=accelerator.device), "sum"))
    if problem is not None:
        raise problem
    if failed:
        time.sleep(3)  # launchers end all processes at the first exit: let the one that failed speak first
        raise SystemExit(2)


@contextlib.contextmanager
def stoppable(accelerator, seconds: float) -> Iterator[Callable[[], tuple[bool, bool]]]:
    """Yields a function that says, in all processes alike: whether Ctrl-C or SIGTERM came to one of them, and
    whether it is time again in one of them: FIRST seconds after the start, then whenever the time since the
    start has doubled, at the latest after `seconds`.
    """
    asked: list[float] = []
    start = last = time.monotonic()

    def note(*_) -> None:
        # A second Ctrl-C does not wait for the update to end. (Before that, a launcher repeats the first.)
        if asked and time.monotonic() - asked[0] > 2:
            raise KeyboardInterrupt("stopped at once; the last complete state is kept")
        asked.append(time.monotonic())

    def ask() -> tuple[bool, bool]:
        nonlocal last
        pause = min(seconds, max(FIRST, last - start))  # a kill in the first minutes loses half of them
        stop, late = bool(asked), time.monotonic() - last >= pause
        if accelerator.num_processes > 1:
            both = torch.tensor([float(stop), float(late)], device=accelerator.device)
            stop, late = (accelerator.reduce(both, "sum") > 0).tolist()
        if late:
            last = time.monotonic()
        return stop, late

    before = {}
    with contextlib.suppress(ValueError):  # not the main thread: signals stay as they are
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ask
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def gathered(accelerator, values: list[str]) -> list[str]:
    """The lists of all processes, one after the other."""
    if accelerator.num_processes == 1:
        return values
    from accelerate.utils import gather_object

    return gather_object(values)
