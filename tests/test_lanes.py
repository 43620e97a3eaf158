"""Who computes when: short jobs beside long ones, cancelling, limits, and results that stay the same."""

import threading
import time

import pytest
import torch
from torch import nn

from translate.config import UserError
from translate.inference import tiling
from translate.ui import lanes as module
from translate.ui.lanes import Lanes, Stopped


class Slow(nn.Module):
    """A layer that takes a while and draws from torch's generator, as dropout does."""

    def __init__(self, seconds=0.01):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x + torch.rand(())


def network(layers, seconds=0.01):
    return nn.Sequential(*[Slow(seconds) for _ in range(layers)])


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    for name, value in (("SHORT", 0.1), ("SLICE", 0.05), ("EVERY", 0.02)):
        monkeypatch.setattr(module, name, value)


def started(work, *values):
    thread = threading.Thread(target=work, args=values)
    thread.start()
    return thread


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_freed_memory_is_given_back_when_nobody_works(monkeypatch):
    lanes, trimmed = Lanes(), []
    monkeypatch.setattr(module, "REST", 0.05)
    monkeypatch.setattr(module.machine, "trim", lambda: trimmed.append(lanes.begun))
    with lanes.job("a"):
        pass
    with lanes.job("b"):
        time.sleep(0.2)
        assert trimmed == [], "somebody works"
    until(lambda: trimmed)
    assert trimmed == [2]


def test_a_short_job_goes_first_and_the_long_ones_result_is_the_same():
    lanes, done, made = Lanes(), [], {}

    def work(name, layers, seed):
        with lanes.job(name, name, layers, guess=0.01):
            torch.manual_seed(seed)
            made[name] = network(layers)(torch.zeros(()))
        done.append(name)

    long = started(work, "long", 60, 1)
    until(lambda: lanes.computing and lanes.computing.session == "long" and lanes.computing.spent > 0.05)
    work("short", 3, 2)
    assert done == ["short"] and long.is_alive(), "it did not wait for the long one"
    work("short", 3, 2)
    long.join()
    for name, layers, seed in (("long", 60, 1), ("short", 3, 2)):
        torch.manual_seed(seed)
        assert torch.equal(made[name], network(layers, 0)(torch.zeros(()))), "each has its own random numbers"
    assert 0.008 < lanes.rates["long"] < 0.1, "seconds for a unit are learned, without the time it was paused"
    assert not (lanes.under_way or lanes.asking or lanes.waiting) and lanes.computing is None


def test_the_shortest_goes_first_but_none_waits_for_ever(monkeypatch):
    monkeypatch.setattr(module, "BEGUN", (1, 1))
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    monkeypatch.setattr(module, "SHORT", 10.0)
    lanes, done = Lanes(), []

    def work(name, amount):
        with lanes.job(name, name, amount, guess=0.001):
            done.append(name)

    with lanes.job("first"):
        late = started(work, "late", 50)
        until(lambda: len(lanes.waiting) == 1)
        time.sleep(0.25)
        others = [started(work, name, amount) for name, amount in (("longer", 20), ("shorter", 10))]
        until(lambda: len(lanes.waiting) == 3)
    for thread in (late, *others):
        thread.join()
    assert done == ["late", "shorter", "longer"]


def test_a_stream_of_short_jobs_does_not_starve_a_long_one():
    lanes, stop = Lanes(), threading.Event()

    def short():
        while not stop.is_set():
            with lanes.job("short", "short", 1, guess=0.01):
                network(2)(torch.zeros(()))

    def long():
        with lanes.job("long", "long", 30, guess=0.01):
            network(30)(torch.zeros(()))

    shorts = [started(short) for _ in range(3)]
    finished = started(long)
    finished.join(20)
    stop.set()
    assert not finished.is_alive()
    for each in shorts:
        each.join()


def test_cancel_stops_what_computes_and_what_waits():
    lanes, said = Lanes(), []

    def work(session):
        try:
            with lanes.job(session, "", 1000, guess=0.01):
                network(1000)(torch.zeros(()))
        except Stopped as stopped:
            said.append((session, str(stopped)))

    first, second = started(work, "a"), started(work, "b")
    until(lambda: lanes.computing is not None and len(lanes.waiting) == 1)
    start, waits = time.monotonic(), lanes.waiting[0].session
    assert lanes.stop(waits) == 1 and lanes.stop("nobody") == 0
    until(lambda: len(said) == 1)
    lanes.stop("a" if waits == "b" else "b")
    first.join(), second.join()
    assert time.monotonic() - start < 1 and sorted(said) == [("a", "Cancelled."), ("b", "Cancelled.")]
    with lanes.job("a"):
        pass  # a later job of the same session is not stopped


def test_limits_are_told():
    lanes, leave = Lanes(), threading.Event()

    def work():
        with lanes.job("me"):
            leave.wait()

    jobs = [started(work) for _ in range(module.MOST_EACH)]
    until(lambda: len(lanes.waiting) + len(lanes.under_way) == module.MOST_EACH)
    with pytest.raises(UserError, match="of your jobs are not finished yet"), lanes.job("me"):
        pass
    leave.set()
    for job in jobs:
        job.join()


def test_progress_is_told_while_waiting_and_computing():
    lanes, told = Lanes(), []
    with lanes.job("me", "kind", 30, lambda share, words: told.append((share, words)), guess=0.01) as job:
        network(30)(torch.zeros(()))
        with lanes.aside(job):
            assert lanes.computing is None
        assert lanes.computing is job
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and 0.2 < shares[-1] <= 0.9 and len(told) > 3


def test_two_pictures_in_tiles_through_one_network_do_not_mix_their_statistics():
    torch.manual_seed(0)
    shared = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.Conv2d(4, 3, 3, padding=1))
    pictures = [torch.rand(1, 3, 96, 96) * scale for scale in (0.1, 5.0)]

    shared.requires_grad_(False)

    def translated(x):
        with torch.no_grad():
            return tiling.tiled(shared, shared, x, stride=4, margin=4, core=32, group_pixels=5000)

    alone, lanes, made = [translated(x) for x in pictures], Lanes(), {}

    def work(number):
        with lanes.job(str(number), "", 1, guess=number):
            made[number] = translated(pictures[number])

    lock = threading.Lock()
    slowly = shared[0].register_forward_pre_hook(lambda *_: time.sleep(0.01) if not lock.locked() else None)
    threads = [started(work, 1), started(work, 0)]
    for thread in threads:
        thread.join()
    slowly.remove()
    for number, expected in enumerate(alone):
        assert torch.allclose(made[number], expected, atol=1e-6)
    assert not any("forward" in vars(layer) for layer in shared), "the network is as it was"
