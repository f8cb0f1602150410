"""Removes the blobs that nothing names."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice

import structlog

from raven_scan.kernel.clock import Clock
from raven_scan.storage.blob_store import BlobFacts, BlobStore

GRACE = timedelta(hours=24)
"""Between a blob's putting and its naming in the database: an import of a large dataset is the longest."""

_THREADS = 8
_AT_A_TIME = 200
"""Removals between two looks at whether to go on."""

_log = structlog.get_logger(__name__)


Turn = Callable[[], AbstractContextManager[bool]]
"""Entered around a few removals: whether blobs may be removed as long as it lasts."""


class CollectionInterrupted(Exception):  # noqa: N818 - it is an event rather than a fault
    """Whoever collects was asked to stop. What is gone is gone; the next collection finds the rest."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be."""

    blob_count: int
    blob_bytes: int
    leftover_count: int
    leftover_bytes: int


def go_on() -> None:
    """Nobody asks to stop."""


def collect_blobs(
    store: BlobStore,
    named: Iterable[str],
    clock: Clock,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    take_turn: Turn = lambda: nullcontext(enter_result=True),
    check: Callable[[], None] = go_on,
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
        take_turn: where it does not let blobs be removed, the rest is left to the next collection.
        check: called often; may raise CollectionInterrupted.

    Raises:
        Unavailable: the storage does not answer.
        CollectionInterrupted: `check` did.
    """
    than = clock.now() - grace
    # All are read before anything is removed; 32 bytes each, since there may be millions.
    kept = {bytes.fromhex(digest) for digest in named}
    candidates = (
        facts
        for facts in _watch(store.list_blobs(), check)
        if facts.modified_at < than and bytes.fromhex(facts.digest) not in kept
    )
    count = size_bytes = 0
    for facts in _go_through(store, candidates, than, take_turn, dry_run=dry_run):
        count += 1
        size_bytes += facts.size_bytes
    leftovers = store.remove_leftovers(than, dry_run=dry_run)
    collected = Collected(count, size_bytes, leftovers.count, leftovers.size_bytes)
    _log.info("storage.collected", dry_run=dry_run, named=len(kept), **asdict(collected))
    return collected


def _watch(blobs: Iterable[BlobFacts], check: Callable[[], None]) -> Iterator[BlobFacts]:
    for facts in blobs:
        check()
        yield facts


def _go_through(
    store: BlobStore, candidates: Iterator[BlobFacts], than: datetime, take_turn: Turn, *, dry_run: bool
) -> Iterator[BlobFacts]:
    """Yields those that went, or would."""

    def is_gone(facts: BlobFacts) -> bool:
        if not dry_run:
            return store.remove_if_older(facts.digest, than)
        now = store.find_facts(facts.digest)
        return now is not None and now.modified_at < than

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="collector") as threads:
        while group := list(islice(candidates, _AT_A_TIME)):
            with take_turn() as is_allowed:
                went = list(threads.map(is_gone, group)) if is_allowed else []
            if not is_allowed:
                _log.info("storage.collection_gave_way")
                return
            yield from (facts for facts, gone in zip(group, went, strict=True) if gone)
