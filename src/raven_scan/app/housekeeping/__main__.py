"""The process of a collection: `python -m raven_scan.app.housekeeping`, started by a worker.

On standard input it gets a `CollectionOrder` as a line of JSON, secrets in it. Standard input is its leash, too: where
it ends, because the worker closed it or died, the collection is given up and the process ends. Its log goes where the
worker's goes, to standard error.
"""

import os
import sys
import threading
import time

_GRACE_S = 1.5
"""For noting that a collection was given up, so that the next worker need not wait with its own."""


class _Leash:
    """Whether whoever started this process still wants it."""

    def __init__(self) -> None:
        self._has_begun = False
        self._is_cut = threading.Event()
        threading.Thread(target=self._watch, name="leash", daemon=True).start()

    def check(self) -> None:
        """Raises CollectionInterrupted once it is cut."""
        from raven_scan.storage.collector import CollectionInterrupted  # noqa: PLC0415

        self._has_begun = True
        if self._is_cut.is_set():
            raise CollectionInterrupted

    def _watch(self) -> None:
        # Not through the buffered file, whose lock a thread that reads would keep at the end of the process.
        while os.read(sys.stdin.fileno(), 1):
            pass
        self._is_cut.set()
        if self._has_begun:
            time.sleep(_GRACE_S)
        os._exit(1)


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return  # whoever started this is gone
    leash = _Leash()
    # Only now: these take a second or two, in which the leash is watched already.
    import structlog  # noqa: PLC0415

    from raven_scan.app.housekeeping.collection import collect_if_due  # noqa: PLC0415
    from raven_scan.app.housekeeping.collection_order import CollectionOrder  # noqa: PLC0415
    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415
    from raven_scan.app.wiring import build_services, hold_database  # noqa: PLC0415

    order = CollectionOrder.decode(line)
    set_up_logging(order.log_level, secrets=order.settings.list_secrets())
    try:
        with hold_database(order.settings) as (database, holding):
            collect_if_due(build_services(order.settings, database, holding), leash.check)
    except Exception:  # noqa: BLE001 - told through the log, which masks secrets
        structlog.get_logger(__name__).exception("housekeeping.crashed")
        sys.exit(1)


if __name__ == "__main__":
    main()
