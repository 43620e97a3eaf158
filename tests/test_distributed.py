"""Two real processes (torchrun, gloo) learn what one process learns from batches twice the size."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from tests.children import ROOT, weights
from translate.training import checkpoint

HANGS = 400  # seconds after which two processes are said to wait for each other for ever


def launch(*args, **environment) -> subprocess.Popen:
    """`torchrun --nproc_per_node 2 train.py ARGS`, in a session of its own like a terminal's."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["train.py", *map(str, args)]
    variables = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        command, cwd=ROOT, env=variables, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def difference(one, two) -> float:
    """The largest difference between two states' weights, averages and pools (of pictures: a tenth of it)."""
    states = [load_file(folder / "state.safetensors") for folder in (one, two)]
    assert states[0].keys() == states[1].keys()
    return max(
        (value.float() - states[1][name].float()).abs().max().item() * (0.1 if ".pool_" in name else 1)
        for name, value in states[0].items()
        if name.startswith("task.")
    )


def test_pix2pix_with_hugging_face_datasets_installed(trainer, pictures, tmp_path):
    """Its package of the same name lies on the path, as if installed; ours must be the one that is used."""
    package = tmp_path / "site" / "datasets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the wrong datasets was imported')\n")
    metadata = tmp_path / "site" / "datasets-4.4.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: datasets\nVersion: 4.4.0\n")
    flags = f"--task pix2pix --data {pictures}/pairs --size 16 --load-size 20 --generator resnet6"
    flags += " --channels 4 --patch 16 --steps 3 --mixed-precision no --preview-every 3 --log-every 1"
    flags = flags.split()
    one, two = tmp_path / "one", tmp_path / "two"
    both = launch(*flags, "--batch-size", 2, "--output", two, PYTHONPATH=str(tmp_path / "site"))
    code, printed = trainer.run(*flags, "--batch-size", 4, "--output", one)
    assert code == 0, printed
    printed, _ = both.communicate(timeout=HANGS)
    assert both.returncode == 0, printed
    assert printed.count("done: ") == 1  # one process speaks and writes
    assert difference(one / "state-000003", two / "state-000003") < 1e-6
    lines = [[json.loads(line) for line in (f / "logs.jsonl").read_text().splitlines()] for f in (one, two)]
    assert [line["step"] for line in lines[1]] == [1, 2, 3] and lines[1][-1]["images"] == 12
    for ours, theirs in zip(*lines, strict=True):
        for name in ("L1", "G_fool", "D"):
            torch.testing.assert_close(ours[name], theirs[name], atol=2e-5, rtol=0)
    assert [path.name for path in (two / "previews").iterdir()] == ["step-00000003.png"]


def test_cyclegan_and_its_pool_stopped_by_ctrl_c_and_resumed(trainer, tiny_cyclegan, tmp_path):
    """Two updates are compared with one process: later, a rounding error that flips a sign (of a pixel's L1
    error, or of one of Adam's first, normalised steps) grows, in one process as in two. The pool is full.
    """
    at = tiny_cyclegan.index("--batch-size")
    flags = [*tiny_cyclegan[:at], *tiny_cyclegan[at + 2 :]]
    flags += "--steps 40 --log-every 1 --save-every 2 --keep-states 100".split()
    one, two, stopped = tmp_path / "one", tmp_path / "two", tmp_path / "stopped"
    both = launch(*flags, "--batch-size", 2, "--output", two)
    code, printed = trainer.run(*flags, "--batch-size", 4, "--output", one)
    assert code == 0, printed
    printed, _ = both.communicate(timeout=HANGS)
    assert both.returncode == 0, printed
    pushed = load_file(two / "state-000002" / "state.safetensors")["task.pool_X.pushed"]
    assert pushed == 8 and difference(one / "state-000002", two / "state-000002") < 1e-6

    both = launch(*flags, "--batch-size", 2, "--output", stopped)
    log, until = stopped / "logs.jsonl", time.monotonic() + 100
    while not (log.exists() and '"step": 4' in log.read_text()):
        assert both.poll() is None and time.monotonic() < until, both.communicate()[0]
        time.sleep(0.002)
    os.killpg(both.pid, signal.SIGINT)
    printed, _ = both.communicate(timeout=HANGS)
    assert both.returncode != 0
    last = checkpoint.states(stopped)[-1][0]
    assert 4 <= last < 40
    assert printed.count(f"stopped at update {last}; state saved in {stopped}") == 1, printed
    assert not list(stopped.glob(".*"))

    both = launch(*flags, "--batch-size", 2, "--output", stopped)
    printed, _ = both.communicate(timeout=HANGS)
    assert both.returncode == 0, printed
    assert weights(stopped) == weights(two)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with GPUs, Accelerate knows of all processes")
def test_two_processes_that_do_not_know_of_each_other_are_refused(tiny_cyclegan, tmp_path):
    """torchrun without GPUs and without ACCELERATE_USE_CPU: each would overwrite the other's run."""
    both = launch(*tiny_cyclegan, "--output", tmp_path / "run", ACCELERATE_USE_CPU="false")
    printed, _ = both.communicate(timeout=HANGS)
    assert both.returncode != 0 and "error: 2 processes were started" in printed, printed
    assert not (tmp_path / "run").exists()
