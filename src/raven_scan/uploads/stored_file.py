"""An upload's bytes on the disk: one file, written and read by one request at a time, in whatever process."""

import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from raven_scan.kernel.progress import Progress
from raven_scan.storage.disk import sync_folder
from raven_scan.uploads.errors import make_in_use, make_not_stored

_READ_BYTES = 1 << 20


class StoredFile:
    """Held by whoever has one.

    Args:
        path: of the file.
        descriptor: of the open and locked file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def go_on_at(self, offset_bytes: int) -> None:
        """Forgets what is beyond: it was not known to be on the disk."""
        os.ftruncate(self._descriptor, offset_bytes)
        os.lseek(self._descriptor, offset_bytes, os.SEEK_SET)

    def write(self, piece: bytes) -> None:
        """Raises OSError where the disk is full; part of the piece may have been written then."""
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def flush(self) -> None:
        os.fsync(self._descriptor)

    def digest(self, progress: Progress) -> str:
        """The SHA-256 of the whole file."""
        size_bytes = self.size_bytes
        digest = hashlib.sha256()
        read_bytes = 0
        while piece := os.pread(self._descriptor, _READ_BYTES, read_bytes):
            digest.update(piece)
            read_bytes += len(piece)
            progress("verifying the upload", read_bytes, size_bytes)
        return digest.hexdigest()


@contextmanager
def hold_file(path: Path) -> Generator[StoredFile]:
    """The file for this request alone; an empty one is made where there is none.

    Raises:
        Busy: another request holds it, here or in another process.
        Unavailable: it cannot be made.
    """
    is_new = not path.exists()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise make_not_stored(error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise make_in_use(path.name) from None
        if is_new:
            sync_folder(path.parent)
        yield StoredFile(path, descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> bool:
    """Unless a request holds it."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
    return True
