"""Tables of training runs."""

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
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.kernel.search import derive_search_words
from raven_scan.training_runs.types import RunStatus

_TIME = DateTime(timezone=True)
_IS_THERE = text("deleted_at IS NULL")
_INDEXED = (
    "name",
    "status",
    "created_at",
    "scheduled_at",
    "ended_at",
    "priority",
    "best_map50",
    "dataset_version_id",
    "base_model_id",
    "base_model_name",
    "architecture",
    "created_by",
)
"""What runs are sorted or chosen by; the id decides between equals."""


class TrainingRun(Base):
    """One training session.

    `fence` is the number of the attempt that may write; it only grows. A write that carries another one is void.
    Waiting runs are the queue: the next is the one of the highest `priority`, then of the lowest `queue_position`.
    Bytes `log_missing_from` to `log_missing_to` of the log were dropped, since it grew too long. `metric_removals`: the
    step after which metrics were removed, each time that they were. With `deleted_at`, the run is in the trash;
    with `is_purging`, parts of it may be gone for good already. `energy`: what its attempts used, but for dry runs.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint(
            "status IN ({})".format(", ".join(f"'{status}'" for status in RunStatus)), name="known_status"
        ),
        CheckConstraint("(status = 'Error') = (error IS NOT NULL)", name="error_has_cause"),
        CheckConstraint("(status = 'Success') = (model_id IS NOT NULL)", name="success_has_model"),
        CheckConstraint("(status = 'Waiting') = (queue_position IS NOT NULL)", name="waiting_has_place"),
        CheckConstraint("NOT is_pausing OR status = 'Processing'", name="pausing_is_processing"),
        CheckConstraint("(deleted_at IS NULL) = (deleted_by IS NULL)", name="deleted_by_somebody"),
        CheckConstraint("(reproduces_id IS NULL) = (reproduces_name IS NULL)", name="reproduced_has_name"),
        CheckConstraint("NOT is_purging OR deleted_at IS NOT NULL", name="purged_is_deleted"),
        CheckConstraint(
            "deleted_at IS NULL OR status NOT IN ('Waiting', 'Processing')", name="deleted_is_at_rest"
        ),
        Index("uq_training_runs_name", "name", unique=True, postgresql_where=_IS_THERE),
        *(
            Index(f"ix_training_runs_{column}", column, "id", postgresql_where=_IS_THERE)
            for column in _INDEXED
        ),
        Index(
            "ix_training_runs_dataset_name",
            text("split_part(dataset_version_name, '@', 1)"),
            postgresql_where=_IS_THERE,
        ),
        Index(
            "ix_training_runs_deleted_at", "deleted_at", "id", postgresql_where=text("deleted_at IS NOT NULL")
        ),
        Index(
            "ix_training_runs_search_words",
            "search_words",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        Index(
            "ix_training_runs_reproduces_id",
            "reproduces_id",
            postgresql_where=text("reproduces_id IS NOT NULL"),
        ),
        Index(
            "ix_training_runs_queue",
            text("priority DESC"),
            "queue_position",
            postgresql_where=text("status = 'Waiting'"),
        ),
        Index(
            "ix_training_runs_queue_position",
            "queue_position",
            postgresql_where=text("queue_position IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text, server_default=text("''"))
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    status: Mapped[str] = mapped_column(Text)
    dataset_version_id: Mapped[UUID]
    dataset_version_name: Mapped[str] = mapped_column(Text)
    base_model_id: Mapped[UUID]
    base_model_name: Mapped[str] = mapped_column(Text)
    architecture: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    progress: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    warnings: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    best: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    best_map50: Mapped[float | None] = mapped_column(
        Double, Computed("(best ->> 'map50')::double precision", persisted=True), deferred=True
    )
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    model_id: Mapped[UUID | None]
    model_name: Mapped[str | None] = mapped_column(Text)
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    priority: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    queue_position: Mapped[int | None] = mapped_column(BigInteger)
    start_at: Mapped[datetime | None] = mapped_column(_TIME)
    time_limit_s: Mapped[int | None] = mapped_column(Integer)
    device_kind: Mapped[str] = mapped_column(Text, server_default=text("'auto'"))
    device_count: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    retry_smaller_batch: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    is_dry_run: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    is_pausing: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    estimate: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    energy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    dry_run_error: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    log_size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    log_missing_from: Mapped[int | None] = mapped_column(BigInteger)
    log_missing_to: Mapped[int | None] = mapped_column(BigInteger)
    metric_removals: Mapped[list[int]] = mapped_column(JSONB, server_default=text("'[]'"))
    metrics_outlined_to: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    preset_name: Mapped[str | None] = mapped_column(Text)
    cloned_from: Mapped[str | None] = mapped_column(Text)
    record: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    reproduces_id: Mapped[UUID | None]
    reproduces_name: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_by_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    scheduled_at: Mapped[datetime | None] = mapped_column(_TIME)
    started_at: Mapped[datetime | None] = mapped_column(_TIME)
    ended_at: Mapped[datetime | None] = mapped_column(_TIME)
    deleted_at: Mapped[datetime | None] = mapped_column(_TIME)
    deleted_by: Mapped[str | None] = mapped_column(Text)
    is_purging: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    search_words: Mapped[str] = mapped_column(
        TSVECTOR,
        derive_search_words(
            "name", "notes", "dataset_version_name", "base_model_name", "architecture", "created_by"
        ),
        deferred=True,
    )


class TrainingRunAttempt(Base):
    """One try at executing a run; its number is the fence. The lease holds as long as the heartbeat is young.

    `log_position`: so many bytes that the attempt told are in the run's log. `environment`: what its trainer computed
    with. `energy`: what its processes used.
    """

    __tablename__ = "training_run_attempts"
    __table_args__ = (
        Index("ix_training_run_attempts_open", "run_id", postgresql_where=text("ended_at IS NULL")),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker: Mapped[str] = mapped_column(Text)
    device: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    heartbeat_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    ended_at: Mapped[datetime | None] = mapped_column(_TIME)
    end: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    log_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    environment: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    energy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class TrainingRunMetric(Base):
    """One value of one metric after one optimiser step."""

    __tablename__ = "training_run_metrics"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer)
    value: Mapped[float | None] = mapped_column(Float)


class TrainingRunMetricOutline(Base):
    """A point that a chart needs: of each 64 steps of a metric the first, the last, the smallest and the largest.

    Charts of long runs are drawn from these. Steps before the run's `metrics_outlined_to` have theirs; what comes
    behind is looked at itself.
    """

    __tablename__ = "training_run_metric_outlines"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer)
    value: Mapped[float | None] = mapped_column(Float)


class TrainingRunCheckpoint(Base):
    """A checkpoint in the blob store, all that it takes to go on. `digest`: sha256 of its content."""

    __tablename__ = "training_run_checkpoints"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))


class TrainingRunLogPart(Base):
    """A piece of a run's log, from byte `start`. In the database, since the run's next worker may be elsewhere."""

    __tablename__ = "training_run_log_parts"

    run_id: Mapped[UUID] = mapped_column(ForeignKey("training_runs.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class TrainingPreset(Base):
    """Parameters under a name, from a run that went well."""

    __tablename__ = "training_presets"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    architecture: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("training_runs.id", ondelete="SET NULL"))
    run_name: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
