"""Whatever stops a run, the same command again ends with the same bytes as an uninterrupted run."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.children import weights
from translate.training import checkpoint

STEPS = 60


@pytest.fixture(scope="module")
def uninterrupted(trainer, pictures, tmp_path_factory):
    """Bytes that every interrupted run must end with: {steps: {file: bytes}}."""
    known = {}

    def run(flags, steps):
        if steps not in known:
            folder = tmp_path_factory.mktemp("uninterrupted")
            code, printed = trainer.run(*flags, "--steps", steps, "--output", folder)
            assert code == 0, printed
            known[steps] = weights(folder)
        return known[steps]

    return run


def newest(folder) -> int:
    return max((t for t, _ in checkpoint.states(folder)), default=0)


def kill(trainer, flags, folder, updates: int, delay: float, while_writing: str | None) -> None:
    """Begin, let so many updates pass, and some more seconds, and perhaps a file appear; then SIGKILL."""
    goal = newest(folder) + updates
    process = trainer.start(*flags)
    trainer.until(lambda: newest(folder) >= goal)
    moment = time.monotonic() + delay
    trainer.until(
        lambda: time.monotonic() >= moment and (not while_writing or any(folder.glob(while_writing)))
    )
    os.kill(process, signal.SIGKILL)
    code, printed = trainer.wait()
    assert code == -signal.SIGKILL, f"finished too early:\n{printed}"


def test_killed_ten_times(trainer, tiny_cyclegan, uninterrupted, tmp_path):
    """SIGKILL at random moments, of which some must fall into writing the model and some into the state."""
    flags = [*tiny_cyclegan, "--steps", STEPS, "--save-every", 1, "--output", tmp_path]
    chance, reached, torn = random.Random(0), set(), {".weights*": 0, ".state-*.partial": 0}
    for number in range(10):
        while_writing = [None, ".weights*", ".state-*.partial"][number % 3]
        kill(trainer, flags, tmp_path, chance.randint(1, 2), chance.uniform(0, 0.015), while_writing)
        torn = {name: count + any(tmp_path.glob(name)) for name, count in torn.items()}
        reached.add(newest(tmp_path))
        model = json.loads((tmp_path / "config.json").read_text())
        assert model["steps"] >= newest(tmp_path), "a state without its model"
    code, printed = trainer.run(*flags)
    assert code == 0, printed
    assert all(torn.values()) and len(reached) > 5, (torn, reached)
    assert weights(tmp_path) == uninterrupted(tiny_cyclegan, STEPS)
    assert [t for t, _ in checkpoint.states(tmp_path)] == [STEPS - 1, STEPS]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".", "state"))) == [
        f"state-{STEPS - 1:06d}",
        f"state-{STEPS:06d}",
    ]
    lines = (tmp_path / "logs.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [50, STEPS]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_say_so(trainer, tiny_cyclegan, uninterrupted, tmp_path, number):
    flags = [*tiny_cyclegan, "--steps", STEPS, "--log-every", 1, "--output", tmp_path]
    log = tmp_path / "logs.jsonl"
    code, printed = trainer.stop_when(lambda: log.exists() and '"step": 3' in log.read_text(), number, *flags)
    assert code == 130
    (last,) = checkpoint.states(tmp_path)
    assert f"stopped at update {last[0]}; state saved in {tmp_path}; the same command again" in printed
    assert "Traceback" not in printed and 3 <= last[0] < STEPS
    code, printed = trainer.run(*flags)
    assert code == 0, printed
    assert weights(tmp_path) == uninterrupted(tiny_cyclegan, STEPS)


def size_of(folder, name):
    return next(folder.rglob(name)).stat().st_size


@pytest.mark.parametrize("full", ["in the weights", "in the state", "disk"])
def test_full_disk(trainer, tiny_cyclegan, uninterrupted, tmp_path, full):
    """No room for the second save: one line names the first; with room again the run ends the same."""
    folder = tmp_path / "run"
    folder.mkdir()
    if full == "disk":
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("only root can mount a small disk")
    try:
        flags = [*tiny_cyclegan, "--steps", 8, "--save-every", 2, "--output", folder]
        log = folder / "logs.jsonl"
        code, printed = trainer.stop_when(lambda: log.exists(), signal.SIGINT, *flags, "--log-every", 2)
        assert code == 130, printed
        last = checkpoint.states(folder)[-1][1]
        before = weights(folder)
        limit = 0
        if full == "disk":
            with pytest.raises(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))
        else:
            state = size_of(folder, "state.safetensors")
            limit = size_of(folder, "weights.safetensors") // 2 if full == "in the weights" else state // 2
        code, printed = trainer.run(*flags, largest_file=limit)
        assert code == 2 and "Traceback" not in printed, printed
        told = [line for line in printed.splitlines() if line.startswith("error:")]
        assert len(told) == 1 and f"the last good state is {last}" in told[0], printed
        assert ("No space left" in told[0]) if full == "disk" else ("File too large" in told[0]), told
        assert weights(folder)["state.safetensors"] == before["state.safetensors"]
        assert not list(folder.glob(".*"))
        (folder / "ballast").unlink(missing_ok=True)
        code, printed = trainer.run(*flags)
        assert code == 0, printed
        assert weights(folder) == uninterrupted(tiny_cyclegan, 8)
    finally:
        if full == "disk":
            subprocess.run(["umount", folder], check=True)


def test_read_only_folder(trainer, tiny_cyclegan, uninterrupted, tmp_path):
    """Made read-only while a run writes to it, and before a run starts."""
    folder = tmp_path / "run"
    flags = [*tiny_cyclegan, "--steps", STEPS, "--save-every", 2, "--output", folder]
    trainer.start(*flags, bound=True)
    trainer.until(lambda: checkpoint.states(folder))
    folder.chmod(0o555)
    try:
        code, printed = trainer.wait()
        last = checkpoint.states(folder)[-1][1]
        assert code == 2 and "Traceback" not in printed, printed
        assert f"cannot write to {folder}: Permission denied; the last good state is {last}" in printed
        code, printed = trainer.run(*flags, bound=True)
        assert code == 2 and "Traceback" not in printed, printed
        assert printed.startswith(
            f"error: --output {folder} cannot be written: Permission denied; the last good"
        )
        assert len(printed.splitlines()) == 1
    finally:
        folder.chmod(0o755)
    code, printed = trainer.run(*flags, bound=True)
    assert code == 0, printed
    assert weights(folder) == uninterrupted(tiny_cyclegan, STEPS)


def test_a_damaged_state_is_named_and_the_one_before_serves(trainer, tiny_cyclegan, uninterrupted, tmp_path):
    flags = [*tiny_cyclegan, "--save-every", 3, "--output", tmp_path]
    assert trainer.run(*flags, "--steps", 8, "--log-every", 100)[0] == 0
    newest = checkpoint.states(tmp_path)[-1][1]
    file = newest / "state.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    code, printed = trainer.run(*flags, "--steps", 8)
    assert code == 2 and f"error: {newest} is damaged" in printed
    shutil.rmtree(newest)
    assert trainer.run(*flags, "--steps", 8)[0] == 0
    assert weights(tmp_path) == uninterrupted(tiny_cyclegan, 8)


def test_projected_discriminators_go_on_as_if_never_stopped(trainer, tiny_cyclegan, tmp_path):
    """Their spectral norms, and where they look from, are kept; what they look through is not."""
    flags = [*tiny_cyclegan, "--size", "32", "--load-size", "36", "--discriminator", "projected"]
    flags += ["--save-every", 2, "--steps", 4, "--output", tmp_path]
    assert trainer.run(*flags)[0] == 0
    once, (_, newest) = weights(tmp_path), checkpoint.states(tmp_path)[-1]
    before = (newest / "state.safetensors").read_bytes()
    shutil.rmtree(newest)
    assert trainer.run(*flags)[0] == 0
    assert weights(tmp_path) == once
    assert (newest / "state.safetensors").read_bytes() == before
