"""Wakes those who read along with runs when PostgreSQL tells that a run has changed.

One connection listens for all readers of a process. A reader is woken, not told: it looks for itself. So one that is
slow, or asleep, piles nothing up, and one that is woken in vain has lost nothing but a look.
"""

import asyncio
import os
import selectors
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from uuid import UUID

import psycopg
import structlog

from raven_scan.kernel.database import Database, make_conninfo

EVENTS_CHANNEL = "raven_run_events"
"""What a trigger on the runs' table notifies on, with the run's id."""

_RETRY_S = 1.0
_CONNECT_TIMEOUT_S = 5
_LONGEST_SILENCE_S = 60.0
_UNHEARD_S = 2.0
"""So often a reader looks while nobody listens."""

_log = structlog.get_logger(__name__)


class RunWaker:
    """Wakes the readers of one event loop; listens as long as there are any."""

    def __init__(self, database: Database) -> None:
        self._conninfo = make_conninfo(database.engine.url)
        self._readers: dict[UUID, set[asyncio.Event]] = {}
        self._listener: _Listener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether every reader is to end: the server is about to."""
        return self._is_closed

    def close(self) -> None:
        """Ends all readers; from any thread."""
        self._is_closed = True
        self._call(self._wake_all)

    @contextmanager
    def subscribe(self, run_id: UUID) -> Generator[asyncio.Event]:
        """An event that is set when the run has changed; for the loop that runs now."""
        woken = asyncio.Event()
        woken.set()  # it may have changed since its reader looked
        self._loop = asyncio.get_running_loop()
        self._readers.setdefault(run_id, set()).add(woken)
        if self._listener is None:
            self._listener = _Listener(
                self._conninfo,
                on_notice=lambda changed: self._call(self._wake, changed),
                on_heard=lambda: self._call(self._wake_all),
            )
            self._listener.start()
        try:
            yield woken
        finally:
            self._readers[run_id].discard(woken)
            if not self._readers[run_id]:
                del self._readers[run_id]
            if not self._readers:
                self._listener.stop()
                self._listener = None

    async def wait(self, woken: asyncio.Event, longest_s: float) -> None:
        """Until the run has changed, or for so long; not so long while changes are not heard of."""
        is_heard = self._listener is not None and self._listener.is_heard
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s if is_heard else min(longest_s, _UNHEARD_S)):
                await woken.wait()
        woken.clear()

    def _call(self, act: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended, and its readers with it
                self._loop.call_soon_threadsafe(act, *arguments)

    def _wake(self, run_id: str) -> None:
        for woken in self._readers.get(UUID(run_id), ()):
            woken.set()

    def _wake_all(self) -> None:
        for readers in self._readers.values():
            for woken in readers:
                woken.set()


class _Listener:
    """Hears of runs that have changed, in a thread of its own, until it is stopped."""

    def __init__(
        self, conninfo: str, *, on_notice: Callable[[str], None], on_heard: Callable[[], None]
    ) -> None:
        self._conninfo = conninfo
        self._on_notice = on_notice
        self._on_heard = on_heard
        self._stop = threading.Event()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="run-events", daemon=True)
        self.is_heard = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once."""
        self._stop.set()
        with suppress(OSError):  # its thread is through already
            os.write(self._wake_writer, b"!")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._listen()
                except (psycopg.Error, OSError) as error:
                    _log.warning("run_events.not_heard", error=type(error).__name__)
                    self._stop.wait(_RETRY_S)
                finally:
                    self.is_heard = False
        finally:
            os.close(self._wake_reader)
            os.close(self._wake_writer)

    def _listen(self) -> None:
        with psycopg.connect(
            self._conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            connection.execute(f'LISTEN "{EVENTS_CHANNEL}"'.encode())
            self.is_heard = True
            self._on_heard()  # of what happened before, nobody was told
            # Not `select.select`, which knows no descriptor beyond 1023: a server with many readers has more.
            with selectors.DefaultSelector() as selector:
                selector.register(connection.fileno(), selectors.EVENT_READ)
                selector.register(self._wake_reader, selectors.EVENT_READ)
                while not self._stop.is_set():
                    if not selector.select(_LONGEST_SILENCE_S):
                        connection.execute("SELECT 1")  # a connection that a network lost says nothing of it
                    for notice in connection.notifies(timeout=0):
                        self._on_notice(notice.payload)
