"""The table of uploads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.uploads.types import UploadPurpose

_TIME = DateTime(timezone=True)


class Upload(Base):
    """A file on its way; its bytes are in the data folder of the server that takes them.

    `offset_bytes` is written after so many bytes were flushed to the disk. `sha256`: verified, the upload is whole.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        CheckConstraint(
            "purpose IN ({})".format(", ".join(f"'{purpose}'" for purpose in UploadPurpose)),
            name="known_purpose",
        ),
        CheckConstraint("offset_bytes BETWEEN 0 AND COALESCE(size_bytes, offset_bytes)", name="within_size"),
        CheckConstraint("sha256 IS NULL OR offset_bytes = size_bytes", name="whole_where_verified"),
        Index("ix_uploads_owner_id", "owner_id"),
        Index("ix_uploads_expires_at", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID]
    purpose: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    offset_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sha256: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(_TIME)
    expires_at: Mapped[datetime] = mapped_column(_TIME)
