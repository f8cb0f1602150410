"""The contact as pages show it, without a query for each."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from raven_scan.kernel.database import Database
from raven_scan.platform_settings import repository
from raven_scan.platform_settings.types import PlatformSettingName

_TRUSTED_FOR_S = 2.0
"""What another server changed is seen after so long; what this one did, at once."""


class CurrentContact:
    """Whom users turn to who cannot help themselves; it is shown to whoever opens the sign-in, so no claim is asked.

    Args:
        database: where it is kept.
        variable_value: what counts where nothing was set on the platform.
        now_s: seconds of a clock that never goes back.
    """

    def __init__(
        self, database: Database, variable_value: str | None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._variable_value = variable_value
        self._now_s = now_s
        self._value: str | None = None
        self._read_at_s: float | None = None
        self._change = 0
        self._reading = Lock()

    @property
    def known(self) -> str | None:
        """As it was read last, without a query."""
        return self._value or self._variable_value

    def find(self) -> str | None:
        """None where nobody is named. While the database is away, it is what was read last: errors name it."""
        # One thread reads it anew; the others, which may be many while the database is slow, take what is known.
        if self._is_old() and self._reading.acquire(blocking=self._read_at_s is None):
            try:
                if self._is_old():
                    self._read()
            finally:
                self._reading.release()
        return self.known

    def find_changed(self) -> str | None:
        """It was changed a moment ago."""
        self._change += 1
        self._read_at_s = None
        return self.find()

    def _is_old(self) -> bool:
        read_at_s = self._read_at_s
        return read_at_s is None or self._now_s() - read_at_s >= _TRUSTED_FOR_S

    def _read(self) -> None:
        change = self._change
        # Who asks for more than this is told that the database is away.
        with suppress(SQLAlchemyError, psycopg.Error):
            self._value = repository.look_up_value(self._database, PlatformSettingName.CONTACT)
        # What was changed while it was read is read again.
        if change == self._change:
            self._read_at_s = self._now_s()
