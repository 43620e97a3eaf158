"""python -m translate doctor."""

import sys
from pathlib import Path

from translate.config import UserError


def doctor(run: str, /, *, silence: tuple[str, ...] = (), data: str | None = None) -> None:
    """Say what went wrong in a training: alarms written down, what its losses show, what its pictures show.

    Args:
        run: the training's folder (its --output)
        silence: names of alarms not to speak of
        data: what it was trained on, where that has moved
    """
    from translate import doctor as doctors
    from translate.doctor import Alarm
    from translate.symptoms import NAMES

    doctors.check_names(silence)
    folder = Path(run)
    found = [*doctors.alarms(folder), *doctors.past(folder)]
    looked = "its losses and gradient norms"
    try:
        found += pictured(folder, data)
        looked += ", and pictures it makes now"
    except UserError as error:
        print(f"note: its pictures were not looked at: {error}", file=sys.stderr)
    first: dict[str, Alarm] = {}
    for alarm in sorted(found, key=lambda alarm: alarm.step):
        first.setdefault(alarm.name, alarm)
    shown = [alarm for name, alarm in first.items() if name not in silence]
    for alarm in shown:
        print(alarm)
    if not shown:
        print(f"{folder}: nothing to worry about in {looked} ({len(NAMES)} signs looked for)")


def pictured(folder: Path, data: str | None) -> list:
    """What pictures of a run's newest weights show. Raises UserError where model or data cannot be had."""
    import datasets
    from translate.doctor import Doctor
    from translate.metrics.command import plain
    from translate.training import checkpoint
    from translate.vitals import Vitals

    task = checkpoint.read_model(folder)
    steps, where = checkpoint.read_config(folder)[3].get("steps", 0), plain(datasets.options_of(task.config))
    place = data or task.config.data
    parts = (
        datasets.load(task.data, place, size=task.config.size, split=part, **where)
        for part in ("train", "test")
    )
    seen = Doctor(task, *parts)
    if steps <= task.begins:
        raise UserError(f"not all of its networks learned, which would begin at update {task.begins:,}")
    v = Vitals(steps, samples=seen.data_range() | seen.sampled(task), begins=task.begins)
    return [alarm for _ in range(3) for alarm in seen.examine(v)]  # some signs want two looks after a first
