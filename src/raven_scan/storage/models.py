"""Table of what collected blobs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base


class BlobCollection(Base):
    """One tidying: what was in the trash for its time is gone for good, and then the blobs that nothing names.

    Without `ended_at`, it is under way, was interrupted, or its process was killed.
    """

    __tablename__ = "blob_collections"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    purged_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    blob_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    blob_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
