"""Who may remove blobs, and when: not while a backup copies what the database named at one moment.

Whoever removes a blob that rows named once, and a collector too, asks `may_remove_blobs` in a transaction, and removes
it before that ends. A backup keeps them away by `keep_blobs`, and looks at the rows only then. So a blob that it saw
named stays until it is copied.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from psycopg.errors import LockNotAvailable
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Busy, RavenError
from raven_scan.storage.blob_store import BlobStore

REMOVAL_LOCK = 7_238_461_029_385
"""PostgreSQL's advisory lock: who removes blobs shares it, a backup has it alone."""

_TIMEOUT_S = 60.0


def remove_blobs(database: Database, store: BlobStore, digests: Sequence[str]) -> None:
    """Removes blobs that rows named until just now.

    They are left to the collector during a backup, and where the database or the storage went away: what they were
    removed for is done, and must not seem to have failed.
    """
    if not digests:
        return
    with suppress(SQLAlchemyError, RavenError, OSError), database.transaction() as session:
        if may_remove_blobs(session):
            for digest in digests:
                store.remove(digest)


def may_remove_blobs(session: Session) -> bool:
    """Whether blobs may be removed until this transaction ends. Where not, a collector finds them later."""
    # A storage far away takes its time.
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return session.scalars(select(func.pg_try_advisory_xact_lock_shared(REMOVAL_LOCK))).one()


@contextmanager
def keep_blobs(engine: Engine, *, timeout_s: float = _TIMEOUT_S) -> Generator[None]:
    """No blob is removed as long as the context lasts. Waits for removals that are under way.

    Raises:
        Busy: `storage.kept_by_another`: another process keeps them for longer than `timeout_s`.
    """
    # Detached: a connection that went back to the pool would keep the lock.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()
        # Not by trying again and again: whoever waits in line keeps others from taking the lock anew, so that a
        # collector gives way to a backup between two groups of removals.
        connection.execute(text(f"SET lock_timeout = {max(1, round(timeout_s * 1000))}"))
        try:
            connection.execute(select(func.pg_advisory_lock(REMOVAL_LOCK)))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            raise Busy(
                "storage.kept_by_another",
                "Another backup of this database is being made.",
                hint="Try again when it is done.",
            ) from None
        yield
