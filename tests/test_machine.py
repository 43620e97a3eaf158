"""translate.machine: what a process settles before it computes."""

import os
import platform
import subprocess
import sys

import psutil
import pytest
import torch

from tests.children import ROOT

TOLD = "from translate import machine; print('threads', machine.use_cores())"


def threads(tmp_path, *command, **variables) -> int:
    """What a script started by `command` computes with."""
    (tmp_path / "told.py").write_text(TOLD)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "ACCELERATE_"))}
    environment |= {"PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run(
        [*command, str(tmp_path / "told.py")], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(torch.accelerator.is_available(), reason="accelerate's one thread is right beside a GPU")
@pytest.mark.skipif((psutil.cpu_count(logical=False) or 1) < 2, reason="needs two cores")
def test_accelerate_launch_uses_all_cores(tmp_path):
    """Its own default is one thread, which made the README's first command twice as slow."""
    launch = [sys.executable, "-m", "accelerate.commands.launch"]
    assert threads(tmp_path, *launch) == threads(tmp_path, sys.executable) > 1
    assert threads(tmp_path, sys.executable, OMP_NUM_THREADS="1") == 1, "as asked"
    several = dict(ACCELERATE_MIXED_PRECISION="no", WORLD_SIZE="2", OMP_NUM_THREADS="1")
    assert threads(tmp_path, sys.executable, **several) == 1, "the launcher shares the cores out"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_trim_gives_back_what_tune_keeps():
    script = """
import psutil, torch
from translate import machine
def used():
    return psutil.Process().memory_info().rss >> 20
machine.tune()
before = used()
large = [torch.ones(1 << 20) for _ in range(100)]
last = torch.ones(9)
del large
kept = used()
machine.trim()
print(kept - before, used() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept, left = map(int, done.stdout.split())
    assert kept > 300 and left < 60, "MiB"
