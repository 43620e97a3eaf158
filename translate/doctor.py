"""The doctor: watches a training, and says in words what is going wrong, why, and what to change.

Every `EVERY` updates it looks at what the step computed anyway: losses, gradient norms, D's answers. Every
`SAMPLE` updates, in the beginning every `EARLY`, it makes a few pictures and compares them with held-out
ones. Signs and thresholds are in `symptoms.py`. It never touches weights, optimizers or the random state of
the training.
"""

import contextlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from translate import inputs
from translate.config import UserError, nearest
from translate.symptoms import NAMES, SIGNS
from translate.task import Task
from translate.training.observers import Observer, Seen
from translate.training.stream import to_device
from translate.vitals import (
    BLIND,
    DeadUnits,
    Ear,
    Evidence,
    Vitals,
    correlation,
    depends,
    grid_over,
    hidden,
    mean,
    moment_distance,
    moved,
    reading,
    remembered,
    samples,
    small,
    spread,
    thumbs,
    undisturbed,
)  # fmt: skip

EVERY, SAMPLE = 20, 100  # updates between two checks, between two with samples
EARLY, BEGINNING = 60, 200  # between two with samples so long: some signs want three looks
NORM = "gradient_"  # before the names of gradient norms in `logs.jsonl`
COUNT, POOL = 32, 256  # pictures made at most; training pictures that copies are looked for among


@dataclass(frozen=True)
class Alarm:
    """name: of the sign; evidence: numbers; remedy: flags to try."""

    step: int
    name: str
    evidence: Evidence
    why: str
    remedy: str

    def text(self) -> str:
        numbers = ", ".join(f"{what} {value:.3g}" for what, value in self.evidence.items())
        return f"at update {self.step:,}: {self.why} ({numbers}). Try: {self.remedy}"

    def __str__(self) -> str:
        return f"{self.name} {self.text()}"


class Doctor(Observer):
    """An observer of the training loop. Each alarm is given once, until its sign has gone.

    train, held_out: data sets of the task's kind. silenced: names of signs not to speak of. Raises UserError
    for a name that is none.
    """

    every = EVERY

    def __init__(self, task: Task, train, held_out=None, silenced: tuple[str, ...] = ()):
        check_names(silenced)
        self.silenced, self.history, self.alarms = set(silenced), [], []
        self.held: dict[str, list[bool]] = {sign.name: [] for sign in SIGNS}
        self.raised: set[str] = set()
        self.separate = held_out is not None and held_out.info.get("split") == "test"
        count = min(COUNT, max(8, 2 * task.config.batch_size))  # so that looking takes little beside learning
        self.train = samples(train, count)
        self.held_out = samples(held_out if self.separate else train, count)
        self.pictures = all(self.train[key].ndim == 4 for key in task.sides())  # not points, not films
        self.target = task.sides()[-1]
        self.pool = small(train, self.target, POOL) if self.pictures and self.separate else None
        self.before = remembered(task)
        self.away, self.ear = False, None
        game = getattr(task, "objective", None)
        if hasattr(game, "discriminate"):
            self.ear = task.objective = Ear(game, alone=not {"text", "label"} & {*task.takes})

    def __call__(self, seen: Seen) -> None:
        """Say new alarms, and write them to `logs.jsonl`."""
        from tqdm import tqdm

        if self.away or seen.t % EVERY:  # or the last update
            return
        try:
            device = next(seen.task.parameters()).device.type
            with torch.autocast(device, seen.precision, enabled=seen.precision is not None):
                found = self.visit(seen.t, seen.logs, seen.norms, seen.task)
        except Exception as error:  # whoever watches must not end what is watched
            self.away = True
            what = f"{type(error).__name__}: {error}"
            tqdm.write(f"note: the doctor has left, the training goes on ({what})", file=sys.stderr)
            return
        for alarm in found:
            tqdm.write(str(alarm), file=sys.stderr)
            with (seen.folder / "logs.jsonl").open("a") as file:
                file.write(json.dumps(line(alarm)) + "\n")

    def visit(self, t: int, logs: dict[str, float], norms: dict[str, float], task: Task) -> list[Alarm]:
        """New alarms after `t` updates, with the newest mean losses and gradient norms."""
        v = Vitals(t, dict(logs), dict(norms), moved(self.before, task, EVERY), begins=task.begins)
        self.before = remembered(task)
        if not self.history:
            v.samples = self.data_range()
        if self.ear is not None and self.ear.losses:
            ear = self.ear
            v.game, v.rank, v.fool, v.pull = ear.name, mean(ear.ranks), mean(ear.fools), mean(ear.pulls)
            if ear.name in BLIND:
                v.loss_D = mean(ear.losses) / BLIND[ear.name]
            if ear.made is not None and ear.made.ndim == ear.real.ndim == 4:
                v.moments = moment_distance(ear.made, ear.real)
        if t % (EARLY if t <= BEGINNING else SAMPLE) == 0 and v.age > 0:
            v.samples |= self.sampled(task, frozenset(name for name, share in v.moved.items() if share > 0))
        if self.ear is not None:
            self.ear.forget()
        return self.examine(v)

    def examine(self, v: Vitals) -> list[Alarm]:
        """The alarms that these measures raise."""
        found = []
        for sign in SIGNS:
            evidence = sign.seen(v, self.history)
            only_sampled = sign.times == 2  # signs of samples are looked for where there are some
            if evidence is None and only_sampled and not v.samples:
                continue
            held = self.held[sign.name] = [*self.held[sign.name], evidence is not None][-4:]
            if evidence is None:
                if not any(held):
                    self.raised.discard(sign.name)
            elif sum(held) >= sign.times and sign.name not in self.raised:
                self.raised.add(sign.name)
                if sign.name not in self.silenced:
                    found.append(Alarm(v.t, sign.name, evidence, sign.why, sign.remedy))
        self.history.append(v)
        self.alarms += found
        return found

    def data_range(self) -> Evidence:
        """What values the pictures have that it learns from."""
        if not self.pictures:
            return {}
        source = self.train[self.target].float()
        facts = {"least": source.min(), "most": source.max(), "deviation": source.std()}
        return {f"data's {name}": float(value) for name, value in facts.items()}

    # --- samples ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sampled(self, task: Task, learns: frozenset[str] = frozenset()) -> Evidence:
        """What pictures made for the purpose show; weights, modes and random state are as before.

        learns: names of the networks that do; a D that does not is not asked.
        """
        device = next(task.parameters()).device
        batch = to_device(self.held_out, device)
        if not self.pictures:
            return {}
        source, target = (batch[key].float() for key in task.sides())
        with undisturbed(task), torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            values = inputs.from_batch(task, batch)
            dead = DeadUnits(task)
            made = task(**values).float()
            found = dead.found() | self.compared(made, target)
            if "image" in task.takes and made.shape == source.shape:
                found["change of the input"] = float((made - source).abs().mean())
                found["correlation with the input"] = correlation(made, source)
                if task.data == "paired":
                    found["the truth's correlation"] = correlation(target, source)
                    if float((target - source).abs().mean()) < 0.1:
                        del found["change of the input"]
            if len(task.directions) > 1:
                found |= hidden(task, source, made)
            if "noise" in task.takes:
                found |= self.copies(made, target)
                if len(task.takes) > 1:
                    found |= depends(task, values, made)
            if "text" in task.takes:
                found |= reading(task, learns, values["text"], target, made)
            if self.separate and self.ear is not None and self.ear.D is not None:
                found |= self.gap(target, task)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def compared(self, made: Tensor, real: Tensor) -> Evidence:
        if made.shape[1] != real.shape[1]:
            return {}
        means = (made.mean((0, 2, 3)) - real.mean((0, 2, 3))).abs().max()
        return {
            "spread over the data's": spread(made) / max(spread(real), 1e-3),
            "shift of a mean colour": float(means),
            "power of period two over the data's": grid_over(made, real),
        }

    def copies(self, made: Tensor, real: Tensor) -> Evidence:
        """How near made pictures lie to training pictures, against held-out ones."""
        if self.pool is None or made.shape[1:] != real.shape[1:]:
            return {}
        pool = self.pool.to(made.device)
        ours, theirs = (torch.cdist(thumbs(x, 16).flatten(1), pool).min(1).values for x in (made, real))
        return {
            "distance to training pictures over held-out ones'": float(
                ours.median() / theirs.median().clamp(min=1e-6)
            )
        }

    def gap(self, held_out: Tensor, task: Task) -> Evidence:
        """(E D(train) - E D(held out)) / (E D(train) - E D(made)): 0 of a D that generalises, 1 at worst."""
        batch = len(self.ear.made)
        if self.ear.real.shape[1:] != held_out.shape[1:]:
            return {}
        train = self.train[task.sides()[-1]].to(held_out.device).float()
        own, other, made = (
            float(self.ear.D(x[:batch]).float().mean()) for x in (train, held_out, self.ear.made)
        )
        width = own - made
        return (
            {"D's gap between training and held-out pictures": (own - other) / width} if width > 0.2 else {}
        )


def check_names(silenced: tuple[str, ...]) -> None:
    """Raises UserError, with the nearest name, for a name that is no alarm's."""
    for name in silenced:
        if name not in NAMES:
            hint = nearest(name, NAMES) or ";"
            raise UserError(f"--silence {name}: there is no such alarm{hint} there are {', '.join(NAMES)}")


# --- finished runs --------------------------------------------------------------------------------------


def line(alarm: Alarm) -> dict[str, Any]:
    """An alarm as a line of `logs.jsonl`."""
    return {"step": alarm.step, "alarm": {k: v for k, v in asdict(alarm).items() if k != "step"}}


def lines(folder: Path) -> list[dict]:
    """All lines of a run's `logs.jsonl`. Raises UserError where there is none."""
    try:
        text = (Path(folder) / "logs.jsonl").read_text()
    except OSError:
        raise UserError(
            f"{folder} is no run: it has no logs.jsonl; give the --output of a training"
        ) from None
    found = []
    for row in text.splitlines():
        with contextlib.suppress(ValueError):  # a line that is just being written
            found.append(json.loads(row))
    return [entry for entry in found if isinstance(entry, dict)]


def alarms(folder: Path) -> list[Alarm]:
    """The alarms that a run wrote down."""
    found = []
    for entry in lines(folder):
        if isinstance(entry.get("alarm"), dict):
            with contextlib.suppress(TypeError, KeyError):  # another version's, or nobody's
                found.append(Alarm(entry["step"], **entry["alarm"]))
    return found


def past(folder: Path) -> list[Alarm]:
    """What the losses and gradient norms in `logs.jsonl` show, of a run whose doctor was away."""
    history, found = [], []
    for entry in lines(folder):
        if "alarm" in entry:
            continue
        values = {k: v for k, v in entry.items() if isinstance(v, int | float)}
        norms = {k.removeprefix(NORM): v for k, v in values.items() if k.startswith(NORM)}
        v = Vitals(entry["step"], {k: x for k, x in values.items() if not k.startswith(NORM)}, norms)
        for sign in SIGNS:
            evidence = sign.seen(v, history)
            if evidence and sign.name not in {alarm.name for alarm in found}:
                found.append(Alarm(v.t, sign.name, evidence, sign.why, sign.remedy))
        history.append(v)
    return found
