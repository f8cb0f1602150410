"""Which blobs the database names."""

from collections.abc import Callable

from psycopg.sql import SQL, Identifier
from sqlalchemy import text
from sqlalchemy.orm import Session

from raven_scan.access.types import WORKER
from raven_scan.app.housekeeping.database_dump import KEPT_TABLE
from raven_scan.app.wiring import Platform
from raven_scan.storage.collector import go_on


def list_needed_blobs(
    platform: Platform, *, allow_lost: bool = False, check: Callable[[], None] = go_on
) -> set[str]:
    """Digests of all blobs that datasets, models, evaluations and runs need, in the caller's transaction if any.

    What is in the trash needs its blobs: it may be restored.

    Args:
        platform: whose.
        allow_lost: leave out what only a table names that is itself lost.
        check: called now and then; what it raises is raised.

    Raises:
        NotFound: a table of a dataset's images is lost.
    """
    return (
        platform.datasets.list_blob_digests(WORKER, allow_lost=allow_lost, check=check)
        | platform.trained_models.list_blob_digests(WORKER)
        | platform.evaluations.list_blob_digests(WORKER)
        | set(platform.recovery.list_blob_digests(WORKER))
    )


def list_named_blobs(
    platform: Platform, *, allow_lost: bool = False, check: Callable[[], None] = go_on
) -> set[str]:
    """As `list_needed_blobs`, and those of tables that a restore moved aside: what a collector must spare."""
    named = list_needed_blobs(platform, allow_lost=allow_lost, check=check)
    with platform.database.transaction() as session:
        for schema in list_schemas_aside(session):
            digests = SQL("SELECT digest FROM {}").format(Identifier(schema, KEPT_TABLE))
            named.update(session.scalars(text(digests.as_string())))
    return named


def list_schemas_aside(session: Session) -> list[str]:
    """PostgreSQL's schemas that restores gave to the tables that were there before."""
    query = text(
        "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE relname = :table AND relkind = 'r' ORDER BY nspname"
    )
    return [str(schema) for schema in session.scalars(query, {"table": KEPT_TABLE})]
