"""Locks between processes, released by the kernel when their holder is killed."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from raven_scan.kernel.errors import Busy

_INTERVAL_S = 0.01


def open_locked(path: Path) -> int | None:
    """Opens `path` and locks it, without waiting.

    The lock belongs to the open file: processes that inherit the descriptor share it, and it lasts until the
    last of them has closed it.

    Returns:
        The descriptor, or None where another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Unlocks for all who share the open file, also a child forked in between, and closes it."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def is_locked(path: Path) -> bool:
    descriptor = open_locked(path)
    if descriptor is None:
        return True
    unlock(descriptor)
    return False


@contextmanager
def hold_lock(path: Path, *, timeout_s: float) -> Generator[None]:
    """Holds the lock on `path`.

    Raises:
        Busy: another process held it for longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (descriptor := open_locked(path)) is None:
        if time.monotonic() > deadline:
            raise Busy(
                "database.locked",
                f"Another process has been starting or stopping the embedded database for {timeout_s:.0f} s.",
                hint="Try again; if it stays so, look at the log beside the lock file.",
                parameters={"lock_file": str(path)},
            )
        time.sleep(_INTERVAL_S)
    try:
        yield
    finally:
        unlock(descriptor)
