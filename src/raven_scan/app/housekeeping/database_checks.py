"""Looks at the database's server, its schema and its clock."""

import shutil
import time
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, text

from raven_scan.app.housekeeping.checks import (
    Check,
    format_size,
    make_error,
    make_ok,
    make_repaired,
    make_warning,
)
from raven_scan.app.upkeep_trail import upgrade_tables
from raven_scan.kernel.database import Database
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.embedded_postgres.state_folder import MAJOR_VERSION
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.schema import find_revision, is_known_revision, is_schema_current
from raven_scan.kernel.settings import Settings

_LEFTOVER_AGE_S = 3600.0
_OLDEST_MAJOR_VERSION = 13
_SKEW_S = 2.0
_USED_CONNECTIONS = 0.8


def check_embedded_files(settings: Settings, *, repair: bool) -> Iterator[Check]:
    """What lies in the embedded database's folder, whether or not it runs."""
    server = EmbeddedPostgres(settings.home)
    try:
        now = server.status()
    except RavenError as error:
        yield make_error("database", error.message, error.hint)
        return
    if not now.running and (now.data_folder / "postmaster.pid").exists():
        yield make_ok(
            "database", "The embedded database was not stopped in order; it repairs itself when it starts."
        )
    for leftover in sorted(now.data_folder.parent.glob("initdb-*")):
        if now.running and time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE_S:
            yield _remove_leftover_of_start(leftover.name, repair=repair, settings=settings)


def check_server(database: Database, *, is_embedded: bool) -> Iterator[Check]:
    """Version, room for connections, and what PostgreSQL itself found damaged."""
    with database.engine.connect() as connection:
        version = str(connection.scalar(text("SHOW server_version"))).split(maxsplit=1)[0]
        major_version = int(version.partition(".")[0])
        size_bytes = int(_ask(connection, "SELECT pg_database_size(current_database())"))
        used = int(_ask(connection, "SELECT sum(numbackends) FROM pg_stat_database"))
        allowed = int(_ask(connection, "SELECT current_setting('max_connections')"))
        damaged = int(_ask(connection, "SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database"))
    kind = "embedded" if is_embedded else "external"
    yield make_ok("database", f"PostgreSQL {version}, {kind}, answers; it has {format_size(size_bytes)}.")
    if major_version < _OLDEST_MAJOR_VERSION:
        yield make_error(
            "database",
            f"PostgreSQL {version} is too old; {_OLDEST_MAJOR_VERSION} is the oldest that will do.",
            "Upgrade the server.",
        )
    if major_version > int(MAJOR_VERSION):
        yield make_warning(
            "database",
            f"`raven backup` does not read PostgreSQL {version}, only up to {MAJOR_VERSION}.",
            "Make backups with that server's own pg_dump, and copy the blobs after it.",
        )
    if damaged:
        yield make_error(
            "database",
            f"PostgreSQL has read {damaged} damaged pages: the disk gives back other data than was written.",
            "Make a backup into a new folder, check the disk, and restore on another one.",
        )
    if used > allowed * _USED_CONNECTIONS:
        yield make_warning(
            "database",
            f"{used} of {allowed} connections are taken.",
            "Raise max_connections, or run fewer servers and workers.",
        )


def check_schema(database: Database, *, is_embedded: bool, repair: bool) -> Iterator[Check]:
    """Whether the tables are those of this release."""
    with database.engine.connect() as connection:
        revision = find_revision(connection)
    if revision is not None and not is_known_revision(revision):
        yield make_error(
            "schema",
            f"The tables are of a later release (schema {revision}).",
            "Upgrade Raven Scan, or restore the backup that was made before.",
        )
    elif is_schema_current(database.engine):
        yield make_ok("schema", f"The tables are those of this release (schema {revision}).")
    elif repair and is_embedded:
        upgrade_tables(database)
        yield make_repaired("schema", f"The tables were of schema {revision}; they were brought up to date.")
    else:
        state = "There are no tables yet" if revision is None else f"The tables are of schema {revision}"
        hint = (
            "The next command brings them up to date."
            if is_embedded
            else "After a backup: `raven db upgrade`."
        )
        yield (make_warning if is_embedded else make_error)("schema", f"{state}.", hint)


def check_clock(database: Database) -> Iterator[Check]:
    """Leases hang on the database's clock alone; what people read, on both."""
    with database.engine.connect() as connection:
        before = time.time()
        told: datetime | None = connection.scalar(text("SELECT clock_timestamp()"))
        after = time.time()
    if told is None:
        return
    skew_s = told.timestamp() - (before + after) / 2
    if abs(skew_s) > _SKEW_S + (after - before) / 2:
        direction = "ahead of" if skew_s > 0 else "behind"
        yield make_warning(
            "clock",
            f"The database's clock is {abs(skew_s):.0f} s {direction} this machine's.",
            "Set both by NTP; times on screen and --start-at are off by so much.",
        )
    else:
        yield make_ok("clock", "The database's clock and this machine's agree.")


def _remove_leftover_of_start(name: str, *, repair: bool, settings: Settings) -> Check:
    folder = settings.home / "postgres" / name
    if not repair:
        return make_warning(
            "database",
            f"{folder} is left of a first start that was killed.",
            "It is of no use; `--repair` removes it.",
        )
    shutil.rmtree(folder, ignore_errors=True)
    return make_repaired("database", f"{folder} was left of a first start that was killed; it was removed.")


def _ask(connection: Connection, question: str) -> int | str:
    return connection.execute(text(question)).scalar_one()
