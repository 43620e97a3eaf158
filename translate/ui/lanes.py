"""Who may compute: one job at a time, the shortest first, long ones in between, each stopped when asked.

A job takes a breath wherever its network comes to a next layer, by a hook before every module's forward pass.
There it is stopped, or lets another go first: a job of half a second waits for a layer, not for a picture.
"""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from translate import machine
from translate.config import UserError
from translate.ui.words import W

SHORT = 4.0  # seconds: what is expected to take longer is a long job
SLICE = 1.0  # seconds that a long job gets, at the least, for every four of short ones
PATIENCE = 30.0  # seconds after which a job that waits goes before shorter ones
BEGUN = 2, 1  # short and long jobs begun and not finished: one may read its file while another computes
UNDER_WAY = 4  # jobs begun and not finished: each holds its feature maps
MOST_WAITING = 64  # jobs of everybody
MOST_EACH = 6  # jobs of one session
GUESS = 2e-6  # seconds a pixel, before a model was measured
EVERY = 0.25  # seconds between two words about progress
LARGE = 4_000_000  # pixels after which freed memory is given back to the system
REST = 1.0  # seconds without a job after which it is, too

Report = Callable[[float | None, str], None]  # (share done, what is going on)


class Stopped(UserError):
    """The person pressed Cancel."""


@dataclass(eq=False)
class Job:
    """A piece of work of one session."""

    session: str
    expected: float  # seconds
    report: Report | None = None
    long: bool = False
    asked: float = field(default_factory=time.monotonic)
    stopped: bool = False
    share: float = 0.0  # done, as far as the work itself tells
    computed: float = 0.0  # seconds, before `since`
    since: float | None = None  # when it was last let compute; None where it does not
    ended: float = 0.0  # when it last made room for another
    sure: float = 0.0  # seconds it may compute before it makes room
    reported: float = 0.0

    @property
    def spent(self) -> float:
        """Seconds it has computed."""
        since = self.since  # another thread may end it just now
        return self.computed + (time.monotonic() - since if since is not None else 0.0)

    @property
    def is_long(self) -> bool:
        """Expected to be, or found out to be."""
        return self.long or self.spent > 2 * SHORT

    def tell(self, share: float | None, words: str) -> None:
        now = time.monotonic()
        if self.report and now - self.reported >= EVERY:
            self.reported = now
            self.report(share, words)

    def check(self) -> None:
        if self.stopped:
            raise Stopped(W.lanes.cancelled)


class Lanes:
    """A short and a long lane with a job or two under way in each; one of these computes at a time."""

    def __init__(self):
        self.change = threading.Condition()
        self.waiting: list[Job] = []  # not begun
        self.under_way: list[Job] = []
        self.waiters: list[Job] = []  # see `beside`
        self.asking: list[Job] = []  # under way, would compute
        self.computing: Job | None = None
        self.begun = 0  # jobs, ever
        self.owed = 0.0  # seconds that short ones have computed since a long one did
        self.rates: dict[str, float] = {}  # seconds for a unit of a kind of work, as measured
        everybody.add(self)

    @contextlib.contextmanager
    def job(
        self,
        session: str,
        kind: str = "",
        amount: float = 0.0,
        report: Report | None = None,
        guess: float = GUESS,
        long: bool = False,
    ) -> Iterator[Job]:
        """Inside, this thread computes and no other job does.

        kind, amount: of the work, e.g. a model and pixels; how long a unit takes is learned. Raises Stopped
        where the session asks for it, UserError where too many wait. long: others go first in any case.
        """
        expected = self.rates.get(kind, guess) * amount
        job = Job(session, expected, report, long=long or expected > SHORT)
        self._begin(job)
        try:
            yield job
            if amount:
                before = self.rates.get(kind, job.spent / amount)
                self.rates[kind] = (before + job.spent / amount) / 2
        finally:
            with self.change:
                self._make_room(job)
                self.under_way.remove(job)
            if job.is_long or amount >= LARGE:
                machine.trim()
            self._rest()

    def _rest(self) -> None:
        """Where no job is left, give what many small ones freed back to the system."""
        with self.change:
            last = not (self.under_way or self.waiting)
            number = self.begun
        if last:
            timer = threading.Timer(REST, lambda: self.begun == number and machine.trim())
            timer.daemon = True
            timer.start()

    @contextlib.contextmanager
    def aside(self, job: Job) -> Iterator[None]:
        """Inside, the job reads or writes files on one core and another may compute."""
        with self.change:
            self._make_room(job)
        try:
            yield
        finally:
            with self.change:
                self._ask(job)

    @contextlib.contextmanager
    def beside(self, session: str, report: Report | None = None) -> Iterator[Job]:
        """A job that only waits for something, in no lane; it can be stopped."""
        job = Job(session, 0.0, report)
        with self.change:
            self.waiters.append(job)
        try:
            yield job
        finally:
            with self.change:
                self.waiters.remove(job)

    def stop(self, session: str) -> int:
        """Ask every job of a session to stop; returns how many there were."""
        with self.change:
            jobs = [*self.waiting, *self.under_way, *self.waiters]
            own = [job for job in jobs if job.session == session]
            for job in own:
                job.stopped = True
            self.change.notify_all()
        return len(own)

    def breathe(self) -> None:
        """Called by the job that computes, many times a second. Raises Stopped."""
        job = self.computing
        if job is None:
            return
        job.check()
        share = max(job.share, min(0.9, job.spent / max(job.expected, 0.1)))
        job.tell(share, left(job.expected - job.spent))
        if self.asking and self._others_first(job):
            state = torch.get_rng_state()  # seeded for this picture; another job seeds its own
            with self.change:
                self._make_room(job)
                self._ask(job)
            torch.set_rng_state(state)

    def _others_first(self, job: Job) -> bool:
        if not job.is_long:
            return False
        short = any(not other.is_long for other in self.asking)
        return job.spent - job.computed >= (job.sure if short else SLICE)

    def _begin(self, job: Job) -> None:
        with self.change:
            own = sum(1 for other in [*self.waiting, *self.under_way] if other.session == job.session)
            if own >= MOST_EACH:
                raise UserError(W.lanes.too_many_of_yours.format(count=own))
            if len(self.waiting) >= MOST_WAITING:
                raise UserError(W.lanes.too_many_people)
            self.waiting.append(job)
            self.begun += 1
            try:
                while not self._may_begin(job):
                    ahead = self._queue(job).index(job)
                    job.tell(0.0, W.lanes.waiting_behind.format(number=ahead + 1))
                    self.change.wait(EVERY)
                    job.check()
                self.under_way.append(job)
            finally:
                self.waiting.remove(job)
            try:
                self._ask(job)
            except BaseException:
                self.under_way.remove(job)
                self.change.notify_all()
                raise

    def _may_begin(self, job: Job) -> bool:
        same = sum(other.is_long == job.long for other in self.under_way)
        return self._queue(job)[0] is job and same < BEGUN[job.long] and len(self.under_way) < UNDER_WAY

    def _queue(self, job: Job) -> list[Job]:
        """Those in its lane that have not begun, the next one first: the mean wait is least when short ones
        do not wait for longer ones, and none waits for ever.
        """
        late = time.monotonic() - PATIENCE
        same = [other for other in self.waiting if other.long == job.long]
        return sorted(
            same, key=lambda other: (0.0, other.asked) if other.asked < late else (1.0, other.expected)
        )

    def _ask(self, job: Job) -> None:
        """Wait until it is this job's turn. Called with the lock held."""
        self.asking.append(job)
        try:
            while self.computing is not None or self._next() is not job:
                job.tell(job.share, W.lanes.waiting_for_a_shorter_one if job.is_long else W.lanes.waiting)
                self.change.wait(EVERY)
                job.check()
            if job.is_long:
                job.sure = SLICE if self.owed >= 4 * SLICE else 0.0
                self.owed = 0.0
            self.computing, job.since = job, time.monotonic()
        finally:
            self.asking.remove(job)
            self.change.notify_all()

    def _next(self) -> Job:
        """Of those that ask: a short one, unless long ones are owed time; of equals who waited longest."""
        long_first = self.owed >= 4 * SLICE
        return min(self.asking, key=lambda job: (job.is_long != long_first, job.ended))

    def _make_room(self, job: Job) -> None:
        """Called with the lock held."""
        if self.computing is job:
            now = time.monotonic()
            if not job.is_long:
                self.owed += now - job.since
            job.computed, job.since, job.ended = job.computed + now - job.since, None, now
            self.computing = None
        self.change.notify_all()


everybody: weakref.WeakSet[Lanes] = weakref.WeakSet()


def left(seconds: float) -> str:
    return W.lanes.seconds_left.format(seconds=seconds) if seconds >= 1.5 else W.lanes.nearly_done


def breath(module, inputs) -> None:
    """Before every module's forward pass, in whatever thread."""
    for lanes in tuple(everybody):
        lanes.breathe()


register_module_forward_pre_hook(breath)
