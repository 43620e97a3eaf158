"""Real `train.py` processes that start fast, for tests that kill them."""

import ctypes
import json
import os
import resource
import runpy
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def without_root_powers() -> None:
    """Let file permissions bind this process even as root (CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH off)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (
        (ctypes.c_uint32 * 2)(0x20080522, 0),
        (ctypes.c_uint32 * 6)(),
    )  # <linux/capability.h>, version 3
    assert libc.capget(header, data) == 0
    data[0] &= ~0b110
    assert libc.capset(header, data) == 0


def serve() -> None:
    """Import once, then fork a child per line of stdin: {"args", "log", "largest_file", "bound"}."""
    import accelerate.tracking  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch._dynamo  # noqa: F401 (optimizers import it)
    import tqdm  # noqa: F401
    import tyro  # noqa: F401

    import datasets.paired
    import datasets.unpaired  # noqa: F401
    from models.translation import cyclegan, pix2pix  # noqa: F401
    from translate.training import loop  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        if (child := os.fork()) == 0:
            code = 1
            try:
                log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(log, 1), os.dup2(log, 2)
                if job["largest_file"]:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"], resource.RLIM_INFINITY))
                if job["bound"]:
                    without_root_powers()
                sys.argv = ["train.py", *job["args"]]
                runpy.run_path("train.py", run_name="__main__")
            except SystemExit as stopped:
                code = stopped.code or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


class Trainer:
    """`train.py` in a real process of its own, forked from one that has imported everything."""

    def __init__(self, logs: Path):
        command = [sys.executable, "-c", "from tests.children import serve; serve()"]
        self.server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.log = logs / "output.txt"

    def start(self, *args, largest_file: int = 0, bound: bool = False) -> int:
        """Begin `train.py ARGS`; returns the process id."""
        job = dict(args=[str(a) for a in args], log=str(self.log), largest_file=largest_file, bound=bound)
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> tuple[int, str]:
        """(exit code, or minus the signal that killed it; what it printed)"""
        code = os.waitstatus_to_exitcode(int(self.server.stdout.readline()))
        return code, self.log.read_text()

    def run(self, *args, **limits) -> tuple[int, str]:
        self.start(*args, **limits)
        return self.wait()

    def stop_when(self, condition: Callable[[], bool], number: int, *args, **limits) -> tuple[int, str]:
        """Begin, send signal `number` as soon as `condition()` holds, and wait."""
        process = self.start(*args, **limits)
        self.until(condition)
        os.kill(process, number)
        return self.wait()

    def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait, closely, for what the process should do; where it does not, show what it printed."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.log.read_text()

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()


def weights(folder: Path) -> dict[str, bytes]:
    """The bytes of a run's model and of its newest state."""
    state = max(folder.glob("state-*"))
    return {
        path.name: path.read_bytes() for path in (folder / "weights.safetensors", state / "state.safetensors")
    }
