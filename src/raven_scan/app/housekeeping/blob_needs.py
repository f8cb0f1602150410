"""Which blobs the database names."""

from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from raven_scan.access.types import WORKER
from raven_scan.app.housekeeping.database_dump import KEPT_TABLE
from raven_scan.app.wiring import Platform


def list_needed_blobs(platform: Platform, *, allow_lost: bool = False) -> set[str]:
    """Digests of all blobs that datasets, models and runs need, in the caller's transaction where there is one.

    Args:
        platform: whose.
        allow_lost: leave out what only a table names that is itself lost.

    Raises:
        NotFound: a table of a dataset's images is lost.
    """
    return (
        platform.datasets.list_blob_digests(WORKER, allow_lost=allow_lost)
        | platform.trained_models.list_blob_digests(WORKER)
        | set(platform.recovery.list_blob_digests(WORKER))
    )


def list_named_blobs(platform: Platform, *, allow_lost: bool = False) -> set[str]:
    """As `list_needed_blobs`, and those of tables that a restore moved aside: what a collector must spare."""
    named = list_needed_blobs(platform, allow_lost=allow_lost)
    with platform.database.transaction() as session:
        schemas = session.scalars(
            text(
                "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
                " WHERE relname = :table AND relkind = 'r'"
            ),
            {"table": KEPT_TABLE},
        ).all()
        for schema in schemas:
            digests = SQL("SELECT digest FROM {}").format(Identifier(schema, KEPT_TABLE))
            named.update(session.scalars(text(digests.as_string())))
    return named
