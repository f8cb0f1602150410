"""Work that takes minutes tells its progress while the caller waits.

The work runs in a thread; the caller iterates over what it says. A stream ends with one `done` or one `failed`.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, TypeVar

import structlog

from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.progress import Progress

T = TypeVar("T")

_SHORTEST_INTERVAL_S = 0.1

_log = structlog.get_logger(__name__)


def stream_work(work: Callable[[Progress], T], describe: Callable[[T], Any]) -> Iterator[dict[str, Any]]:
    """Runs `work`, yields `{"event": "progress", "stage", "done", "total"}` and at last `done` or `failed`.

    Args:
        work: gets a Progress to call.
        describe: turns its result into JSON-able data.
    """
    told: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    last: dict[str, Any] = {"stage": None, "at": 0.0}

    def tell(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage == last["stage"] and done != total and now - last["at"] < _SHORTEST_INTERVAL_S:
            return
        last.update(stage=stage, at=now)
        told.put({"event": "progress", "stage": stage, "done": done, "total": total})

    def run() -> None:
        try:
            told.put({"event": "done", "result": describe(work(tell))})
        except RavenError as error:
            told.put({"event": "failed", "error": error.describe()})
        except Exception as error:  # noqa: BLE001 - told to the caller, and logged whole
            _log.exception("long_work.failed")
            told.put({"event": "failed", "error": describe_unexpected(error)})
        finally:
            told.put(None)

    threading.Thread(target=copy_context().run, args=(run,), name="long-work", daemon=True).start()
    while (event := told.get()) is not None:
        yield event


def describe_unexpected(error: Exception) -> dict[str, Any]:
    """What a user is told of an error that nobody foresaw: its type, never its insides."""
    return {
        "code": "internal",
        "kind": "unavailable",
        "message": f"Something went wrong inside ({type(error).__name__}).",
        "hint": "The server's log has the details.",
        "parameters": {},
    }
