"""Makes a backup while everything goes on: one moment of the database, and every blob that it names."""

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, text

import raven_scan
from raven_scan.app.housekeeping.backup_folder import FORMAT, BackupFolder, Manifest
from raven_scan.app.housekeeping.backup_source import BackupSource
from raven_scan.app.housekeeping.blob_copies import BlobCopy, copy_blobs
from raven_scan.app.housekeeping.checks import format_size
from raven_scan.app.housekeeping.database_dump import SCHEMA, check_server_version, dump_database
from raven_scan.app.upkeep_trail import record_upkeep
from raven_scan.kernel.errors import Conflict, Unavailable
from raven_scan.kernel.progress import Progress
from raven_scan.kernel.schema import find_revision
from raven_scan.storage.blob_store import BlobStore, digest_file
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.storage.disk import sync_filesystem
from raven_scan.storage.removal import keep_blobs
from raven_scan.storage.scratch import hold_scratch_folder

_LISTED = 20
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What was made.

    Attributes:
        copied: the blobs that the folder did not have before.
        removed_count: blobs of the backup before that this one does not need.
    """

    folder: Path
    manifest: Manifest
    copied: BlobCopy
    removed_count: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Moment:
    """The database at one moment, dumped."""

    revision: str
    row_counts: dict[str, int]
    builtin_model_count: int
    postgres_version: str
    needed: set[str]


def create_backup(
    source: BackupSource, path: Path, progress: Progress, *, allow_missing: bool = False
) -> BackupResult:
    """Makes a backup, or the next one in a folder that holds one already: then only new blobs are copied.

    Args:
        source: may be at work meanwhile, in any number of processes.
        path: of the folder; it must not be in the data folder.
        progress: told of stages.
        allow_missing: also where the storage has lost blobs.

    Raises:
        Conflict: the folder is another one's, blobs are missing or damaged, or the server is too new.
        Busy: another backup is being made.
        Unavailable: the disk is full, or the database went away.
    """
    started = time.monotonic()
    folder = BackupFolder(path)
    _check_place(folder, source.settings.home)
    folder.prepare()
    with folder.hold(alone=True):
        try:
            return _create(source, folder, progress, allow_missing=allow_missing, started=started)
        except OSError as error:
            raise folder.make_error(error) from error


def _create(
    source: BackupSource, folder: BackupFolder, progress: Progress, *, allow_missing: bool, started: float
) -> BackupResult:
    target = LocalBlobStore(folder.blobs_folder)
    progress("looking", 0, 0)
    # Hours, it may be, in which blobs may come and go; what is left for the time in which none may go is little.
    ahead = _copy(source.blobs, target, source.list_needed(allow_missing), progress)
    now = source.clock.now()
    backup_id = f"{now:%Y%m%dT%H%M%SZ}-{token_hex(4)}"
    with (
        hold_scratch_folder(folder.database_folder, "incoming") as scratch,
        keep_blobs(source.database.engine),
    ):
        dump, sums = scratch / "dump", scratch / "sums"
        moment = _dump(source, dump, progress, allow_lost=allow_missing)
        copied = _copy(source.blobs, target, moment.needed, progress)
        _check_whole(copied, allow_missing=allow_missing)
        kept = moment.needed.difference(copied.missing, copied.damaged)
        dump_sha256 = digest_file(dump)
        folder.write_sums(sums, backup_id, dump_sha256, sorted(kept))
        manifest = Manifest(
            format=FORMAT,
            id=backup_id,
            created_at=now,
            release=raven_scan.__version__,
            schema_revision=moment.revision,
            postgres_version=moment.postgres_version,
            row_counts=moment.row_counts,
            builtin_model_count=moment.builtin_model_count,
            blob_count=len(kept),
            blob_size_bytes=_measure(target, kept),
            missing_blobs=sorted({*copied.missing, *copied.damaged}),
            dump_sha256=dump_sha256,
            dump_size_bytes=dump.stat().st_size,
            sums_sha256=digest_file(sums),
        )
        dump.chmod(0o600)
        dump.rename(folder.make_dump_path(backup_id))
        sums.rename(folder.make_sums_path(backup_id))
        sync_filesystem(folder.path)
        folder.write_manifest(manifest)
    record_upkeep(source.database, "backup.created", backup=manifest.id, folder=folder.path)
    progress("tidying", 0, 0)
    removed_count = folder.remove_all_but(manifest, frozenset(kept))
    copied.count += ahead.count
    copied.size_bytes += ahead.size_bytes
    return BackupResult(folder.path, manifest, copied, removed_count, time.monotonic() - started)


def _check_place(folder: BackupFolder, home: Path) -> None:
    place = folder.path.resolve()
    if place.is_relative_to(home.resolve()) or home.resolve().is_relative_to(place):
        raise Conflict(
            "backup.inside_home",
            f"{folder.path} and the data folder {home} are one inside the other.",
            hint="Name a folder elsewhere, best on another disk or machine.",
            parameters={"folder": str(folder.path), "home": str(home)},
        )


def _dump(source: BackupSource, file: Path, progress: Progress, *, allow_lost: bool) -> _Moment:
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with source.database.transaction() as session:
        connection = session.connection(execution_options=options)
        # Idle for as long as pg_dump works on what it exports.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        snapshot = str(connection.scalar(text("SELECT pg_export_snapshot()")))
        server_version = str(connection.scalar(text("SHOW server_version")))
        check_server_version(int(str(connection.scalar(text("SHOW server_version_num")))) // 10_000)
        row_counts = count_rows(connection)
        moment = _Moment(
            revision=find_revision(connection) or "",
            row_counts=row_counts,
            builtin_model_count=count_builtin_models(connection, row_counts),
            postgres_version=server_version.split(maxsplit=1)[0],
            # The services' own transactions join this one, and see the same moment.
            needed=source.list_needed(allow_lost),
        )
        if "alembic_version" not in moment.row_counts:
            raise Conflict(
                "backup.no_tables",
                f"There are no tables of the platform in PostgreSQL's schema {SCHEMA!r}, which is what is backed up.",
                hint="Set RAVEN_DATABASE_URL to the platform's database; were the tables made in another schema, "
                "move them there.",
            )
        progress("dumping the database", 0, 0)
        dump_database(
            source.database.engine.url,
            file,
            snapshot=snapshot,
            on_size=lambda size_bytes: progress("dumping the database", size_bytes, 0),
        )
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return moment


def count_rows(connection: Connection) -> dict[str, int]:
    """Rows of every table of the platform's schema."""
    tables = connection.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace(:schema)"
            " ORDER BY relname"
        ),
        {"schema": SCHEMA},
    ).all()
    count = SQL("SELECT count(*) FROM {}")
    return {
        table: int(connection.scalar(text(count.format(Identifier(SCHEMA, table)).as_string())) or 0)
        for table in tables
    }


def count_builtin_models(connection: Connection, row_counts: Mapping[str, int]) -> int:
    """Models that came with the platform, which nobody counts as theirs."""
    if "trained_models" not in row_counts:
        return 0
    count = SQL("SELECT count(*) FROM {} WHERE origin = 'builtin'").format(
        Identifier(SCHEMA, "trained_models")
    )
    return int(connection.scalar(text(count.as_string())) or 0)


def _copy(source: BlobStore, target: LocalBlobStore, needed: Collection[str], progress: Progress) -> BlobCopy:
    missing = target.find_missing(needed)
    size_bytes = _measure(source, missing)
    free_bytes = target.free_bytes()
    if size_bytes + _SPARE_BYTES > free_bytes:
        raise Unavailable(
            "backup.disk_full",
            f"The blobs to copy have {format_size(size_bytes)}, the dump comes to them, and the disk of "
            f"{target.folder.parent} has {format_size(free_bytes)} free.",
            hint="Free some space, or name a folder on another disk.",
            parameters={"needed_bytes": size_bytes + _SPARE_BYTES, "free_bytes": free_bytes},
        )
    return copy_blobs(source, target, missing, progress)


def _measure(store: BlobStore, digests: Collection[str]) -> int:
    return sum(facts.size_bytes for digest in digests if (facts := store.find_facts(digest)) is not None)


def _check_whole(copied: BlobCopy, *, allow_missing: bool) -> None:
    lost = [*copied.missing, *copied.damaged]
    if lost and not allow_missing:
        raise Conflict(
            "backup.blobs_lost",
            f"Of the blobs that the database names, {len(copied.missing)} are missing and {len(copied.damaged)} "
            f"are damaged; the first is {lost[0]}.",
            hint="`raven doctor --deep` looks for more. `--allow-missing` makes the backup without them.",
            parameters={"missing": copied.missing[:_LISTED], "damaged": copied.damaged[:_LISTED]},
        )
