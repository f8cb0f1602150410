"""Where the blobs of a remote store are kept for good."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from raven_scan.kernel.errors import Unavailable
from raven_scan.storage.blob_store import CHUNK_BYTES, BlobFacts, Leftovers
from raven_scan.storage.blobs import LocalBlobStore


class BlobOrigin(Protocol):
    """Keeps blobs; a call that fails for a while is tried again, and then is Unavailable.

    Attributes:
        name: for messages, such as `s3://bucket/prefix`; holds no secret.
    """

    name: str

    def upload(self, digest: str, path: Path) -> None:
        """Keeps the content of a complete file, which has this digest; seen whole or not at all, and young."""
        ...

    def read(self, digest: str) -> Iterator[bytes]:
        """The content in pieces, unchecked. Raises NotFound."""
        ...

    def has(self, digest: str) -> bool: ...

    def find_facts(self, digest: str) -> BlobFacts | None: ...

    def list_blobs(self) -> Iterator[BlobFacts]: ...

    def remove(self, digest: str) -> None: ...

    def remove_if_older(self, digest: str, than: datetime) -> bool: ...

    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers: ...


class FolderOrigin:
    """A folder of a network file system.

    Args:
        folder: must be there: one that is missing is taken for a file system that is not mounted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = folder.as_uri()

    def upload(self, digest: str, path: Path) -> None:
        with self._open() as blobs:
            if not blobs.refresh(digest):
                blobs.put_file(path)

    def read(self, digest: str) -> Iterator[bytes]:
        with self._open() as blobs, blobs.get_path(digest).open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def has(self, digest: str) -> bool:
        with self._open() as blobs:
            return blobs.has(digest)

    def find_facts(self, digest: str) -> BlobFacts | None:
        with self._open() as blobs:
            return blobs.find_facts(digest)

    def list_blobs(self) -> Iterator[BlobFacts]:
        with self._open() as blobs:
            yield from blobs.list_blobs()

    def remove(self, digest: str) -> None:
        with self._open() as blobs:
            blobs.remove(digest)

    def remove_if_older(self, digest: str, than: datetime) -> bool:
        with self._open() as blobs:
            return blobs.remove_if_older(digest, than)

    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers:
        with self._open() as blobs:
            return blobs.remove_leftovers(than, dry_run=dry_run)

    @contextmanager
    def _open(self) -> Generator[LocalBlobStore]:
        if not self._folder.is_dir():
            raise self._make_error("the folder is not there")
        try:
            yield LocalBlobStore(self._folder)
        except OSError as error:
            raise self._make_error(error.strerror or "input or output failed") from error

    def _make_error(self, reason: str) -> Unavailable:
        return Unavailable(
            "storage.unavailable",
            f"The storage {self.name} cannot be used: {reason}.",
            hint="Mount its file system, or correct RAVEN_STORAGE_URL; then try again.",
        )
