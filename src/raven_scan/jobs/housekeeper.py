"""Calls what keeps the house in order, every few seconds, from a thread."""

import threading
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)

_INTERVAL_S = 2.0


class Housekeeper:
    """Calls `tick` until it is stopped; what it raises is logged, and the next tick tries again."""

    def __init__(
        self, tick: Callable[[], None], *, interval_s: float = _INTERVAL_S, first_after_s: float = 0.0
    ) -> None:
        self._tick = tick
        self._interval_s = interval_s
        self._first_after_s = first_after_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> None:
        """Returns when no tick is under way any more, or the time is up."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        if self._stop.wait(self._first_after_s):
            return
        while True:
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 - the database may be away
                _log.warning("housekeeper.tick_failed", error=type(error).__name__)
            if self._stop.wait(self._interval_s):
                return
