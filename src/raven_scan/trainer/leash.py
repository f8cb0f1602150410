"""The trainer ends when its worker is frozen: another worker may take its run over then.

The worker touches a file as long as it is well. Its death is noticed otherwise, see `process_lifetime`.
"""

import os
import signal
import threading
import time
from pathlib import Path

LEASH_VARIABLE = "RAVEN_LEASH"
LEASH_TIMEOUT_VARIABLE = "RAVEN_LEASH_S"

_LOOK_INTERVAL_S = 0.5


def follow_leash() -> None:
    """Where the environment names a leash: end this process group once it has not been touched for too long."""
    path, timeout_s = os.environ.get(LEASH_VARIABLE), os.environ.get(LEASH_TIMEOUT_VARIABLE)
    if path and timeout_s:
        arguments = (Path(path), float(timeout_s))
        threading.Thread(target=_watch, args=arguments, name="leash", daemon=True).start()


def _watch(path: Path, timeout_s: float) -> None:
    # By changes, on the monotonic clock: the wall clock may be set, and a machine may have been suspended.
    last, changed_at = _read_time(path), time.monotonic()
    waiting = threading.Event()
    while not waiting.wait(_LOOK_INTERVAL_S):
        now, touched = time.monotonic(), _read_time(path)
        if touched != last:
            last, changed_at = touched, now
        elif now - changed_at > timeout_s:
            os.killpg(os.getpgrp(), signal.SIGKILL)


def _read_time(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
