"""Removes the blobs of a platform that nothing names any more; once a day what was in the trash for its time before.

Rows go first, and blobs after: killed at any instant, blobs are left that nothing names, which the next collection
finds. See decision 0115.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta

import structlog

from raven_scan.access.types import HOUSEKEEPER
from raven_scan.app.housekeeping.blob_needs import list_named_blobs
from raven_scan.app.housekeeping.trash import list_bins
from raven_scan.app.wiring import Platform
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.storage import collections
from raven_scan.storage.collector import Collected, CollectionInterrupted, collect_blobs, go_on
from raven_scan.storage.removal import may_remove_blobs

_log = structlog.get_logger(__name__)


def collect_if_due(platform: Platform, check: Callable[[], None] = go_on) -> bool:
    """Once a day, for all processes together: purges the trash, then collects blobs; tells whether it did.

    Args:
        platform: whose.
        check: called often; it raises CollectionInterrupted where this process is to end.
    """
    with platform.database.transaction() as session:
        if not collections.is_due(session, platform.clock.now()):
            return False
    with collections.hold_collector_turn(platform.database.engine) as is_ours:
        if not is_ours:
            return False
        id_ = make_id()
        with platform.database.transaction() as session:
            # Another may have ended just before this one's turn.
            if not collections.is_due(session, platform.clock.now()):
                return False
            collections.begin(session, id_, platform.clock.now())
        try:
            purged = purge_trash(platform, check)
            collected = _collect(platform, check)
        except CollectionInterrupted:
            with platform.database.transaction() as session:
                collections.forget(session, id_)
            _log.info("housekeeping.interrupted")
            return False
        with platform.database.transaction() as session:
            collections.end(
                session,
                id_,
                platform.clock.now(),
                purged_count=sum(purged.values()),
                blob_count=collected.blob_count,
                blob_bytes=collected.blob_bytes,
            )
    _log.info("housekeeping.done", purged=purged, **asdict(collected))
    return True


def purge_trash(platform: Platform, check: Callable[[], None] = go_on) -> dict[str, int]:
    """Removes for good what has been in the trash for its time; returns how many of each kind."""
    deleted_before = platform.clock.now() - timedelta(days=platform.settings.trash_days)
    purged: dict[str, int] = {}
    for each in list_bins(platform):
        check()
        purged[each.kind] = each.purge(HOUSEKEEPER, deleted_before)
    return purged


def collect_unnamed_blobs(platform: Platform, *, dry_run: bool = False) -> Collected | None:
    """Removes what nothing names and was put longer ago than a day; returns what that was, or would be.

    None: it is not the time, since a backup is being made, or another process collects.

    Raises:
        NotFound: a table of a dataset's images is lost, so that nobody can say what it names. Nothing is removed.
        Unavailable: the storage does not answer.
    """
    if dry_run:
        named = list_named_blobs(platform, allow_lost=True)
        return collect_blobs(platform.blobs, named, platform.clock, dry_run=True)
    with collections.hold_collector_turn(platform.database.engine) as is_ours:
        if not is_ours:
            return None
        with _take_turn(platform.database) as is_allowed:
            if not is_allowed:
                return None
        return _collect(platform, go_on)


def _collect(platform: Platform, check: Callable[[], None]) -> Collected:
    # Names are read before anything is removed. What is named only after has been put again just before, and is
    # young; so others may remove blobs, and backups may be made, between two turns.
    named = list_named_blobs(platform, check=check)
    return collect_blobs(
        platform.blobs,
        named,
        platform.clock,
        take_turn=lambda: _take_turn(platform.database),
        check=check,
    )


@contextmanager
def _take_turn(database: Database) -> Generator[bool]:
    with database.transaction() as session:
        yield may_remove_blobs(session)
