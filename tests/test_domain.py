"""The discriminator of a domain and the mapper into it: losses from naive loops, two ways to train."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from models.translation.domain import Domain
from translate.config import UserError
from translate.task import DataInfo
from translate.training.update import Update

INFO = DataInfo(kind="unpaired", name="x", count=8, channels={"a": 1, "b": 1})
TINY = dict(norm="none", norm_D="none", channels=4)


class Alone:
    num_processes, device = 1, torch.device("cpu")


def greys(value: float, count: int = 4) -> torch.Tensor:
    """Flat pictures about as bright as `value`."""
    return torch.full((count, 1, 16, 16), value) + torch.linspace(-0.1, 0.1, count).view(-1, 1, 1, 1)


def task_of(**options) -> Domain:
    torch.manual_seed(0)
    return Domain(dataclasses.replace(Domain.tiny(), **(TINY | options)), INFO)


class Recorded:
    def __init__(self):
        self.losses = {}

    def __call__(self, name, loss):
        self.losses[name] = loss.detach()


def test_losses_by_naive_loops():
    """In the game D tells b from M(a); alone, b from a; M fools D."""
    a, b = greys(-0.5), greys(0.5)
    for fixed in (False, True):
        task, update = task_of(fixed=fixed, steps=10), Recorded()
        with torch.no_grad():
            made = task.M(a)
            real = sum(F.softplus(-task.D(x[None])).mean() for x in b) / 4
            fake = sum(F.softplus(task.D(x[None])).mean() for x in (a if fixed else made)) / 4
            fool = sum(F.softplus(-task.D(x[None])).mean() for x in made) / 4
        task.step({"a": a, "b": b}, 0, update)
        assert update.losses["D"].item() == pytest.approx((real + fake).item(), rel=1e-4)
        assert ("M" in update.losses) is not fixed
        task.step({"a": a, "b": b}, 5, update)
        assert update.losses["M"].item() == pytest.approx(fool.item(), rel=1e-4)


def test_fixed_D_stays_when_M_learns():
    task = task_of(fixed=True, steps=10, alone=0.5)
    update = Update(task, task.config, Alone(), None)
    batch, moved = {"a": greys(-0.5), "b": greys(0.5)}, []
    for t in range(10):
        before = {name: [p.detach().clone() for p in getattr(task, name).parameters()] for name in "MD"}
        task.step(batch, t, update)
        moved.append(
            {
                name
                for name, old in before.items()
                if any(
                    not torch.equal(p, q) for p, q in zip(getattr(task, name).parameters(), old, strict=True)
                )
            }
        )
    assert moved == [{"D"}] * 5 + [{"M"}] * 5


def far(task: Domain, a: torch.Tensor, b: torch.Tensor) -> float:
    """How far the brightness of M(a) is from that of b."""
    with torch.no_grad():
        return float((task.M(a).mean((1, 2, 3)) - b.mean()).abs().mean())


def test_fixed_D_is_fooled_by_what_is_not_B():
    """A is dark, B is grey. A fixed D takes all that M makes for B, though it is nothing like B."""
    a, b = greys(-0.5, 8), greys(0.0, 8)
    task = task_of(fixed=True, steps=80, alone=0.7, learning_rate=4e-3)
    update = Update(task, task.config, Alone(), None)
    for t in range(80):
        logs = task.step({"a": a, "b": b}, t, update)
    assert (task.belongs(b) > 0).all() and (task.belongs(a) < 0).all()  # D knows real pictures
    assert logs["fooled"] == 1 and (task.belongs(task.M(a)) > task.belongs(b).max()).all()
    assert far(task, a, b) > 0.3


def test_refuses_what_it_cannot_learn():
    with pytest.raises(UserError, match="equal channels"):
        Domain(Domain.tiny(), dataclasses.replace(INFO, channels={"a": 1, "b": 3}))
    with pytest.raises(UserError, match="--alone 1"):
        task_of(alone=1.0)
