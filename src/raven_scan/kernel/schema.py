"""Brings a database to the schema of this release, and tells whether it is there."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from raven_scan.kernel.errors import Conflict

_FOLDER = Path(__file__).parent / "migrations"
SCHEMA_LOCK = 7_238_461_029_384
"""Any number, the same in every process: two that migrate at once take turns."""


def make_alembic_config(connection: Connection, metadata: Any = None) -> Config:
    """Alembic's configuration without a file; `metadata` is needed only to compare or to write migrations."""
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
        config = make_alembic_config(connection)
        script = ScriptDirectory.from_config(config)
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in {step.revision for step in script.walk_revisions()}:
            raise Conflict(
                "database.later_release",
                f"The database is of a later release (schema {current}).",
                hint="Upgrade Raven Scan, or restore the backup that was made before.",
            )
        if current == script.get_current_head():
            return False
        command.upgrade(config, "head")
        return True


def find_revision(connection: Connection) -> str | None:
    """The database's revision; None where it has no tables of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def is_known_revision(revision: str) -> bool:
    """Whether this release can bring a database of that revision up to date."""
    script = ScriptDirectory(str(_FOLDER))
    return revision in {step.revision for step in script.walk_revisions()}


def is_schema_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        head = ScriptDirectory.from_config(make_alembic_config(connection)).get_current_head()
        return MigrationContext.configure(connection).get_current_revision() == head
