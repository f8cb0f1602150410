"""Tables of trained models."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, CheckConstraint, DateTime, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.trained_models.types import Origin, Stage

_Json = JSONB(none_as_null=True)


def _list_values(values: type[Origin] | type[Stage]) -> str:
    return ", ".join(f"'{value}'" for value in values)


class TrainedModel(Base):
    """Weights with their classes, configuration, figures and lineage."""

    __tablename__ = "trained_models"
    __table_args__ = (
        CheckConstraint(f"origin IN ({_list_values(Origin)})", name="known_origin"),
        CheckConstraint(f"stage IN ({_list_values(Stage)})", name="known_stage"),
        CheckConstraint("(origin = 'builtin') = (weights_digest IS NULL)", name="weights_unless_builtin"),
        CheckConstraint("(origin = 'trained') = (training_run_id IS NOT NULL)", name="trained_by_run"),
        Index(
            "uq_trained_models_builtin_architecture",
            "architecture",
            unique=True,
            postgresql_where=text("origin = 'builtin'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
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
    reported: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    leak_allowed: Mapped[bool] = mapped_column(Boolean)
    base_model_id: Mapped[UUID | None] = mapped_column(ForeignKey("trained_models.id"))
    dataset_version_id: Mapped[UUID | None] = mapped_column(ForeignKey("dataset_versions.id"))
    training_run_id: Mapped[UUID | None] = mapped_column(unique=True)
    parameters: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    environment: Mapped[dict[str, str]] = mapped_column(_Json)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
