"""Blobs in a folder.

A blob is written to a temporary name, flushed to the disk, and renamed: whoever sees it, sees all of it.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from raven_scan.kernel.errors import NotFound, Unavailable
from raven_scan.storage.blob_store import BlobFacts, BlobStore, Leftovers, digest_file
from raven_scan.storage.disk import CANNOT_LINK, link_file, sync_filesystem, sync_folder
from raven_scan.storage.scratch import remove_leftovers

__all__ = ["LocalBlobStore", "digest_file"]

_DIGEST_DIGITS = 64


class LocalBlobStore(BlobStore):
    """Blobs in a folder, `ab/cd/abcd….`, read-only files.

    Args:
        folder: made with mode 0700 where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.incoming = folder / "incoming"
        self.incoming.mkdir(exist_ok=True, mode=0o700)
        self._lock_path = folder / "collector.lock"

    def put_chunks(self, chunks: Iterable[bytes]) -> str:
        temporary = self.incoming / uuid4().hex
        digest = hashlib.sha256()
        try:
            with self._tell_failures():
                with temporary.open("xb") as file:
                    for chunk in chunks:
                        digest.update(chunk)
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.chmod(0o400)
                if not self.refresh(digest.hexdigest()):
                    final = self.make_path(digest.hexdigest())
                    temporary.rename(final)
                    sync_folder(final.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return digest.hexdigest()

    def adopt_file(self, path: Path) -> str:
        with path.open("rb") as file, self._tell_failures():
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if self.refresh(digest):
                return digest
            os.fchmod(file.fileno(), 0o400)
            os.utime(file.fileno())
            final = self.make_path(digest)
            try:
                # A link that the path may be is not what is to be kept, but the file it leads to.
                os.link(path.resolve(), final)
            except FileExistsError:
                pass  # another process put it meanwhile, and young
            except OSError as error:
                if error.errno not in CANNOT_LINK:
                    raise
                return self.put_file(path)
            sync_folder(final.parent)
        return digest

    def take_folder(self, folder: Path) -> None:
        with self._tell_failures():
            sync_filesystem(folder)
            for path in sorted(folder.iterdir()):
                path.rename(self.make_path(path.name))
            sync_filesystem(self.folder)

    def refresh(self, digest: str) -> bool:
        """Whether the blob is there; it is young again then."""
        with self._hold_lock(fcntl.LOCK_SH):
            try:
                os.utime(self._path(digest))
            except FileNotFoundError:
                return False
        return True

    def refresh_if_near(self, digest: str) -> bool:
        return self.refresh(digest)

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def find_missing(self, digests: Iterable[str], *, near_is_enough: bool = False) -> list[str]:
        del near_is_enough
        return [digest for digest in digests if not self.has(digest)]

    def make_path(self, digest: str) -> Path:
        """Where a blob goes, whose whole content is on the disk already; its folder is made."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def get_path(self, digest: str) -> Path:
        path = self._path(digest)
        if not path.exists():
            raise make_blob_missing(digest, str(self.folder))
        return path

    def link_files(self, links: Sequence[tuple[str, str]]) -> None:
        # Text instead of paths: there may be a hundred thousand.
        place = os.path.abspath(self.folder)  # noqa: PTH100
        for digest, link in links:
            target = f"{place}/{digest[:2]}/{digest[2:4]}/{digest}"
            try:
                link_file(target, link, otherwise=os.symlink)
            except FileNotFoundError:
                self.get_path(digest)
                raise

    def find_facts(self, digest: str) -> BlobFacts | None:
        try:
            status = self._path(digest).stat()
        except FileNotFoundError:
            return None
        return BlobFacts(digest, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def list_blobs(self) -> Iterator[BlobFacts]:
        for folder in sorted(self.folder.glob("??/??")):
            for path in folder.iterdir():
                facts = self.find_facts(path.name) if len(path.name) == _DIGEST_DIGITS else None
                if facts is not None:
                    yield facts

    def verify(self, digest: str) -> bool:
        try:
            return digest_file(self._path(digest)) == digest
        except FileNotFoundError:
            return False

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def remove(self, digest: str) -> None:
        self._path(digest).unlink(missing_ok=True)

    def remove_if_older(self, digest: str, than: datetime) -> bool:
        # Whoever puts it now waits for this look, and then finds it gone, or has made it young before.
        with self._hold_lock(fcntl.LOCK_EX):
            facts = self.find_facts(digest)
            if facts is None or facts.modified_at >= than:
                return False
            self.remove(digest)
        return True

    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers:
        return Leftovers(*remove_leftovers(self.incoming, than, dry_run=dry_run))

    def _path(self, digest: str) -> Path:
        return self.folder.joinpath(digest[:2], digest[2:4], digest)

    @contextmanager
    def _hold_lock(self, kind: int) -> Generator[None]:
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _tell_failures(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                "storage.write_failed",
                f"Could not write to {self.folder}: {error.strerror}.",
                hint="Free some space, or check the folder's permissions.",
            ) from error


def make_blob_missing(digest: str, place: str) -> NotFound:
    return NotFound(
        "storage.blob_missing",
        f"The blob {digest} is not in {place}.",
        hint="Restore it from a backup.",
        parameters={"digest": digest},
    )
