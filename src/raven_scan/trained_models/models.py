"""Tables of trained models."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    DateTime,
    Double,
    Index,
    Integer,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.kernel.search import derive_search_words
from raven_scan.trained_models.types import Origin, Stage

_Json = JSONB(none_as_null=True)


def _list_values(values: type[Origin] | type[Stage]) -> str:
    return ", ".join(f"'{value}'" for value in values)


_SEARCHED = ("name", "notes", "architecture", "dataset_version_name", "base_model_name", "training_run_name")
_IS_THERE = text("deleted_at IS NULL")


class TrainedModel(Base):
    """Weights with their classes, configuration, figures and lineage.

    Lineage has names beside ids, and no foreign keys: it outlives what it names. With `deleted_at`, it is in the trash.
    `created_by_id`: whose account imported it; what a run made is its run's creator's.
    """

    __tablename__ = "trained_models"
    __table_args__ = (
        CheckConstraint(f"origin IN ({_list_values(Origin)})", name="known_origin"),
        CheckConstraint(f"stage IN ({_list_values(Stage)})", name="known_stage"),
        CheckConstraint("(origin = 'builtin') = (weights_digest IS NULL)", name="weights_unless_builtin"),
        CheckConstraint("(origin = 'trained') = (training_run_id IS NOT NULL)", name="trained_by_run"),
        CheckConstraint(
            "(training_run_id IS NULL) = (training_run_name IS NULL)"
            " AND (dataset_version_id IS NULL) = (dataset_version_name IS NULL)"
            " AND (base_model_id IS NULL) = (base_model_name IS NULL)",
            name="lineage_has_names",
        ),
        CheckConstraint("package IS NULL OR origin = 'imported'", name="packages_are_imported"),
        CheckConstraint("(deleted_at IS NULL) = (deleted_by IS NULL)", name="deleted_by_somebody"),
        Index("uq_trained_models_name", "name", unique=True, postgresql_where=_IS_THERE),
        Index("ix_trained_models_created_at", "created_at", "id", postgresql_where=_IS_THERE),
        Index("ix_trained_models_test_map50", "test_map50", "id", postgresql_where=_IS_THERE),
        Index("ix_trained_models_weights_size_bytes", "weights_size_bytes", "id", postgresql_where=_IS_THERE),
        Index(
            "ix_trained_models_deleted_at",
            "deleted_at",
            "id",
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index("ix_trained_models_base_model_id", "base_model_id"),
        Index("ix_trained_models_dataset_version_id", "dataset_version_id"),
        Index("ix_trained_models_base_model_name", "base_model_name"),
        Index("ix_trained_models_dataset_version_name", "dataset_version_name"),
        Index("ix_trained_models_training_run_name", "training_run_name"),
        Index("ix_trained_models_search_words", "search_words", postgresql_using="gin"),
        Index("ix_trained_models_classes", "classes", postgresql_using="gin"),
        Index(
            "uq_trained_models_builtin_architecture",
            "architecture",
            unique=True,
            postgresql_where=text("origin = 'builtin'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text, server_default=text("''"))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    origin: Mapped[str] = mapped_column(Text)
    stage: Mapped[str] = mapped_column(Text)
    architecture: Mapped[str] = mapped_column(Text)
    classes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    starting_weights: Mapped[str | None] = mapped_column(Text)
    weights_digest: Mapped[str | None] = mapped_column(Text)
    weights_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    configuration_digest: Mapped[str | None] = mapped_column(Text)
    parameter_count: Mapped[int | None] = mapped_column(BigInteger)
    valid: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    test: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    test_map50: Mapped[float | None] = mapped_column(
        Double, Computed("(test ->> 'map50')::double precision", persisted=True)
    )
    reported: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    leak_allowed: Mapped[bool] = mapped_column(Boolean)
    base_model_id: Mapped[UUID | None]
    base_model_name: Mapped[str | None] = mapped_column(Text)
    dataset_version_id: Mapped[UUID | None]
    dataset_version_name: Mapped[str | None] = mapped_column(Text)
    dataset_version_digest: Mapped[str | None] = mapped_column(Text)
    training_run_id: Mapped[UUID | None] = mapped_column(unique=True)
    training_run_name: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    package: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    environment: Mapped[dict[str, str]] = mapped_column(_Json)
    created_by: Mapped[str] = mapped_column(Text)
    created_by_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    deleted_by: Mapped[str | None] = mapped_column(Text)
    search_words: Mapped[str] = mapped_column(TSVECTOR, derive_search_words(*_SEARCHED), deferred=True)
