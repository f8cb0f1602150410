"""Tables of publishing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.publishing.types import PublishingEvent

_Json = JSONB(none_as_null=True)


class PublishedName(Base):
    """A name that detection can ask for; it is never given back.

    `number` is the version in use, `last_used_number` the one that was in use last, `last_number` the one that was
    published last. Whoever changes anything about a name holds its row, so its versions are numbered without a gap.
    """

    __tablename__ = "published_names"
    __table_args__ = (
        CheckConstraint("number BETWEEN 1 AND last_number", name="number_is_there"),
        Index("uq_published_names_name", "name", unique=True),
        Index("ix_published_names_changed_at", "changed_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    number: Mapped[int | None] = mapped_column(Integer)
    last_used_number: Mapped[int | None] = mapped_column(Integer)
    last_number: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PublishedVersion(Base):
    """What a version of a name stands for, and why it was let through.

    Models, dataset versions and evaluations have no foreign keys: this outlives them. A version that is not withdrawn
    keeps its model from being deleted (`PublicationsOfModels`).
    """

    __tablename__ = "published_versions"
    __table_args__ = (
        UniqueConstraint("name_id", "number"),
        CheckConstraint("number >= 1", name="numbered_from_one"),
        CheckConstraint(
            "(dataset_version_id IS NULL) = (dataset_version_name IS NULL)"
            " AND (dataset_version_id IS NULL) = (evaluation_id IS NULL)",
            name="evaluated_on_a_version",
        ),
        CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)"
            " AND (withdrawn_at IS NULL) = (withdrawal_reason IS NULL)",
            name="withdrawn_by_somebody",
        ),
        Index("ix_published_versions_model_id", "model_id"),
        Index("ix_published_versions_dataset_version_id", "dataset_version_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name_id: Mapped[UUID] = mapped_column(ForeignKey("published_names.id"))
    number: Mapped[int] = mapped_column(Integer)
    model_id: Mapped[UUID]
    model_name: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text)
    dataset_version_id: Mapped[UUID | None]
    dataset_version_name: Mapped[str | None] = mapped_column(Text)
    evaluation_id: Mapped[UUID | None]
    compared_evaluation_id: Mapped[UUID | None]
    policy_version: Mapped[int] = mapped_column(Integer)
    policy: Mapped[dict[str, Any]] = mapped_column(_Json)
    requirements: Mapped[list[dict[str, Any]]] = mapped_column(_Json)
    override_reason: Mapped[str | None] = mapped_column(Text)
    published_by: Mapped[str] = mapped_column(Text)
    published_by_id: Mapped[UUID]
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    withdrawn_by: Mapped[str | None] = mapped_column(Text)
    withdrawn_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    withdrawal_reason: Mapped[str | None] = mapped_column(Text)


class PublishedNameEvent(Base):
    """An entry of a name's history; only ever added. `from_number`: the version that was in use before."""

    __tablename__ = "published_name_events"
    __table_args__ = (
        CheckConstraint(
            "event IN ({})".format(", ".join(f"'{event}'" for event in PublishingEvent)), name="known_event"
        ),
        Index("ix_published_name_events_name_id", "name_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name_id: Mapped[UUID] = mapped_column(ForeignKey("published_names.id"))
    event: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(Integer)
    from_number: Mapped[int | None] = mapped_column(Integer)
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str] = mapped_column(Text)


class PolicyVersion(Base):
    """The quality requirements since a change; the last version counts. Without any, the defaults do."""

    __tablename__ = "policy_versions"
    __table_args__ = (
        CheckConstraint("version >= 1", name="numbered_from_one"),
        UniqueConstraint("version"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    requirements: Mapped[dict[str, Any]] = mapped_column(_Json)
    changes: Mapped[dict[str, Any]] = mapped_column(_Json)
    changed_by: Mapped[str] = mapped_column(Text)
    changed_by_id: Mapped[UUID]
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
