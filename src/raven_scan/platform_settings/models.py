"""The table of settings that are changed while the server runs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base


class PlatformSetting(Base):
    """A setting that somebody has set or unset. `value`: NULL where it was unset; the row keeps its revision."""

    __tablename__ = "platform_settings"
    __table_args__ = (CheckConstraint("revision >= 1", name="numbered_from_one"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer)
    changed_by: Mapped[str] = mapped_column(Text)
    changed_by_id: Mapped[UUID]
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
