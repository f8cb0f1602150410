"""What the owner of the database does to it as a whole, in the audit trail."""

from typing import Any

from raven_scan.access.audit import Target, record
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.kernel.database import Database
from raven_scan.kernel.schema import find_revision, is_schema_current, upgrade_schema


def upgrade_tables(database: Database) -> bool:
    """As `upgrade_schema`, and puts into the trail that it was done."""
    with database.engine.connect() as connection:
        before = find_revision(connection)
    is_changed = upgrade_schema(database.engine)
    if is_changed:
        record_upkeep(database, "database.created" if before is None else "database.upgraded", before=before)
    return is_changed


def record_upkeep(database: Database, action: str, **details: Any) -> None:
    """Puts into the trail what was done; nothing where the tables are of a release that had none."""
    if not is_schema_current(database.engine):
        return
    with database.transaction() as session:
        revision = find_revision(session.connection())
        record(session, LOCAL_ADMINISTRATOR, action, Target("database", None, ""), schema=revision, **details)
