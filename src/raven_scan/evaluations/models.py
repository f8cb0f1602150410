"""The table of evaluations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.kernel.database import Base

_TIME = DateTime(timezone=True)
_Json = JSONB(none_as_null=True)


class ModelEvaluation(Base):
    """What a model scores on a part of a dataset version, or how far the job is that measures it.

    `fence` is the number of the attempt that may write; it only grows. The lease holds as long as the heartbeat is
    young. Names are beside ids: what a dataset version was called is known when it is gone. An evaluation goes for
    good with its model.
    """

    __tablename__ = "model_evaluations"
    __table_args__ = (
        CheckConstraint(
            "status IN ({})".format(", ".join(f"'{status}'" for status in EvaluationStatus)),
            name="known_status",
        ),
        CheckConstraint("part IN ('train', 'valid', 'test')", name="known_part"),
        CheckConstraint("(status = 'Error') = (error IS NOT NULL)", name="error_has_cause"),
        CheckConstraint(
            "(status = 'Success') = (report_digest IS NOT NULL)"
            " AND (report_digest IS NULL) = (matches_digest IS NULL)"
            " AND (report_digest IS NULL) = (figures IS NULL)",
            name="success_has_result",
        ),
        CheckConstraint(
            "status <> 'Processing' OR (worker IS NOT NULL AND device IS NOT NULL AND heartbeat_at IS NOT NULL)",
            name="processing_has_worker",
        ),
        Index("ix_model_evaluations_created_at", "created_at", "id"),
        Index("ix_model_evaluations_model_id", "model_id", "dataset_version_id", "part", "ended_at"),
        Index("ix_model_evaluations_dataset_version_id", "dataset_version_id", "created_at"),
        Index(
            "uq_model_evaluations_open",
            "model_id",
            "dataset_version_id",
            "part",
            unique=True,
            postgresql_where=text("status IN ('Waiting', 'Processing')"),
        ),
        Index(
            "ix_model_evaluations_waiting",
            "created_at",
            "id",
            postgresql_where=text("status = 'Waiting'"),
        ),
        Index(
            "ix_model_evaluations_processing",
            "heartbeat_at",
            postgresql_where=text("status = 'Processing'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("trained_models.id", ondelete="CASCADE"))
    model_name: Mapped[str] = mapped_column(Text)
    dataset_version_id: Mapped[UUID]
    dataset_version_name: Mapped[str] = mapped_column(Text)
    part: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    warnings: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    figures: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    image_count: Mapped[int | None] = mapped_column(Integer)
    box_count: Mapped[int | None] = mapped_column(Integer)
    images_per_s: Mapped[float | None] = mapped_column(Double)
    report_digest: Mapped[str | None] = mapped_column(Text)
    matches_digest: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(_Json)
    log: Mapped[str] = mapped_column(Text, server_default=text("''"), deferred=True)
    training_run_id: Mapped[UUID | None]
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lost_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    worker: Mapped[str | None] = mapped_column(Text)
    device: Mapped[str | None] = mapped_column(Text)
    heartbeat_at: Mapped[datetime | None] = mapped_column(_TIME)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    started_at: Mapped[datetime | None] = mapped_column(_TIME)
    ended_at: Mapped[datetime | None] = mapped_column(_TIME)


class EvaluationDifference(Base):
    """By how much one evaluation is better than another, by one figure; it never changes, and goes with either.

    `class_name` is empty where the figure is overall. `method`: how it was reckoned (`figures.difference.METHOD`).
    """

    __tablename__ = "evaluation_differences"
    __table_args__ = (Index("ix_evaluation_differences_second_id", "second_id"),)

    first_id: Mapped[UUID] = mapped_column(
        ForeignKey("model_evaluations.id", ondelete="CASCADE"), primary_key=True
    )
    second_id: Mapped[UUID] = mapped_column(
        ForeignKey("model_evaluations.id", ondelete="CASCADE"), primary_key=True
    )
    figure: Mapped[str] = mapped_column(Text, primary_key=True)
    class_name: Mapped[str] = mapped_column(Text, primary_key=True)
    seed: Mapped[int] = mapped_column(Integer, primary_key=True)
    method: Mapped[int] = mapped_column(Integer)
    difference: Mapped[dict[str, Any]] = mapped_column(JSONB)
