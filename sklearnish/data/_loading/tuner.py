"""The plan by measure: what promises more is tried while a fit runs, and the best is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sklearnish.data._reading.clock import Times
from sklearnish.data._reading.plan import LoadPlan, Obstacle, Room, best_workers, workers
from sklearnish.data._reading.processes import start_method
from sklearnish.data._system.machine import n_cores

_WARM_UP, _LOOK = 2, 3
"""Fetches before the first plan is measured (files are opened, kernels loaded), and for how many
of each reader any plan is."""

_LONG = 0.25
"""Seconds of fetches that tell as much as those many: large ones, or slow ones."""

_MOST_AT_ONCE = 4
"""Processes that are started before anything is measured, at most."""

_WORTH = 0.87
"""A plan is tried if it promises this share of the time, or less."""

_BETTER = 0.95
"""A plan that was measured before is gone back to at this share of the time, or less."""

_START = {"fork": 0.5, "forkserver": 4.0, "spawn": 4.0}
"""Seconds lost by starting workers: a new interpreter imports torch."""


def start_seconds() -> float:
    """Return the seconds lost by starting workers here."""
    return _START.get(start_method(), max(_START.values()))


@dataclass
class Tuner:
    """Measures the plan it began with, tries what promises more, and keeps what was best.

    Attributes
    ----------
    plan : LoadPlan
        The one in force.
    room : Room
        Caps what is read ahead.
    fixed : bool
        Whether the plan may not be changed.
    obstacle : callable
        Says why there can be no processes, None if there can; asked only if they would pay.
    """

    plan: LoadPlan
    room: Room
    fixed: bool = True
    obstacle: Callable[[], Obstacle | None] = lambda: None
    _seen: int = 0  # fetches since the plan was taken up
    _warm_up: int = _WARM_UP
    _looked: bool = False  # at what this plan costs
    _now: Times = field(default_factory=Times)
    _fetches: int = 0  # that `_now` is of
    _known: dict[str, tuple[float, LoadPlan]] = field(default_factory=dict)

    def begin(self, read: float) -> None:
        """Start with processes if what is to be read is known to take so many seconds."""
        n = min(n_cores(), _MOST_AT_ONCE)
        if self.fixed or read * (1 - 1 / n) <= start_seconds() or self.obstacle():
            return
        self.plan = workers(n, "decoding takes long", self.room)

    def note(self, fetch: Times, rows_left: int) -> None:
        """Take in what the time until this fetch was used up was spent on."""
        self._seen += 1
        if self.fixed or self._seen <= self._warm_up:
            return
        self._now += fetch
        self._fetches += 1
        if not self._looked:
            self.look(rows_left)

    @property
    def _enough(self) -> bool:
        """Whether the plan was measured: a few rounds of all readers, or for a while."""
        fetches, n = self._fetches, max(1, self.plan.num_workers)
        return fetches >= _LOOK * n or (fetches >= n and self._now.seconds >= _LONG)

    @property
    def _row_seconds(self) -> float:
        """Time for a row, as measured now."""
        return self._now.seconds / max(1, self._now.rows)

    def look(self, rows_left: int) -> None:
        """Compare, and change the plan if that pays for the rows that are left."""
        if self.fixed or not self._enough:
            return
        self._looked = True
        self._known[str(self.plan)] = self._row_seconds, self.plan
        if self.tried:
            self._keep_best()
        else:
            self._try(rows_left)
        self._now, self._fetches = Times(), 0

    @property
    def tried(self) -> bool:
        """Whether more than one plan was measured."""
        return len(self._known) > 1

    def _keep_best(self) -> None:
        """Go back if what was tried is slower, or has become so."""
        seconds, best = min(self._known.values(), key=lambda known: known[0])
        if best != self.plan and seconds < _BETTER * self._row_seconds:
            times = self._row_seconds / seconds
            self._take(replace(best, reason=f"measured: {self.plan} took {times:.1f}x as long"))

    def _try(self, rows_left: int) -> None:
        """Take up processes if they promise to be worth their start, what is read already aside."""
        now = self._now
        rows_left -= self.plan.ahead * now.rows // self._fetches
        n, seconds = best_workers(now, n_cores())
        saved = (now.seconds - seconds) / max(1, now.rows) * rows_left
        if seconds > _WORTH * now.seconds or saved < start_seconds():
            return
        obstacle = self.obstacle()
        if obstacle:
            self.fixed = True
            reason = f"{self.plan.reason}; no processes: {obstacle.what}"
            self.plan = replace(self.plan, reason=reason)
            return
        gain = now.seconds / seconds
        self._take(workers(n, f"measured: {gain:.1f}x expected", self.room))

    def _take(self, plan: LoadPlan) -> None:
        """Go on with a plan, which shows when what was read ahead is used up."""
        if plan != self.plan:
            self._warm_up = 1 + self.plan.ahead + plan.ahead
            self.plan, self._seen, self._looked = plan, 0, False
