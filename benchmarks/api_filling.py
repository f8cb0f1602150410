"""Fills the embedded database of a home with a platform's two years, once; later runs of the benchmark find it."""

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import text
from sqlalchemy.schema import CreateIndex, CreateTable

from api_content import CONTENT_VERSION, Amounts, Content
from api_copying import Progress, copy_csv, copy_rows, log, open_connection, settle, without_indexes
from api_people import make_audit_entries, make_people
from api_words import Words
from raven_scan.app.tables import metadata
from raven_scan.app.wiring import build_platform, hold_database
from raven_scan.kernel.database import Database, make_conninfo
from raven_scan.kernel.schema import upgrade_schema
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.repository import metrics

_LONG_STEPS = 1024
_METRIC_COLUMNS = ["run_id", "name", "step", "epoch", "value"]


@dataclass(frozen=True, slots=True)
class Filled:
    """What requests can be made of.

    Attributes:
        tokens: of users, one for each client.
        longest_run: the one with by far the most metric points.
    """

    points: int
    longest_run: str
    run_ids: list[str]
    run_names: list[str]
    model_names: list[str]
    dataset_names: list[str]
    users: list[str]
    tokens: list[str]
    run_words: Words
    model_words: Words


def fill(settings: Settings, amounts: Amounts) -> Filled:
    """The content of the home, made where it is not there or of another schema.

    Raises:
        SystemExit: the home holds a database that no benchmark has made.
    """
    mark = settings.home / "benchmark.json"
    wanted = {"version": CONTENT_VERSION, "amounts": asdict(amounts), "schema": _describe_schema()}
    found: dict[str, Any] = json.loads(mark.read_text()) if mark.exists() else {}
    if found.get("wanted") == wanted and "filled" in found:
        log(f"reuses what {settings.home} holds")
        return msgspec.convert(found["filled"], Filled)
    if not mark.exists() and (settings.home / "postgres").exists():
        raise SystemExit(
            f"{settings.home} is a data folder that no benchmark has made: choose another --home."
        )
    mark.write_text("{}")
    filled = _fill_anew(settings, amounts)
    mark.touch(mode=0o600)
    mark.write_text(json.dumps({"wanted": wanted, "filled": asdict(filled)}))
    return filled


def _describe_schema() -> str:
    """A digest of every table and index: while a release is being made, its number stays what it is."""
    parts: list[str] = []
    for table in metadata.sorted_tables:
        parts.append(str(CreateTable(table)))
        parts += sorted(str(CreateIndex(index)) for index in table.indexes)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fill_anew(settings: Settings, amounts: Amounts) -> Filled:
    log(f"fills {settings.home}: {amounts.runs:,} runs, {amounts.points:,} metric points")
    for name in ("blobs", "work"):
        shutil.rmtree(settings.home / name, ignore_errors=True)
    with hold_database(settings) as (database, _):
        with database.engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        upgrade_schema(database.engine)
    # Whatever a platform makes by itself is there before: builtin models and roles.
    with build_platform(settings) as platform:
        builtins = _list_builtins(platform.database)
        people = make_people(platform, amounts)
        with open_connection(make_conninfo(platform.database.engine.url)) as connection:
            content = Content(amounts, builtins, people.users)
            _fill_tables(connection, content)
            points = _fill_metrics(connection, content)
            _outline_metrics(platform.database)
            with without_indexes(connection, "audit_entries"):
                copy_rows(
                    connection,
                    "audit_entries",
                    make_audit_entries(connection, people, amounts.audit_entries),
                    "audit entries",
                    amounts.audit_entries,
                )
            settle(connection)
            ids, names = _sample(connection, "training_runs")
            return Filled(
                points=points,
                longest_run=str(content.longest_run),
                run_ids=ids,
                run_names=names,
                model_names=_sample(connection, "trained_models")[1],
                dataset_names=_sample(connection, "datasets")[1],
                users=[name for _, name in people.users],
                tokens=people.tokens,
                run_words=content.run_names.sample(200),
                model_words=content.model_names.sample(200),
            )


def _list_builtins(database: Database) -> list[tuple[UUID, str]]:
    with database.transaction() as session:
        rows = session.execute(
            text("SELECT id, name FROM trained_models WHERE origin = 'builtin' ORDER BY name")
        )
        return [(id_, str(name)) for id_, name in rows]


def _fill_tables(connection: psycopg.Connection, content: Content) -> None:
    amounts = content.amounts
    versions = amounts.datasets * amounts.versions_each
    copy_rows(connection, "datasets", content.list_datasets(), "datasets", amounts.datasets)
    copy_rows(connection, "dataset_versions", content.list_versions(), "dataset versions", versions)
    with without_indexes(connection, "training_runs", has_references=True):
        copy_rows(connection, "training_runs", content.list_runs(), "runs", amounts.runs)
    with without_indexes(connection, "training_run_attempts"):
        copy_rows(connection, "training_run_attempts", content.list_attempts(), "attempts", amounts.runs)
    copy_rows(connection, "trained_models", content.list_models(), "models", amounts.models)
    copy_rows(connection, "workers", content.list_workers(), "workers", 8)


def _fill_metrics(connection: psycopg.Connection, content: Content) -> int:
    progress = Progress("metric points", content.amounts.points)
    points = 0
    with without_indexes(connection, "training_run_metrics"):
        for count, rows in content.list_metrics():
            copy_csv(connection, "training_run_metrics", _METRIC_COLUMNS, iter([rows]))
            progress.add(count)
            points += count
    progress.end()
    return points


def _outline_metrics(database: Database) -> None:
    """What charts of long runs are drawn from, made as it is made while a run goes on."""
    long_runs = text(
        "SELECT run_id, max(step) FROM training_run_metrics WHERE name = 'loss' AND step >= :steps GROUP BY run_id"
    )
    with database.transaction() as session:
        found = session.execute(long_runs, {"steps": _LONG_STEPS}).all()
    begun = time.monotonic()
    for run_id, last_step in found:
        with database.transaction() as session:
            metrics.outline(session, run_id, last_step // metrics.OUTLINE_STEPS * metrics.OUTLINE_STEPS)
    log(f"outlines of {len(found)} long runs in {time.monotonic() - begun:.0f} s")


def _sample(connection: psycopg.Connection, table: str) -> tuple[list[str], list[str]]:
    """Ids and names of a few hundred, the same each time."""
    rows = connection.execute(
        f"SELECT id, name FROM {table} ORDER BY md5(id::text) LIMIT 300"  # pyright: ignore[reportArgumentType, reportCallIssue]  # noqa: S608
    ).fetchall()
    return [str(id_) for id_, _ in rows], [str(name) for _, name in rows]
