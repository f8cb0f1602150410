"""Removes the blobs that nothing names."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice

import structlog

from raven_scan.kernel.clock import Clock
from raven_scan.storage.blob_store import BlobFacts, BlobStore

GRACE = timedelta(hours=24)
"""Between a blob's putting and its naming in the database: an import of a large dataset is the longest."""

_THREADS = 8
_AT_A_TIME = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be."""

    blob_count: int
    blob_bytes: int
    leftover_count: int
    leftover_bytes: int


def collect_blobs(
    store: BlobStore, named: Iterable[str], clock: Clock, *, grace: timedelta = GRACE, dry_run: bool = False
) -> Collected:
    """Remove the blobs that are not named and were put longer than `grace` ago, and what killed processes left.

    A blob that is put again meanwhile stays: its age is looked at right before it goes. One collector at a time;
    the storage must belong to one database alone, whose names these are.

    Args:
        store: to be cleaned.
        named: every digest that the database names.
        clock: to tell ages.
        grace: longer than any import takes; and several times `s3_origin.REFRESH_AFTER`.
        dry_run: only counts.

    Raises:
        Unavailable: the storage does not answer.
    """
    than = clock.now() - grace
    # All are read before anything is removed; 32 bytes each, since there may be millions.
    kept = {bytes.fromhex(digest) for digest in named}
    candidates = (
        facts
        for facts in store.list_blobs()
        if facts.modified_at < than and bytes.fromhex(facts.digest) not in kept
    )
    count = size_bytes = 0
    for facts in _go_through(store, candidates, than, dry_run=dry_run):
        count += 1
        size_bytes += facts.size_bytes
    leftovers = store.remove_leftovers(than, dry_run=dry_run)
    collected = Collected(count, size_bytes, leftovers.count, leftovers.size_bytes)
    _log.info("storage.collected", dry_run=dry_run, named=len(kept), **asdict(collected))
    return collected


def _go_through(
    store: BlobStore, candidates: Iterator[BlobFacts], than: datetime, *, dry_run: bool
) -> Iterator[BlobFacts]:
    """Yields those that went, or would."""

    def is_gone(facts: BlobFacts) -> bool:
        if not dry_run:
            return store.remove_if_older(facts.digest, than)
        now = store.find_facts(facts.digest)
        return now is not None and now.modified_at < than

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="collector") as threads:
        while group := list(islice(candidates, _AT_A_TIME)):
            went = threads.map(is_gone, group)
            yield from (facts for facts, gone in zip(group, went, strict=True) if gone)
