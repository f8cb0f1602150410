"""Many blobs at once: written without flushing each, then taken into the store together."""

import hashlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from raven_scan.kernel.errors import Unavailable
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.scratch import hold_scratch_folder


class BlobBatch:
    """Blobs that are in the store only after `commit`. Safe to add to from several threads."""

    def __init__(self, store: BlobStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        self._digests: set[str] = set()
        self._present: set[str] = set()

    def add(self, content: bytes, digest: str | None = None) -> str:
        """Takes a blob in, returns its sha256; `digest` spares computing it. A full disk is Unavailable."""
        digest = digest or hashlib.sha256(content).hexdigest()
        with self._lock:
            if digest in self._digests:
                return digest
            self._digests.add(digest)
        if self._store.refresh_if_near(digest):
            self._present.add(digest)
            return digest
        try:
            with open(self._folder / digest, "xb", opener=_open_read_only) as file:
                file.write(content)
        except OSError as error:
            raise Unavailable(
                "storage.write_failed",
                f"Could not write to {self._folder.parent}: {error.strerror}.",
                hint="Free some space, or check the folder's permissions.",
            ) from error
        return digest

    def commit(self) -> None:
        """Takes everything into the store; it is there for good afterwards."""
        # An import may have taken longer than a collector spares what nobody names.
        if not all(self._store.refresh_if_near(digest) for digest in self._present):
            raise Unavailable(
                "storage.collected_meanwhile",
                "The blobs that were there before were collected meanwhile.",
                hint="Try again.",
            )
        self._store.take_folder(self._folder)


@contextmanager
def open_batch(store: BlobStore) -> Generator[BlobBatch]:
    """A batch; what was added and not committed is gone at the end."""
    with hold_scratch_folder(store.incoming, "batch") as folder:
        yield BlobBatch(store, folder)


def _open_read_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o400)
