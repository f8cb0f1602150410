"""Tables of datasets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base


class Dataset(Base):
    """A name with versions."""

    __tablename__ = "datasets"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DatasetVersion(Base):
    """An immutable version; its images and boxes are two Parquet blobs."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "number"),
        CheckConstraint("number >= 1", name="number_from_one"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(Text)
    classes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    parts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    pixel_rules: Mapped[dict[str, Any]] = mapped_column(JSONB)
    leak_allowed: Mapped[bool]
    leaked_image_count: Mapped[int]
    image_bytes: Mapped[int] = mapped_column(BigInteger)
    images_digest: Mapped[str] = mapped_column(Text)
    boxes_digest: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(JSONB)
    warnings: Mapped[list[Any]] = mapped_column(JSONB)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
