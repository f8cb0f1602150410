"""When blobs were collected, and that one process at a time does."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from raven_scan.storage.models import BlobCollection

INTERVAL = timedelta(days=1)
RETRY_INTERVAL = timedelta(hours=1)
"""After one that failed, or whose process was killed."""

_COLLECTOR_LOCK = 7_238_461_029_387
_KEPT = timedelta(days=365)


@contextmanager
def hold_collector_turn(engine: Engine) -> Generator[bool]:
    """Whether this process is the one that collects, as long as the context lasts; it ends with its connection."""
    # Detached: a connection that went back to the pool would keep the lock.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()
        yield bool(connection.scalar(select(func.pg_try_advisory_lock(_COLLECTOR_LOCK))))


def is_due(session: Session, now: datetime) -> bool:
    """Whether none ended within a day, and none was tried within an hour."""
    recent = (BlobCollection.ended_at > now - INTERVAL) | (BlobCollection.started_at > now - RETRY_INTERVAL)
    return session.scalar(select(BlobCollection.id).where(recent).limit(1)) is None


def begin(session: Session, id_: UUID, now: datetime) -> None:
    session.execute(delete(BlobCollection).where(BlobCollection.started_at < now - _KEPT))
    session.add(BlobCollection(id=id_, started_at=now))


def end(
    session: Session, id_: UUID, now: datetime, *, purged_count: int, blob_count: int, blob_bytes: int
) -> None:
    session.execute(
        update(BlobCollection)
        .where(BlobCollection.id == id_)
        .values(ended_at=now, purged_count=purged_count, blob_count=blob_count, blob_bytes=blob_bytes)
    )


def forget(session: Session, id_: UUID) -> None:
    """One that was interrupted: the next process need not wait."""
    session.execute(delete(BlobCollection).where(BlobCollection.id == id_))
