"""Steps are told at most five times a second, but the first ones, and those at the edges of an epoch, each."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from raven_scan.trainer.event_log import EventLog
from raven_scan.wire.events import Step

# Where a run goes wrong, and where it can be compared with another.
_TOLD_FIRST_STEPS = 20
_INTERVAL_S = 0.2


class StepValues(Protocol):
    """Reads what the step that was just done has cost and given; only called for steps that are told."""

    def __call__(self, step: int, epoch: int) -> Step: ...


class StepTeller:
    """Tells steps, several together where they are fast."""

    def __init__(
        self,
        log: EventLog,
        *,
        interval_s: float = _INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._interval_s = interval_s
        self._clock = clock
        self._told_at = -math.inf
        self._steps_here = 0
        self._pending: Callable[[], Step] | None = None

    def note(self, step: int, epoch: int, read: StepValues, *, is_edge: bool) -> None:
        """A step was done.

        Args:
            step: steps done in all, this one included.
            epoch: epochs completed.
            read: makes its event.
            is_edge: whether it is the first or the last step of its epoch.
        """
        self._steps_here += 1
        now = self._clock()
        self._pending = lambda: read(step, epoch)
        if is_edge or self._steps_here <= _TOLD_FIRST_STEPS or now - self._told_at >= self._interval_s:
            self._told_at = now
            self.tell_pending()

    def tell_pending(self) -> None:
        """Tell the last step, unless it was told: a checkpoint follows, and the history goes on from there."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._log.emit(pending())
