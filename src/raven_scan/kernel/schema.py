"""Brings a database to the schema of this release, and tells whether it is there.

Alembic is imported only where there is something to migrate: every command looks whether there is.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from raven_scan.kernel.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
SCHEMA_LOCK = 7_238_461_029_384
"""Any number, the same in every process: two that migrate at once take turns."""


def make_alembic_config(connection: Connection, metadata: Any = None) -> "Config":
    """Alembic's configuration without a file; `metadata` is needed only to compare or to write migrations."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    return config


def upgrade_schema(engine: Engine) -> bool:
    """Applies what is missing, in one transaction; tells whether anything was.

    Raises:
        Conflict: the database is of a later release.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
        current = find_revision(connection)
        if current == find_head():
            return False
        if current is not None and not is_known_revision(current):
            raise Conflict(
                "database.later_release",
                f"The database is of a later release (schema {current}).",
                hint="Upgrade Raven Scan, or restore the backup that was made before.",
            )
        from alembic import command  # noqa: PLC0415

        command.upgrade(make_alembic_config(connection), "head")
        return True


def find_head() -> str:
    """The revision of this release: the number that the newest migration's file begins with."""
    return max(_list_revisions())


def find_revision(connection: Connection) -> str | None:
    """The database's revision; None where it has no tables of ours."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    return connection.scalar(text("SELECT version_num FROM alembic_version"))


def is_known_revision(revision: str) -> bool:
    """Whether this release can bring a database of that revision up to date."""
    return revision in _list_revisions()


def is_schema_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        return find_revision(connection) == find_head()


def _list_revisions() -> list[str]:
    return [path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py")]
