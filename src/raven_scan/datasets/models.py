"""Tables of datasets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.kernel.search import derive_search_words

_IS_DELETED = text("deleted_at IS NOT NULL")


class Dataset(Base):
    """A name with versions. `last_number` was given to a version last: no number means two versions, ever.

    With `deleted_at`, it is in the trash with all its versions.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        CheckConstraint("(deleted_at IS NULL) = (deleted_by IS NULL)", name="deleted_by_somebody"),
        Index("uq_datasets_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
        Index("ix_datasets_created_at", "created_at", "id", postgresql_where=text("deleted_at IS NULL")),
        Index("ix_datasets_search_words", "search_words", postgresql_using="gin"),
        Index("ix_datasets_deleted_at", "deleted_at", "id", postgresql_where=_IS_DELETED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text, server_default=text("''"))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    last_number: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[str | None] = mapped_column(Text)
    search_words: Mapped[str] = mapped_column(TSVECTOR, derive_search_words("name", "notes"), deferred=True)


class DatasetVersion(Base):
    """An immutable version; its images and boxes are two Parquet blobs. With `deleted_at`, it is in the trash."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "number"),
        CheckConstraint("number >= 1", name="number_from_one"),
        CheckConstraint("(deleted_at IS NULL) = (deleted_by IS NULL)", name="deleted_by_somebody"),
        Index("ix_dataset_versions_deleted_at", "deleted_at", "id", postgresql_where=_IS_DELETED),
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
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[str | None] = mapped_column(Text)
