"""Copies of remote blobs on this machine, as many as a limit admits."""

import fcntl
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from raven_scan.storage.blobs import LocalBlobStore

_SCAN_EVERY_SHARE = 20
_KEPT_SHARE = 0.9


class BlobCache:
    """A folder of blobs. Those that were used least recently go first; one that a working folder links stays.

    Several processes may share it.

    Args:
        folder: made where it is missing.
        largest_bytes: of all blobs together. What was used less than `spared_for` ago stays beyond it: its path
            was handed out.
        spared_for: see there.
    """

    def __init__(
        self, folder: Path, largest_bytes: int, *, spared_for: timedelta = timedelta(hours=1)
    ) -> None:
        self.blobs = LocalBlobStore(folder)
        self._largest_bytes = largest_bytes
        self._spared_for = spared_for
        self._lock = threading.Lock()
        self._unscanned_bytes = largest_bytes

    def note_growth(self, size_bytes: int) -> None:
        """To be told after blobs came in; makes room where that is due."""
        with self._lock:
            self._unscanned_bytes += size_bytes
            if self._unscanned_bytes < self._largest_bytes // _SCAN_EVERY_SHARE:
                return
            self._unscanned_bytes = 0
        self.evict()

    def evict(self) -> None:
        """Makes room, unless another process is at it."""
        descriptor = os.open(
            self.blobs.folder / "evicting.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            self._evict_oldest()
        finally:
            os.close(descriptor)

    def _evict_oldest(self) -> None:
        total = 0
        idle: list[tuple[float, int, str]] = []
        latest = time.time() - self._spared_for.total_seconds()
        for folder in self.blobs.folder.glob("??/??"):
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    total += status.st_size
                    if status.st_nlink == 1 and status.st_mtime < latest:
                        idle.append((status.st_mtime, status.st_size, entry.name))
        if total <= self._largest_bytes:
            return
        idle.sort()
        than = datetime.now(UTC) - self._spared_for
        for _, size_bytes, digest in idle:
            if total <= self._largest_bytes * _KEPT_SHARE:
                return
            if self.blobs.remove_if_older(digest, than):
                total -= size_bytes
