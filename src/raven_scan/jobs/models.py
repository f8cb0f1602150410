"""The table of workers: who is there, and with what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, DateTime, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base


class Worker(Base):
    """A process that executes runs, as long as its heartbeat is young.

    `slots`: a device each, such as `["cpu"]` or `["cuda:0", "cuda:1"]`; a CPU may be there several times.
    `load`: of its machine and its devices at its last heartbeat; None where it does not tell.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text)
    slots: Mapped[list[Any]] = mapped_column(JSONB)
    load: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    is_draining: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    heartbeat_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
