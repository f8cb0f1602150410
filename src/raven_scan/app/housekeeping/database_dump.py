"""Dumps of a database, and how they are read back: by pg_dump, pg_restore and psql, which come in a package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Composable, Identifier, Literal
from sqlalchemy import URL

from raven_scan.kernel import database
from raven_scan.kernel.embedded_postgres.programs import find_programs
from raven_scan.kernel.embedded_postgres.state_folder import MAJOR_VERSION
from raven_scan.kernel.errors import Conflict, Unavailable
from raven_scan.kernel.schema import SCHEMA_LOCK

SCHEMA = "public"
"""PostgreSQL's schema that all tables are in."""

KEPT_TABLE = "kept_blobs"
"""In a schema that was moved aside: the digests of the blobs that its tables may name."""

_LOCK_TIMEOUT_MS = 60_000
_POLL_S = 0.2
_PREAMBLE_END = b"SELECT pg_catalog.set_config('search_path'"
# pg_restore sets it whatever the server; earlier ones do not know it.
_NEW_SETTING = b"SET transaction_timeout"
_NEW_SETTING_SINCE = 17


def check_server_version(major_version: int) -> None:
    """Raises Conflict where pg_dump is older than the server, and so cannot read it."""
    if major_version > int(MAJOR_VERSION):
        raise Conflict(
            "backup.server_too_new",
            f"The database's server is PostgreSQL {major_version}; the pg_dump of this release is of "
            f"{MAJOR_VERSION} and does not read later ones.",
            hint=f"Use pg_dump of PostgreSQL {major_version} and copy the blobs after it, "
            "or upgrade Raven Scan.",
            parameters={"server": major_version, "pg_dump": int(MAJOR_VERSION)},
        )


def dump_database(url: URL, file: Path, *, snapshot: str, on_size: Callable[[int], None]) -> None:
    """Writes the tables as a transaction sees them that exported its snapshot and is still open.

    Args:
        url: of the database, with the password.
        file: is made, in pg_dump's custom format.
        snapshot: what pg_export_snapshot() said.
        on_size: told of the file's size in bytes meanwhile.

    Raises:
        Unavailable: pg_dump failed; its last words are in the parameters.
    """
    target, environment = _make_connection(url)
    command = [
        _find_client("pg_dump"),
        f"--dbname={target}",
        "--no-password",
        "--format=custom",
        "--compress=gzip:1",
        f"--schema={SCHEMA}",
        "--no-owner",
        "--no-privileges",
        f"--lock-wait-timeout={_LOCK_TIMEOUT_MS}",
        f"--snapshot={snapshot}",
        f"--file={file}",
    ]
    with tempfile.TemporaryFile() as complaints:
        with _start(command, environment, stdout=subprocess.DEVNULL, stderr=complaints) as process:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                with suppress(FileNotFoundError):
                    on_size(file.stat().st_size)
        if process.returncode != 0:
            raise _make_error("backup.dump_failed", "The database could not be dumped", complaints)


def restore_database(
    url: URL,
    file: Path,
    *,
    server_major_version: int,
    aside: str | None,
    kept: Iterable[str],
    row_counts: Mapping[str, int],
) -> None:
    """Fills a database from a dump, in one transaction: all of it or nothing, also where anything is killed.

    Args:
        url: of the database, with the password.
        file: what `dump_database` wrote. Its SQL is executed: it must come from somebody who is trusted.
        server_major_version: of the server that is to take it.
        aside: the schema's new name, where there are tables already; they go on living under it.
        kept: digests of the blobs that must not be collected as long as that schema is there.
        row_counts: rows that each table must have afterwards.

    Raises:
        Unavailable: PostgreSQL refused something, and nothing was changed.
    """
    target, environment = _make_connection(url)
    reading = [_find_client("pg_restore"), f"--schema={SCHEMA}", "--no-owner", "--no-privileges", "--file=-"]
    writing = [
        _find_client("psql"),
        f"--dbname={target}",
        "--no-password",
        "--no-psqlrc",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
    ]
    with (
        tempfile.TemporaryFile() as complaints,
        _start([*reading, str(file)], environment, stdout=subprocess.PIPE, stderr=complaints) as reader,
        _start(
            writing, environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints
        ) as writer,
    ):
        assert reader.stdout is not None  # noqa: S101 - as was asked for
        assert writer.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):
            _write(writer.stdin, _list_first_statements(aside))
            if aside is not None:
                _write_kept(writer.stdin, aside, kept)
            _copy_script(reader.stdout, writer.stdin, server_major_version)
            if reader.wait() == 0:
                # Only now: whoever is killed before has said no COMMIT, and nothing has happened.
                _write(writer.stdin, _list_last_statements(row_counts))
        with suppress(BrokenPipeError):
            writer.stdin.close()
        reader.stdout.close()
        if reader.wait() != 0 or writer.wait() != 0:
            raise _make_error(
                "backup.restore_failed",
                "The database could not be restored, and was not changed",
                complaints,
            )


def check_dump(file: Path) -> str | None:
    """What pg_restore says against the whole file; None where it can read it."""
    command = [_find_client("pg_restore"), "--file=/dev/null", str(file)]
    with tempfile.TemporaryFile() as complaints:
        with _start(command, os.environ, stdout=subprocess.DEVNULL, stderr=complaints) as process:
            process.wait()
        return None if process.returncode == 0 else _read_last_words(complaints)


def _list_first_statements(aside: str | None) -> Iterator[Composable]:
    yield SQL("BEGIN")
    yield SQL("SET client_min_messages = warning")
    # Who opens the platform meanwhile waits before it would make tables itself.
    yield SQL("SELECT pg_advisory_xact_lock({})").format(Literal(SCHEMA_LOCK))
    if aside is not None:
        schema = Identifier(SCHEMA)
        yield SQL("ALTER SCHEMA {} RENAME TO {}").format(schema, Identifier(aside))
        yield SQL("CREATE SCHEMA {}").format(schema)
        yield SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(schema)


def _write_kept(stream: IO[bytes], schema: str, digests: Iterable[str]) -> None:
    table = Identifier(schema, KEPT_TABLE)
    _write(stream, iter([SQL("CREATE TABLE {} (digest text PRIMARY KEY)").format(table)]))
    _write(stream, iter([SQL("COPY {} FROM STDIN").format(table)]))
    for digest in digests:
        stream.write(digest.encode() + b"\n")
    stream.write(b"\\.\n")


def _list_last_statements(row_counts: Mapping[str, int]) -> Iterator[Composable]:
    for table, row_count in row_counts.items():
        check = SQL(
            "BEGIN IF (SELECT count(*) FROM {table}) <> {row_count} "
            "THEN RAISE EXCEPTION '% has not the rows that it had', {name}; END IF; END"
        ).format(table=Identifier(SCHEMA, table), row_count=Literal(row_count), name=Literal(table))
        yield SQL("DO {}").format(Literal(check.as_string()))
    yield SQL("COMMIT")


def _write(stream: IO[bytes], statements: Iterator[Composable]) -> None:
    for statement in statements:
        stream.write(statement.as_string().encode() + b";\n")
    stream.flush()


def _copy_script(source: IO[bytes], target: IO[bytes], server_major_version: int) -> None:
    for line in source:
        if server_major_version >= _NEW_SETTING_SINCE or not line.startswith(_NEW_SETTING):
            target.write(line)
        if line.startswith(_PREAMBLE_END):
            break
    shutil.copyfileobj(source, target, 1 << 20)
    target.flush()


def _make_connection(url: URL) -> tuple[str, dict[str, str]]:
    """The address without its password, which other users of the machine could read, and an environment with it."""
    parameters = conninfo_to_dict(database.make_conninfo(url))
    password = parameters.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    return make_conninfo("", **parameters), {**os.environ, **secret}


def _find_client(name: str) -> str:
    return str(find_programs() / "bin" / name)


@contextmanager
def _start(
    command: list[str],
    environment: Mapping[str, str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int,
    stderr: IO[bytes],
) -> Generator[subprocess.Popen[bytes]]:
    """A program that does not outlive the context."""
    process = subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _make_error(code: str, sentence: str, complaints: IO[bytes]) -> Unavailable:
    words = _read_last_words(complaints)
    return Unavailable(
        code,
        f"{sentence}: {words}",
        hint="See that the database answers and its disk has room (`raven doctor`), then try again.",
        parameters={"complaint": words},
    )


def _read_last_words(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    telling = [line for line in lines if "ERROR" in line or "error:" in line] or lines
    return telling[-1] if telling else "it said nothing."
