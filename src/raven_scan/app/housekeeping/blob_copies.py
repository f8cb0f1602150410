"""Copies blobs from one store to another, each checked on the way."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.progress import Progress
from raven_scan.storage.batches import open_batch
from raven_scan.storage.blob_store import BlobStore

_BATCH_BYTES = 256 << 20
_BATCH_COUNT = 1000
_LARGE_BYTES = 8 << 20


@dataclass(slots=True)
class BlobCopy:
    """What became of a copy.

    Attributes:
        count, size_bytes: of the blobs that were copied, those left out that were there already.
        missing: digests that the source lacks.
        damaged: digests whose content in the source is another.
    """

    count: int = 0
    size_bytes: int = 0
    missing: list[str] = field(default_factory=list[str])
    damaged: list[str] = field(default_factory=list[str])


def copy_blobs(
    source: BlobStore, target: BlobStore, digests: Collection[str], progress: Progress
) -> BlobCopy:
    """Copies those that the target lacks. What was copied stays, also where the rest fails."""
    copy = BlobCopy()
    wanted = target.find_missing(sorted(digests))
    done = 0
    for batch in _divide(source, wanted, copy):
        _copy_batch(source, target, batch, copy)
        done += len(batch)
        progress("copying blobs", done, len(wanted))
    return copy


def _divide(source: BlobStore, digests: list[str], copy: BlobCopy) -> Iterator[list[str]]:
    batch: list[str] = []
    size_bytes = 0
    for digest in digests:
        facts = source.find_facts(digest)
        if facts is None:
            copy.missing.append(digest)
            continue
        batch.append(digest)
        size_bytes += facts.size_bytes
        if size_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_COUNT:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def _copy_batch(source: BlobStore, target: BlobStore, digests: list[str], copy: BlobCopy) -> None:
    with open_batch(target) as batch:
        for digest in digests:
            try:
                path = source.get_path(digest)
                size_bytes = path.stat().st_size
                if size_bytes > _LARGE_BYTES:
                    is_good = target.put_file(path) == digest
                else:
                    content = path.read_bytes()
                    is_good = hashlib.sha256(content).hexdigest() == digest
                    if is_good:
                        batch.add(content, digest)
            except (NotFound, FileNotFoundError):
                copy.missing.append(digest)
                continue
            if not is_good:
                copy.damaged.append(digest)
                continue
            copy.count += 1
            copy.size_bytes += size_bytes
        batch.commit()
