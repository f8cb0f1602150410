"""Blobs that are kept elsewhere, and used from a cache on this machine."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from raven_scan.kernel.errors import NotFound, Unavailable
from raven_scan.storage.blob_cache import BlobCache
from raven_scan.storage.blob_store import BlobFacts, BlobStore, Leftovers
from raven_scan.storage.disk import link_file
from raven_scan.storage.origins import BlobOrigin
from raven_scan.storage.scratch import hold_scratch_folder

_THREADS = 16
_LINKS_AT_A_TIME = 1000
_TRIES = 3

T = TypeVar("T")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


class RemoteBlobStore(BlobStore):
    """Blobs of an origin, read and written through a cache.

    Args:
        origin: where they are kept for good.
        cache: where they are used.
    """

    def __init__(self, origin: BlobOrigin, cache: BlobCache) -> None:
        self._origin = origin
        self._cache = cache
        self.incoming = cache.blobs.incoming

    def put_chunks(self, chunks: Iterable[bytes]) -> str:
        return self._upload(self._cache.blobs.put_chunks(chunks))

    def adopt_file(self, path: Path) -> str:
        return self._upload(self._cache.blobs.adopt_file(path))

    def take_folder(self, folder: Path) -> None:
        # From here first: in the cache they could be evicted before their turn comes.
        paths = sorted(folder.iterdir())
        size_bytes = sum(path.stat().st_size for path in paths)
        _run_all(lambda path: self._origin.upload(path.name, path), paths)
        self._cache.blobs.take_folder(folder)
        self._cache.note_growth(size_bytes)

    def refresh_if_near(self, digest: str) -> bool:
        del digest
        return False

    def has(self, digest: str) -> bool:
        return self._origin.has(digest)

    def find_missing(self, digests: Iterable[str], *, near_is_enough: bool = False) -> list[str]:
        asked = self._cache.blobs.find_missing(digests) if near_is_enough else list(digests)
        found = _run_all(self._origin.has, asked)
        return [digest for digest, is_there in zip(asked, found, strict=True) if not is_there]

    def get_path(self, digest: str) -> Path:
        if not self._cache.blobs.refresh(digest):
            self._fetch([digest])
        return self._cache.blobs.get_path(digest)

    def link_files(self, links: Sequence[tuple[str, str]]) -> None:
        place = os.path.abspath(self._cache.blobs.folder)  # noqa: PTH100
        for group in _cut(links, _LINKS_AT_A_TIME):
            # What is young is not evicted: whatever is there after this, stays until it is linked.
            absent = {digest for digest, _ in group if not self._cache.blobs.refresh(digest)}
            if absent:
                self._fetch(sorted(absent))
            for digest, link in group:
                # A symbolic link would not keep its target from being evicted.
                link_file(f"{place}/{digest[:2]}/{digest[2:4]}/{digest}", link, otherwise=shutil.copyfile)

    def find_facts(self, digest: str) -> BlobFacts | None:
        return self._origin.find_facts(digest)

    def list_blobs(self) -> Iterator[BlobFacts]:
        return self._origin.list_blobs()

    def verify(self, digest: str) -> bool:
        try:
            return _digest(self._origin.read(digest)) == digest
        except NotFound:
            return False

    def free_bytes(self) -> int:
        return self._cache.blobs.free_bytes()

    def remove(self, digest: str) -> None:
        self._origin.remove(digest)
        self._cache.blobs.remove(digest)

    def remove_if_older(self, digest: str, than: datetime) -> bool:
        if not self._origin.remove_if_older(digest, than):
            return False
        self._cache.blobs.remove(digest)
        return True

    def remove_leftovers(self, than: datetime, *, dry_run: bool) -> Leftovers:
        return self._cache.blobs.remove_leftovers(than, dry_run=dry_run) + self._origin.remove_leftovers(
            than, dry_run=dry_run
        )

    def _upload(self, digest: str) -> str:
        path = self._cache.blobs.get_path(digest)
        self._origin.upload(digest, path)
        self._cache.note_growth(path.stat().st_size)
        return digest

    def _fetch(self, digests: Sequence[str]) -> None:
        """Brings blobs into the cache: under a temporary name, checked, then renamed."""
        with hold_scratch_folder(self.incoming, "download") as folder:
            _run_all(lambda digest: self._download(digest, folder / digest), digests)
            size_bytes = sum(path.stat().st_size for path in folder.iterdir())
            self._cache.blobs.take_folder(folder)
        self._cache.note_growth(size_bytes)

    def _download(self, digest: str, path: Path) -> None:
        for _ in range(_TRIES):
            try:
                with path.open("wb") as file:
                    found = _digest(_tee(self._origin.read(digest), file.write))
            except OSError as error:
                raise Unavailable(
                    "storage.write_failed",
                    f"Could not write to {self._cache.blobs.folder}: {error.strerror}.",
                    hint="Free some space, or lower RAVEN_STORAGE_CACHE_BYTES.",
                ) from error
            if found == digest:
                path.chmod(0o400)
                return
            _log.warning("storage.damaged_on_arrival", digest=digest, origin=self._origin.name)
        raise Unavailable(
            "storage.damaged",
            f"The blob {digest} in {self._origin.name} has not the content that its name says.",
            hint="Restore it from a backup.",
            parameters={"digest": digest},
        )


def _run_all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """In parallel; the first failure ends it, once what has begun is over."""
    if len(items) == 1:
        return [work(items[0])]
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="remote-blobs")
    try:
        return list(threads.map(work, items))
    finally:
        threads.shutdown(cancel_futures=True)


def _cut(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _tee(chunks: Iterator[bytes], write: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        write(chunk)
        yield chunk


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
