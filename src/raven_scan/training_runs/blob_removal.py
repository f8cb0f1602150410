"""Removes what runs need no more, beside the work: a storage that accepts and never answers holds nobody up."""

import threading
from collections import deque
from collections.abc import Sequence

from raven_scan.kernel.database import Database
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.removal import remove_blobs

_PATIENCE_S = 1.0
_MOST_WAITING = 100
"""What comes beyond these is left to the collector."""


class BlobRemover:
    """Removes blobs that rows named until just now, one batch after the other, in a thread of its own."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        self._lock = threading.Lock()
        self._batches: deque[tuple[Sequence[str], threading.Event]] = deque()
        self._thread: threading.Thread | None = None

    def remove(self, digests: Sequence[str]) -> None:
        """Returns when they are removed, or a moment later; at once where those before them take long already."""
        if not digests:
            return
        done = threading.Event()
        with self._lock:
            if len(self._batches) >= _MOST_WAITING:
                return
            self._batches.append((digests, done))
            is_first = self._thread is None
            if is_first:
                # A daemon: a process does not live on for it, and a collector finds what was left.
                self._thread = threading.Thread(target=self._run, name="blob-remover", daemon=True)
                self._thread.start()
        if is_first:
            done.wait(_PATIENCE_S)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._batches:
                    self._thread = None
                    return
                digests, done = self._batches.popleft()
            remove_blobs(self._database, self._blobs, digests)
            done.set()
