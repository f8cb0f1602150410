"""The table of notifications: what is to be sent, and how that went."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.notifications.types import NotificationState

_TIME = DateTime(timezone=True)


class Notification(Base):
    """A message to one recipient, written in the transaction in which happened what it tells of.

    `recipient_key` finds the recipient in the settings; their address is not stored, for it may hold a token.
    `tries` is the number of the last try: one of an earlier number may no more say that it failed. `due_at`: not to be
    tried before; while a try is under way, the time after which it counts as lost.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint(
            "state IN ({})".format(", ".join(f"'{state}'" for state in NotificationState)), name="known_state"
        ),
        CheckConstraint("(state = 'waiting') = (due_at IS NOT NULL)", name="waiting_is_due"),
        CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended_unless_waiting"),
        Index("ix_notifications_due_at", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_notifications_ended_at", "ended_at", postgresql_where=text("state <> 'waiting'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    channel: Mapped[str] = mapped_column(Text)
    recipient: Mapped[str] = mapped_column(Text)
    recipient_key: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=text("'waiting'"))
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    job_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    due_at: Mapped[datetime | None] = mapped_column(_TIME, server_default=text("now()"))
    ended_at: Mapped[datetime | None] = mapped_column(_TIME)
