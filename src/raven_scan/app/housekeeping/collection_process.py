"""The worker's side of a collection: it looks whether one is due, and has it done by a process that ends with it.

What a collection needs, such as the tables of datasets, takes as much memory as a whole worker that waits. See decision
0136.
"""

import logging
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, cast

import structlog

from raven_scan.app.housekeeping.collection_order import CollectionOrder
from raven_scan.app.wiring import Platform
from raven_scan.kernel.settings import Settings
from raven_scan.storage import collections

_LOOK_INTERVAL_S = 0.1
_GRACE_S = 2.0

_log = structlog.get_logger(__name__)


def collect_in_child_if_due(platform: Platform, stop: threading.Event) -> None:
    """Where it is time, starts the process that collects, and waits for its end, or for `stop`.

    One that fails is logged, and due again as `storage.collections` says.
    """
    with platform.database.transaction() as session:
        if not collections.is_due(session, platform.clock.now()):
            return
    exit_code = _run_child(platform.settings, stop)
    if exit_code != 0 and not stop.is_set():
        _log.warning("housekeeping.failed", exit_code=exit_code)


def _run_child(settings: Settings, stop: threading.Event) -> int:
    """Its exit code; negative where a signal ended it."""
    level = logging.getLevelName(logging.getLogger().getEffectiveLevel())
    with subprocess.Popen(
        # -P: no module is taken from the folder that the worker happens to be in.
        [sys.executable, "-P", "-m", "raven_scan.app.housekeeping"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Ctrl-C is meant for the worker, which ends it.
        start_new_session=True,
    ) as child:
        leash = cast("IO[bytes]", child.stdin)
        try:
            # It may have been killed already.
            with suppress(BrokenPipeError):
                leash.write(CollectionOrder(settings, level).encode())
                leash.flush()
            while child.poll() is None and not stop.wait(_LOOK_INTERVAL_S):
                pass
        finally:
            with suppress(BrokenPipeError):
                leash.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S)
            child.kill()
        return child.wait()
