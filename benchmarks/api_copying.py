"""Fills tables by COPY: without their indexes, which are made again afterwards."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

_CHUNK_BYTES = 1 << 20
_TELL_EVERY_S = 10.0
Row = Mapping[str, Any]


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Progress:
    """Says every few seconds how much is done."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._begun = self._told = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._told > _TELL_EVERY_S:
            self._told = time.monotonic()
            log(f"  {self._done:,} of {self._total:,} {self._what}")

    def end(self) -> None:
        log(f"{self._done:,} {self._what} in {time.monotonic() - self._begun:.0f} s")


def list_columns(connection: psycopg.Connection, table: str) -> list[str]:
    """Those that can be written."""
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    )
    return [str(name) for (name,) in rows]


def copy_rows(connection: psycopg.Connection, table: str, rows: Iterable[Row], what: str, total: int) -> None:
    """Writes rows; of what they say, the columns that the table has."""
    there = list_columns(connection, table)
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    columns = [name for name in there if name in first]
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    progress = Progress(what, total)
    with connection.cursor().copy(command) as copy:
        row: Row | None = first
        while row is not None:
            copy.write_row([row[name] for name in columns])
            progress.add(1)
            row = next(iterator, None)
    progress.end()


def copy_csv(connection: psycopg.Connection, table: str, columns: list[str], parts: Iterator[bytes]) -> None:
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor().copy(command) as copy:
        for part in parts:
            copy.write(part)


def copy_across(
    source: psycopg.Connection,
    query: str,
    target: psycopg.Connection,
    table: str,
    columns: list[str],
    what: str,
    total: int,
) -> None:
    """What a query of one database answers becomes rows in another."""
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    progress = Progress(what, total)
    out = sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(query))  # pyright: ignore[reportArgumentType]
    with source.cursor().copy(out) as read, target.cursor().copy(into) as write:
        waiting = bytearray()
        lines = 0
        for part in read:
            waiting += part
            lines += 1
            if len(waiting) > _CHUNK_BYTES:
                write.write(bytes(waiting))
                progress.add(lines)
                waiting.clear()
                lines = 0
        write.write(bytes(waiting))
        progress.add(lines)
    progress.end()


@contextmanager
def without_indexes(
    connection: psycopg.Connection, *tables: str, has_references: bool = False
) -> Generator[None]:
    """Drops the indexes, keys and references of tables, and makes them again: sorting once beats inserting.

    Args:
        connection: to drop them by.
        tables: whose.
        has_references: other tables refer to them: their keys stay.
    """
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), contype FROM pg_constraint"
        " WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('p', 'u', 'f') AND NOT %s ORDER BY contype = 'f'",
        [list(tables), has_references],
    ).fetchall()
    for table, name, _, _ in reversed(constraints):
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')  # pyright: ignore[reportArgumentType, reportCallIssue]
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = ANY(%s::regclass[])"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))",
        [list(tables)],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    yield
    begun = time.monotonic()
    for _, definition in indexes:
        connection.execute(definition)  # pyright: ignore[reportArgumentType, reportCallIssue]
    for table, name, definition, _ in constraints:
        connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')  # pyright: ignore[reportArgumentType, reportCallIssue]
    log(f"  indexes of {', '.join(tables)} in {time.monotonic() - begun:.0f} s")


def settle(connection: psycopg.Connection) -> None:
    """As a database that has been in use for a while: with statistics, and pages known to be visible to all."""
    begun = time.monotonic()
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")
    log(f"vacuum and statistics in {time.monotonic() - begun:.0f} s")


def open_connection(conninfo: str) -> psycopg.Connection:
    """For filling: what a power cut would lose is filled again."""
    connection = psycopg.connect(conninfo, autocommit=True)
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET maintenance_work_mem = '512MB'")
    return connection


def consume(rows: Iterable[Row], note: Callable[[Row], None]) -> Iterator[Row]:
    """The same rows, each noted."""
    for row in rows:
        note(row)
        yield row
