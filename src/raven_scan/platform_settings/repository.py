"""All SQL of settings that are changed while the server runs."""

from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.kernel.database import Database, write_query
from raven_scan.platform_settings.models import PlatformSetting
from raven_scan.platform_settings.types import PlatformSettingName

_VALUE = write_query(select(PlatformSetting.value).where(PlatformSetting.name == bindparam("name")))


def find_setting(session: Session, name: PlatformSettingName) -> PlatformSetting | None:
    """None where nobody has ever set it."""
    return session.scalar(select(PlatformSetting).where(PlatformSetting.name == name.value))


def hold_setting(session: Session, name: PlatformSettingName) -> PlatformSetting | None:
    """As `find_setting`; nobody else changes any until the transaction ends."""
    session.execute(text(f"LOCK TABLE {PlatformSetting.__tablename__} IN SHARE ROW EXCLUSIVE MODE"))
    return find_setting(session, name)


def store_setting(session: Session, values: dict[str, Any]) -> PlatformSetting:
    changed = {key: value for key, value in values.items() if key != "name"}
    statement = (
        insert(PlatformSetting).values(values).on_conflict_do_update(index_elements=["name"], set_=changed)
    )
    return session.scalars(
        statement.returning(PlatformSetting), execution_options={"populate_existing": True}
    ).one()


def look_up_value(database: Database, name: PlatformSettingName) -> str | None:
    """What is set on the platform; None where nothing is."""
    row = database.look_up(_VALUE, {"name": name.value})
    return None if row is None else row[0]
