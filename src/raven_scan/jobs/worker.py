"""A worker: takes jobs off the queue and runs their handlers.

Procrastinate's worker lives in an event loop in a thread of ours, so that a server, a command that waits and
`raven worker` all have the same one. It is started again whenever the database was away.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import procrastinate
import psycopg
import structlog
from psycopg.abc import PQGen

_log = structlog.get_logger(__name__)

Handler = Callable[..., None]
"""Runs a job: `handler(stop, **arguments)`, in a thread. It ends soon after the event `stop` is set."""

_RETRY_S = 1.0
_POLLING_INTERVAL_S = 5.0
"""Jobs are notified; this is for one whose time comes, and one that came in while nobody listened yet."""
_INTERRUPTS_INTERVAL_S = 1.0

T = TypeVar("T")


class _CalmConnection(psycopg.AsyncConnection[Any]):
    """Wakes up once a second while it waits for notifications, not ten times: a third of an idle worker's work.

    It does so for signals, which are the main thread's. What the server tells, and a cancellation, wake it at once.
    """

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = _INTERRUPTS_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's
    ) -> T:
        return await super().wait(gen, interval, timeout)


class QueueWorker:
    """Runs one job at a time until it is stopped.

    Args:
        conninfo: libpq connection string or URL.
        handlers: by task name.
    """

    def __init__(
        self,
        conninfo: str,
        handlers: Mapping[str, Handler],
        *,
        name: str,
    ) -> None:
        self.name = name
        self._conninfo = conninfo
        self._handlers = handlers
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run_thread, name="queue-worker", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Asks the handlers to end and takes no further job; returns at once."""
        self._stop.set()
        if self._loop is not None and self._main is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._main.cancel)

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end; False where it has not come in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run_thread(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        self._ready.set()
        try:
            while not self._stop.is_set():
                try:
                    await self._run_procrastinate()
                except asyncio.CancelledError:
                    break
                except Exception as error:  # noqa: BLE001 - whatever ends the worker, it is started again
                    _log.warning("worker.restarting", error=str(error))
                    await asyncio.sleep(_RETRY_S)
        except asyncio.CancelledError:
            pass

    async def _run_procrastinate(self) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=self._conninfo, connection_class=_CalmConnection, min_size=1, max_size=4
        )
        app = procrastinate.App(connector=connector)
        for task, handler in self._handlers.items():
            app.task(name=task)(self._make_body(handler))
        async with app.open_async():
            await app.run_worker_async(
                name=self.name,
                concurrency=1,
                install_signal_handlers=False,
                fetch_job_polling_interval=_POLLING_INTERVAL_S,
                delete_jobs="successful",
            )

    def _make_body(self, handler: Handler) -> Callable[..., None]:
        def body(**arguments: Any) -> None:
            handler(self._stop, **arguments)

        return body
