"""The lease that an attempt holds on its work: renewed, and shown to its child, as long as the worker is well.

Its work is a training run or an evaluation; the child is the trainer's process that does it.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from raven_scan.jobs.housekeeper import Housekeeper

_BEAT_INTERVAL_S = 2.0
_LEASH_INTERVAL_S = 1.0
_LEASH_PART = 0.75


class LeaseLost(Exception):  # noqa: N818 - it is an event rather than a fault
    """The attempt may not write any more: another one has taken its work over, or it was ended.

    Not for users: the worker that gets it ends its child and changes nothing.
    """


def get_leash_timeout_s(lease_timeout_s: float) -> float:
    """Well before the lease runs out: no other worker may begin while this one's trainer is at work."""
    return lease_timeout_s * _LEASH_PART


class Lease:
    """What the beats of an attempt have found out.

    Args:
        leash_timeout_s: a trainer that is not shown for so long that its worker lives ends itself.
    """

    def __init__(self, leash_timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._leash_timeout_s = leash_timeout_s
        self._clock = clock
        self._asked_at = clock()
        self._is_in_doubt = threading.Event()
        self.is_lost = threading.Event()
        self.is_pausing = threading.Event()

    def renew(self, beat: Callable[[], bool]) -> None:
        """`beat` renews it in the database, tells whether the run is to pause, and raises LeaseLost."""
        if self.is_lost.is_set():
            return
        # One that was on its way before the worker stood still proves nothing.
        was_in_doubt = self._is_in_doubt.is_set()
        try:
            if beat():
                self.is_pausing.set()
        except LeaseLost:
            self.is_lost.set()
            return
        if was_in_doubt:
            self._is_in_doubt.clear()

    def may_pull_leash(self) -> bool:
        """Whether the trainer may be shown that its worker lives; to be asked regularly.

        Not where this process stood still for so long that another worker may have begun: a trainer that stood still
        with it would go on beside the new one. Not until a beat has said that the run is still this attempt's.
        """
        now = self._clock()
        if now - self._asked_at > self._leash_timeout_s:
            self._is_in_doubt.set()
        self._asked_at = now
        return not (self._is_in_doubt.is_set() or self.is_lost.is_set())


@contextmanager
def keep_lease(lease: Lease, *, beat: Callable[[], bool], pull_leash: Callable[[], None]) -> Generator[Lease]:
    """Renews the lease, and shows the trainer that its worker lives, whether or not the database answers."""

    def pull() -> None:
        if lease.may_pull_leash():
            pull_leash()

    # A beat that fails otherwise is logged, and the next one tries again.
    threads = [
        Housekeeper(lambda: lease.renew(beat), interval_s=_BEAT_INTERVAL_S),
        Housekeeper(pull, interval_s=_LEASH_INTERVAL_S),
    ]
    for thread in threads:
        thread.start()
    try:
        yield lease
    finally:
        for thread in threads:
            thread.stop()
