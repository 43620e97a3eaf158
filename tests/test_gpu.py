"""benchmarks/gpu.py at a test's sizes, on the CPU: its parts run and say what they measured."""

import re

from benchmarks import gpu

TINY = gpu.Settings(tiny=True, turns=1)


def test_batches_loader_and_copies(capsys):
    for part in (gpu.batches, gpu.loader, gpu.copies):
        part(TINY, lambda: False)
    told = capsys.readouterr().out
    assert len(re.findall(r"^\| [24] \| \d+ \| 0\.00 \|$", told, re.M)) == 2
    assert len(re.findall(r"^\| [12] \| \d+ \|$", told, re.M)) == 2
    assert re.search(r"0 copies to the host, 0 waits, [\d.]+ numbers read", told)


def test_each_side_of_the_peers_takes_a_step(monkeypatch):
    monkeypatch.setattr("torch.set_default_device", lambda device: None)  # it is the CPU, for all tests
    for way in ("published", "channels_last", "channels first"):
        assert 0 < gpu.step_alone("VAE 784-400-20, batch 128", way, 1, True)["seconds"] < 60


def test_a_part_that_fails_is_a_cell_and_no_time_left_ends_a_table(capsys):
    assert gpu.alone(["step", "no such case", "published"], TINY).startswith("failed: KeyError")
    gpu.peers(TINY, lambda: True)
    assert "VAE" not in capsys.readouterr().out
