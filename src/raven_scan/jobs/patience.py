"""Hours of work hang on a database and a storage that may be away for a while."""

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from raven_scan.jobs.lease import LeaseLost
from raven_scan.kernel.errors import RavenError

DATABASE_IS_AWAY = (OperationalError, InterfaceError, PoolTimeoutError)
"""What SQLAlchemy raises while PostgreSQL is restarted; the work goes on and is written down afterwards."""

STORAGE_IS_AWAY = "storage.unavailable"

_RETRY_S = 0.5

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Patience:
    """Does things again and again while the database or the storage is away.

    Args:
        lease_lost: nothing is worth doing any more.
        is_stopping: asked before waiting for the storage: who is to stop must not.
    """

    def __init__(self, lease_lost: threading.Event, is_stopping: Callable[[], bool]) -> None:
        self._lease_lost = lease_lost
        self._is_stopping = is_stopping

    def do(self, act: Callable[[], T]) -> T:
        """Raises LeaseLost, or what `act` raises for any other reason."""
        while True:
            try:
                return act()
            except DATABASE_IS_AWAY as error:
                _log.warning("worker.database_away", error=type(error).__name__)
            except RavenError as error:
                if error.code != STORAGE_IS_AWAY or self._is_stopping():
                    raise
                _log.warning("worker.storage_away", error=error.message)
            if self._lease_lost.wait(_RETRY_S):
                raise LeaseLost
