"""translate.training.processes: when a run saves."""

from accelerate import Accelerator

from translate.training import processes


def test_the_first_minutes_are_saved_more_often(monkeypatch):
    """After 1, 2, 4 and 8 minutes, then every ten: a run killed early has something to resume from."""
    now, times = [0.0], []
    monkeypatch.setattr(processes.time, "monotonic", lambda: now[0])
    with processes.stoppable(Accelerator(), 600) as ask:
        while now[0] < 1800:
            now[0] += 1
            if ask() == (False, True):
                times.append(round(now[0] / 60))
    assert times == [1, 2, 4, 8, 16, 26]
