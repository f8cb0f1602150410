"""Gives a worker's free devices to work that waits in the database.

What waits, in which order, and which devices it needs is the business of the slice that owns the work: it is asked
with the free devices, and answers with work that it has taken for them, or with nothing. It is asked when PostgreSQL
notifies, when a device becomes free, and every two seconds, for work whose time has come.
"""

import os
import selectors
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psycopg
import structlog

_log = structlog.get_logger(__name__)

WORK_CHANNEL = "raven_training_runs"
"""What PostgreSQL notifies on when there is new work for workers, of whatever kind."""

_POLLING_INTERVAL_S = 2.0
_RETRY_S = 1.0
_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class TakenWork:
    """Work that is this worker's now.

    Attributes:
        devices: of the free ones, those that it occupies until `run` returns.
        run: does it, in a thread of its own; ends soon after the event is set.
    """

    devices: list[str]
    run: Callable[[threading.Event], None]


class WorkSource(Protocol):
    def __call__(self, *, free: Sequence[str], capacity: Sequence[str]) -> TakenWork | None:
        """Takes the next work that fits the free devices of a worker that has `capacity`; None: nothing does."""
        ...


class Dispatcher:
    """Runs work in threads, as long as devices are free, until it is stopped.

    Args:
        conninfo: libpq connection string or URL.
        channel: what PostgreSQL notifies on when there is new work.
        devices: a name a slot, such as `cpu` or `cuda:0`; `cpu` may be there several times.
    """

    def __init__(self, conninfo: str, channel: str, devices: Sequence[str], source: WorkSource) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self._devices = list(devices)
        self._source = source
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._free = list(devices)
        self._threads: set[threading.Thread] = set()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks the work to end and takes no more; returns at once."""
        self._stop.set()
        self._wake()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits until all work has ended after `stop`; False where it has not in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
                ) as connection:
                    connection.execute(f'LISTEN "{self._channel}"'.encode())
                    while not self._stop.is_set():
                        self._start_work()
                        self._wait(connection)
            except Exception as error:  # noqa: BLE001 - whatever it was, work that waits must not wait for ever
                _log.warning("dispatcher.restarting", error=type(error).__name__)
                self._stop.wait(_RETRY_S)
        for thread in self._list_threads():
            thread.join()

    def _start_work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                free = list(self._free)
            if not free:
                return
            work = self._source(free=free, capacity=self._devices)
            if work is None:
                return
            with self._lock:
                # As counts: there may be several slots of one name.
                self._free = list((Counter(self._free) - Counter(work.devices)).elements())
                thread = threading.Thread(target=self._do, args=(work,), name="work", daemon=True)
                self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError:
                self._release(thread, work.devices)
                raise

    def _release(self, thread: threading.Thread, devices: Sequence[str]) -> None:
        with self._lock:
            self._free += devices
            self._threads.discard(thread)

    def _do(self, work: TakenWork) -> None:
        try:
            work.run(self._stop)
        except Exception:  # noqa: BLE001 - the device must be free again, whatever it was
            _log.exception("dispatcher.work_failed")
        finally:
            self._release(threading.current_thread(), work.devices)
            self._wake()

    def _wait(self, connection: psycopg.Connection) -> None:
        # Not `select.select`, which knows no descriptor beyond 1023: a server has one for each of its clients.
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            readable = {key.fd for key, _ in selector.select(_POLLING_INTERVAL_S)}
        if self._wake_reader in readable:
            with suppress(BlockingIOError):
                os.read(self._wake_reader, 4096)
        for _ in connection.notifies(timeout=0):
            pass  # however many they were, asking once answers all

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    def _list_threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)
