"""Many blobs at once: written without flushing each, flushed together, then seen together."""

import ctypes
import errno
import hashlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from raven_scan.kernel.errors import Unavailable
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.scratch import hold_scratch_folder


class BlobBatch:
    """Blobs that are in the store only after `commit`. Safe to add to from several threads."""

    def __init__(self, store: LocalBlobStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        self._digests: set[str] = set()

    def add(self, content: bytes, digest: str | None = None) -> str:
        """Takes a blob in, returns its sha256; `digest` spares computing it. A full disk is Unavailable."""
        digest = digest or hashlib.sha256(content).hexdigest()
        with self._lock:
            if digest in self._digests:
                return digest
            self._digests.add(digest)
        if self._store.has(digest):
            return digest
        try:
            with open(self._folder / digest, "xb", opener=_open_read_only) as file:
                file.write(content)
        except OSError as error:
            raise self._make_error(error) from error
        return digest

    def commit(self) -> None:
        """Flushes everything to the disk, then moves it into the store."""
        try:
            _sync_filesystem(self._folder)
            for path in sorted(self._folder.iterdir()):
                final = self._store.make_path(path.name)
                path.rename(final)
            _sync_filesystem(self._store.folder)
        except OSError as error:
            raise self._make_error(error) from error

    def _make_error(self, error: OSError) -> Unavailable:
        return Unavailable(
            "storage.write_failed",
            f"Could not write to {self._store.folder}: {error.strerror}.",
            hint="Free some space, or check the folder's permissions.",
        )


@contextmanager
def open_batch(store: LocalBlobStore) -> Generator[BlobBatch]:
    """A batch; what was added and not committed is gone at the end."""
    with hold_scratch_folder(store.folder / "incoming", "batch") as folder:
        yield BlobBatch(store, folder)


def _open_read_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o400)


def _sync_filesystem(folder: Path) -> None:
    """One flush of the whole file system (syncfs, Linux) instead of one a file."""
    try:
        sync = ctypes.CDLL(None, use_errno=True).syncfs
    except AttributeError:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if sync(descriptor) != 0:
            number = ctypes.get_errno() or errno.EIO
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
