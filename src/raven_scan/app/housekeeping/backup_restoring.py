"""Brings a backup back: blobs first, then the whole database in one transaction."""

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from raven_scan.app.housekeeping.backup_creation import count_builtin_models, count_rows
from raven_scan.app.housekeeping.backup_folder import BackupFolder, Manifest
from raven_scan.app.housekeeping.blob_copies import BlobCopy, copy_blobs
from raven_scan.app.housekeeping.checks import format_size
from raven_scan.app.housekeeping.database_dump import check_dump, restore_database
from raven_scan.app.upkeep_trail import record_upkeep
from raven_scan.app.wiring import hold_database
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.errors import Conflict, Damaged, Unavailable
from raven_scan.kernel.progress import Progress
from raven_scan.kernel.schema import is_known_revision, upgrade_schema
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.opening import open_blob_store

_SHOWN = 100
# A process that has just ended leaves its session behind for an instant.
_SESSION_END_S = 2.0
_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What was brought back.

    Attributes:
        aside: PostgreSQL's schema that the tables live on in which were there before; None where there were none.
        is_upgraded: the backup was of an earlier release, and its tables were brought up to date.
        copied: blobs that the storage did not have, or had damaged.
    """

    manifest: Manifest
    aside: str | None
    is_upgraded: bool
    copied: BlobCopy


def verify_backup(path: Path, progress: Progress) -> Manifest:
    """Reads every byte of a backup.

    Raises:
        NotFound: there is none.
        Damaged: `backup.damaged` with all its problems, or the manifest itself cannot be read.
        Conflict: it is of a later release.
    """
    folder = BackupFolder(path)
    with folder.hold(alone=False):
        return _verify(folder, progress)


def _verify(folder: BackupFolder, progress: Progress) -> Manifest:
    manifest = folder.read_manifest()
    if not is_known_revision(manifest.schema_revision):
        raise Conflict(
            "backup.later_release",
            f"The backup in {folder.path} was made by a later release ({manifest.release}, "
            f"schema {manifest.schema_revision}).",
            hint="Upgrade Raven Scan, then restore it.",
            parameters={"release": manifest.release, "schema_revision": manifest.schema_revision},
        )
    problems = folder.find_problems(manifest, progress)
    dump = folder.make_dump_path(manifest.id)
    if not problems and (complaint := check_dump(dump)) is not None:
        raise _make_damaged(folder, f"pg_restore cannot read {dump.name}: {complaint}", [], 1)
    if problems:
        first = problems[0]
        raise _make_damaged(
            folder,
            f"{first.file}: {first.message}",
            [problem.describe() for problem in problems[:_SHOWN]],
            len(problems),
        )
    return manifest


def _make_damaged(folder: BackupFolder, first: str, problems: list[dict[str, Any]], count: int) -> Damaged:
    more = f" And {count - 1} more." if count > 1 else ""
    return Damaged(
        "backup.damaged",
        f"The backup in {folder.path} is damaged. {first}{more}",
        hint="Use another copy. Where the platform still has what is damaged, remove these files and run "
        "`raven backup create` again: it copies what is missing.",
        parameters={"problem_count": count, "problems": problems},
    )


class RestoreTarget:
    """A database and a blob store that a backup may be restored to.

    Attributes:
        row_counts: of the tables that are there; empty where there are none.
        builtin_model_count: those of the models that came with the platform.
    """

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        with database.engine.connect() as connection:
            _check_alone(connection)
            self.row_counts = count_rows(connection)
            self.builtin_model_count = count_builtin_models(connection, self.row_counts)

    def restore(self, path: Path, progress: Progress, *, replace: bool = False) -> RestoreResult:
        """Restores, after the whole backup was read and found good. Killed at any instant, what was there is there.

        Args:
            path: the backup's folder. The SQL in it is executed: it must come from somebody who is trusted.
            progress: told of stages.
            replace: where there are tables, give their schema another name; they are not removed.

        Raises:
            NotFound, Damaged, Conflict: as `verify_backup`.
            Conflict: there are tables and `replace` is not set, or processes use them.
            Unavailable: the disk is full, or PostgreSQL refused something; the database is as it was.
        """
        folder = BackupFolder(path)
        with folder.hold(alone=False):
            if self.row_counts and not replace:
                raise Conflict(
                    "backup.target_not_empty",
                    "The database that was to be restored has tables already.",
                    hint="--replace moves them aside; or set RAVEN_HOME or RAVEN_DATABASE_URL to another one.",
                )
            manifest = _verify(folder, progress)
            aside = f"replaced_{SystemClock().now():%Y%m%d_%H%M%S}" if self.row_counts else None
            # All that is there: tables that are too damaged or too new to be read may name any of it.
            kept = [facts.digest for facts in self._blobs.list_blobs()] if aside else []
            copied = self._copy_blobs(folder, folder.list_digests(manifest), progress)
            progress("restoring the database", 0, 0)
            with self._database.engine.connect() as connection:
                _check_alone(connection)
                version = int(str(connection.scalar(text("SHOW server_version_num")))) // 10_000
            restore_database(
                self._database.engine.url,
                folder.make_dump_path(manifest.id),
                server_major_version=version,
                aside=aside,
                kept=kept,
                row_counts=manifest.row_counts,
            )
        progress("bringing the tables up to date", 0, 0)
        is_upgraded = upgrade_schema(self._database.engine)
        # In the trail that was restored: it goes on from the moment that the backup is of.
        record_upkeep(
            self._database, "backup.restored", backup=manifest.id, created_at=manifest.created_at, aside=aside
        )
        return RestoreResult(manifest, aside, is_upgraded, copied)

    def _copy_blobs(self, folder: BackupFolder, digests: list[str], progress: Progress) -> BlobCopy:
        source = LocalBlobStore(folder.blobs_folder)
        missing = set(self._blobs.find_missing(digests))
        size_bytes = sum(source.size_bytes(digest) for digest in missing)
        if isinstance(self._blobs, LocalBlobStore) and size_bytes > self._blobs.free_bytes():
            raise Unavailable(
                "backup.disk_full",
                f"The blobs to restore have {format_size(size_bytes)}, and the disk of the data folder has "
                f"{format_size(self._blobs.free_bytes())} free.",
                hint="Free some space. Nothing was changed.",
                parameters={"needed_bytes": size_bytes},
            )
        there = [digest for digest in digests if digest not in missing]
        for number, digest in enumerate(there):
            progress("checking what is there", number, len(there))
            if not self._blobs.verify(digest):
                self._blobs.remove(digest)
                missing.add(digest)
        return copy_blobs(source, self._blobs, missing, progress)


@contextmanager
def open_restore_target(settings: Settings) -> Generator[RestoreTarget]:
    """What the settings name; an embedded database is made where there is none.

    Raises:
        Conflict: other processes use the database.
        Unavailable: it cannot be had.
    """
    with hold_database(settings) as (database, holding):
        if holding is not None:
            _check_no_holders(settings)
        yield RestoreTarget(database, open_blob_store(settings))


def _check_no_holders(settings: Settings) -> None:
    """Whoever holds the embedded database may use it at any moment, also without a connection now."""
    others = [each for each in EmbeddedPostgres(settings.home).status().holders if each.pid != os.getpid()]
    if others:
        raise _make_in_use([{"pid": holder.pid, "name": holder.command} for holder in others])


def _check_alone(connection: Connection) -> None:
    """Other processes would go on working for runs and models that are no more."""
    deadline = time.monotonic() + _SESSION_END_S
    while others := _list_other_sessions(connection):
        if time.monotonic() > deadline:
            raise _make_in_use([{"pid": pid, "name": name} for pid, name in others])
        time.sleep(_INTERVAL_S)


def _list_other_sessions(connection: Connection) -> list[tuple[int, str]]:
    rows = connection.execute(
        text(
            "SELECT pid, coalesce(application_name, '') FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename IS NOT NULL AND pid <> pg_backend_pid()"
            " AND coalesce(backend_type, 'client backend') = 'client backend'"
        )
    )
    sessions = [(int(pid), str(name)) for pid, name in rows]
    # PostgreSQL shows a transaction the same sessions all the time.
    connection.rollback()
    return sessions


def _make_in_use(users: list[dict[str, Any]]) -> Conflict:
    return Conflict(
        "backup.database_in_use",
        f"Others use the database: {len(users)}, the first with process id {users[0]['pid']}.",
        hint="Stop servers, workers and commands of this data folder (`raven db status` names them), then try again.",
        parameters={"users": users[:_SHOWN]},
    )
