"""The table of the audit trail. Triggers refuse every UPDATE, DELETE and TRUNCATE (see its migration)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.kernel.search import derive_search_words


class AuditEntryRow(Base):
    """`number` has no gaps: each is one more than that of the entry whose hash is in `previous_hash`.

    `search_words` is derived from the others, and not hashed.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_at", "at"),
        Index("ix_audit_entries_actor_id_number", "actor_id", "number"),
        Index("ix_audit_entries_target_id_number", "target_id", "number"),
        Index(
            "ix_audit_entries_action_number",
            "action",
            "number",
            postgresql_ops={"action": "text_pattern_ops"},  # by which it begins
        ),
        Index("ix_audit_entries_search_words", "search_words", postgresql_using="gin"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor_id: Mapped[UUID]
    actor_name: Mapped[str] = mapped_column(Text)
    actor_via: Mapped[str] = mapped_column(Text)
    actor_address: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target_kind: Mapped[str] = mapped_column(Text)
    target_id: Mapped[UUID | None]
    target_name: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous_hash: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(Text)
    search_words: Mapped[str] = mapped_column(
        TSVECTOR,
        derive_search_words("actor_name", "actor_address", "action", "target_name", "(details)::text"),
        deferred=True,
    )
