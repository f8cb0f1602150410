"""Which leases are lost: those of workers that died, and no others."""

import time
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from raven_scan.jobs.held_attempts import is_attempt_held
from raven_scan.jobs.worker_names import is_worker_gone, make_worker_name

CONFIRMATION_S = 5.0


class SilentLease(Protocol):
    """An attempt that has not ended and was not heard of for a while; equal as long as it is silent.

    `id` and `number`: of its work, and of the attempt. `is_expired`: its lease has run out.
    """

    @property
    def id(self) -> UUID: ...
    @property
    def number(self) -> int: ...
    @property
    def worker(self) -> str: ...
    @property
    def is_expired(self) -> bool: ...
    def __hash__(self) -> int: ...


Silent = TypeVar("Silent", bound=SilentLease)


class LostLeases(Generic[Silent]):
    """Tells lost leases from such that are only late.

    A worker of this machine whose process is gone is dead at once, and so is an attempt in this process's name that
    it does not work on; any other when its lease has run out, and it has not renewed it some seconds later.

    Args:
        confirmation_s: a lease that has run out is looked at again after so long: after a suspend, or when the
            database was away, every worker's lease has run out, and each renews its own.
    """

    def __init__(self, *, confirmation_s: float = CONFIRMATION_S) -> None:
        self._confirmation_s = confirmation_s
        self._suspects: dict[Silent, float] = {}

    def find(self, silent: Iterable[Silent]) -> list[Silent]:
        """Those of these that are lost; to be asked every few seconds with all that are silent."""
        silent = list(silent)
        # Of those in its own name this process knows which it works on, and is about to renew their leases.
        own = {each for each in silent if each.worker == make_worker_name()}
        confirmed = self._confirm_suspects({each for each in silent if each.is_expired} - own)
        return [
            each
            for each in silent
            if (each in own and not is_attempt_held(each.id, each.number))
            or each in confirmed
            or is_worker_gone(each.worker)
        ]

    def _confirm_suspects(self, expired: set[Silent]) -> set[Silent]:
        """Those that were seen with the very same last heartbeat long enough ago."""
        now = time.monotonic()
        self._suspects = {suspect: self._suspects.get(suspect, now) for suspect in expired}
        return {
            suspect for suspect, seen_at in self._suspects.items() if now - seen_at >= self._confirmation_s
        }
