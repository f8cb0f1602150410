"""The tables of notifications, what is to be sent and how that went, and of subscriptions."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.notifications.types import Channel, NotificationState, SubscribedEnds, SubscribedRuns

_TIME = DateTime(timezone=True)


def _list_values(values: type[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


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


class Subscription(Base):
    """What a user wants to hear of, and how.

    `run_id` has no foreign key: the run may be deleted. `email`: NULL for the account's own. `sealed_address`: of a
    webhook, encrypted, for it may hold a token (see sealing.py).
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        CheckConstraint(f"runs IN ({_list_values(SubscribedRuns)})", name="known_runs"),
        CheckConstraint(f"ends IN ({_list_values(SubscribedEnds)})", name="known_ends"),
        CheckConstraint(f"channel IN ({_list_values(Channel)})", name="known_channel"),
        CheckConstraint(
            "(runs = 'one') = (run_id IS NOT NULL) AND (run_id IS NULL) = (run_name IS NULL)",
            name="one_has_run",
        ),
        CheckConstraint("(channel = 'webhook') = (sealed_address IS NOT NULL)", name="webhook_has_address"),
        Index("ix_subscriptions_user_id", "user_id", "id"),
        Index("ix_subscriptions_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    runs: Mapped[str] = mapped_column(Text)
    run_id: Mapped[UUID | None]
    run_name: Mapped[str | None] = mapped_column(Text)
    ends: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    webhook_name: Mapped[str | None] = mapped_column(Text)
    sealed_address: Mapped[bytes | None] = mapped_column(LargeBinary)
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
