"""Blobs by the sha256 of their content.

A blob is written to a temporary name, flushed to the disk, and renamed: whoever sees it, sees all of it. Writing
what is there already costs one look.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from raven_scan.kernel.errors import NotFound, Unavailable

_CHUNK_BYTES = 1 << 20


def digest_file(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalBlobStore:
    """Blobs in a local folder, `ab/cd/abcd….`, read-only files.

    Args:
        folder: made with mode 0700 where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._incoming = folder / "incoming"
        self._incoming.mkdir(exist_ok=True, mode=0o700)

    def put_bytes(self, content: bytes) -> str:
        """Stores `content`, returns its digest. A full disk is Unavailable, and leaves nothing."""
        return self.put_chunks([content])

    def put_file(self, path: Path) -> str:
        """Stores a copy of the file, returns its digest. Reads the source once."""
        with path.open("rb") as file:
            return self.put_stream(file)

    def put_stream(self, stream: BinaryIO) -> str:
        return self.put_chunks(iter(lambda: stream.read(_CHUNK_BYTES), b""))

    def put_chunks(self, chunks: Iterable[bytes]) -> str:
        temporary = self._incoming / uuid4().hex
        digest = hashlib.sha256()
        try:
            with temporary.open("xb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o400)
            final = self._path(digest.hexdigest())
            if not final.exists():
                temporary.rename(self.make_path(digest.hexdigest()))
                _sync_folder(final.parent)
        except OSError as error:
            raise Unavailable(
                "storage.write_failed",
                f"Could not write to {self.folder}: {error.strerror}.",
                hint="Free some space, or check the folder's permissions.",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest()

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def make_path(self, digest: str) -> Path:
        """Where a blob goes, whose whole content is on the disk already; its folder is made."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def get_path(self, digest: str) -> Path:
        """The file that holds the blob; it must not be changed. Raises NotFound."""
        path = self._path(digest)
        if not path.exists():
            raise NotFound(
                "storage.blob_missing",
                f"The blob {digest} is not in {self.folder}.",
                hint="Restore it from a backup.",
                parameters={"digest": digest},
            )
        return path

    def get_bytes(self, digest: str) -> bytes:
        return self.get_path(digest).read_bytes()

    def size_bytes(self, digest: str) -> int:
        return self.get_path(digest).stat().st_size

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def remove(self, digest: str) -> None:
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self.folder.joinpath(digest[:2], digest[2:4], digest)


def _sync_folder(folder: Path) -> None:
    """Makes the rename last over a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
