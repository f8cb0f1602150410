"""The table of idempotency keys, and all SQL on it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, Integer, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base

_TIME = DateTime(timezone=True)


class RequestKey(Base):
    """A request that came with an idempotency key, and its answer once there is one.

    `key_digest` and `fingerprint`: the key itself is not kept, and the fingerprint is made with it, so that nobody who
    reads the table can try bodies (which may hold a password) until one fits. `fence` is the number of the try that
    may change something for this key; `has_effect`: it has. `status` is null until there is an answer.
    """

    __tablename__ = "request_keys"
    __table_args__ = (
        Index("uq_request_keys_actor_id_key_digest", "actor_id", "key_digest", unique=True),
        Index("ix_request_keys_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID]
    key_digest: Mapped[bytes] = mapped_column(LargeBinary)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    fence: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    has_effect: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    leased_until: Mapped[datetime] = mapped_column(_TIME)
    status: Mapped[int | None] = mapped_column(Integer)
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
