"""Removes the blobs of a platform that nothing names any more."""

from sqlalchemy import func, select

from raven_scan.app.housekeeping.blob_needs import list_named_blobs
from raven_scan.app.wiring import Platform
from raven_scan.storage.collector import Collected, collect_blobs
from raven_scan.storage.removal import may_remove_blobs

_COLLECTOR_LOCK = 7_238_461_029_386


def collect_unnamed_blobs(platform: Platform, *, dry_run: bool = False) -> Collected | None:
    """Removes what nothing names and was put longer ago than a day; returns what that was, or would be.

    None: it is not the time, since a backup is being made, or another process collects.

    Raises:
        NotFound: a table of a dataset's images is lost, so that nobody can say what it names. Nothing is removed.
        Unavailable: the storage does not answer.
    """
    with platform.database.transaction() as session:
        if not dry_run and not (
            session.scalar(select(func.pg_try_advisory_xact_lock(_COLLECTOR_LOCK)))
            and may_remove_blobs(session)
        ):
            return None
        named = list_named_blobs(platform, allow_lost=dry_run)
        return collect_blobs(platform.blobs, named, platform.clock, dry_run=dry_run)
