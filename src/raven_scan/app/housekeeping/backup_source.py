"""What a backup is made of: a database, and blobs of which it needs some."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from raven_scan.app.housekeeping.blob_needs import list_needed_blobs
from raven_scan.app.upkeep_trail import upgrade_tables
from raven_scan.app.wiring import Platform, build_services, hold_database
from raven_scan.kernel.clock import Clock, SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.schema import find_revision, is_known_revision, is_schema_current
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.opening import open_blob_store


@dataclass(frozen=True, slots=True)
class BackupSource:
    """What is to be backed up.

    Attributes:
        list_needed: digests of the blobs that the database needs, as seen by the transaction that is open; its
            argument: leave out what only a table names that is itself lost.
    """

    settings: Settings
    database: Database
    blobs: BlobStore
    clock: Clock
    list_needed: Callable[[bool], set[str]]


def make_source(platform: Platform) -> BackupSource:
    """The source that the platform is, whose tables are those of this release."""
    return BackupSource(
        settings=platform.settings,
        database=platform.database,
        blobs=platform.blobs,
        clock=platform.clock,
        list_needed=lambda allow_lost: list_needed_blobs(platform, allow_lost=allow_lost),
    )


@contextmanager
def open_source(settings: Settings) -> Generator[BackupSource]:
    """What the settings name. Tables of an earlier release are left as they are: a backup is made before an upgrade.

    Raises:
        Conflict: the tables are of a later release.
        Unavailable: the database cannot be had.
    """
    with hold_database(settings) as (database, holding):
        with database.engine.connect() as connection:
            revision = find_revision(connection)
        if revision is None and holding is not None:
            upgrade_tables(database)
        elif revision is not None and not is_known_revision(revision):
            raise Conflict(
                "database.later_release",
                f"The database is of a later release (schema {revision}).",
                hint="Make the backup with that release.",
                parameters={"schema_revision": revision},
            )
        if is_schema_current(database.engine):
            yield make_source(build_services(settings, database, holding))
        else:
            yield _make_earlier_source(settings, database)


def _make_earlier_source(settings: Settings, database: Database) -> BackupSource:
    """The services cannot read tables of an earlier release; so all blobs are taken for needed."""
    blobs = open_blob_store(settings)
    return BackupSource(
        settings=settings,
        database=database,
        blobs=blobs,
        clock=SystemClock(),
        list_needed=lambda _: {facts.digest for facts in blobs.list_blobs()},
    )
