"""Evaluations of models."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0012"
down_revision: str | None = "0011"

_TIME = sa.DateTime(timezone=True)
_JSON = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def upgrade() -> None:
    op.create_table(
        "model_evaluations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_version_name", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("progress", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("warnings", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("figures", _JSON, nullable=True),
        sa.Column("image_count", sa.Integer(), nullable=True),
        sa.Column("box_count", sa.Integer(), nullable=True),
        sa.Column("images_per_s", sa.Double[float](), nullable=True),
        sa.Column("report_digest", sa.Text(), nullable=True),
        sa.Column("matches_digest", sa.Text(), nullable=True),
        sa.Column("error", _JSON, nullable=True),
        sa.Column("log", sa.Text(), server_default=sa.text("''::text"), nullable=False),
        sa.Column("training_run_id", sa.Uuid(), nullable=True),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("heartbeat_at", _TIME, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.CheckConstraint(
            "status IN ('Waiting', 'Processing', 'Success', 'Error', 'Cancelled')",
            name=op.f("ck_model_evaluations_known_status"),
        ),
        sa.CheckConstraint(
            "part IN ('train', 'valid', 'test')", name=op.f("ck_model_evaluations_known_part")
        ),
        sa.CheckConstraint(
            "(status = 'Error') = (error IS NOT NULL)", name=op.f("ck_model_evaluations_error_has_cause")
        ),
        sa.CheckConstraint(
            "(status = 'Success') = (report_digest IS NOT NULL)"
            " AND (report_digest IS NULL) = (matches_digest IS NULL)"
            " AND (report_digest IS NULL) = (figures IS NULL)",
            name=op.f("ck_model_evaluations_success_has_result"),
        ),
        sa.CheckConstraint(
            "status <> 'Processing' OR (worker IS NOT NULL AND device IS NOT NULL AND heartbeat_at IS NOT NULL)",
            name=op.f("ck_model_evaluations_processing_has_worker"),
        ),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["trained_models.id"],
            name=op.f("fk_model_evaluations_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_evaluations")),
    )
    op.create_index("ix_model_evaluations_created_at", "model_evaluations", ["created_at", "id"])
    op.create_index(
        "ix_model_evaluations_model_id",
        "model_evaluations",
        ["model_id", "dataset_version_id", "part", "ended_at"],
    )
    op.create_index(
        "ix_model_evaluations_dataset_version_id", "model_evaluations", ["dataset_version_id", "created_at"]
    )
    op.create_index(
        "uq_model_evaluations_open",
        "model_evaluations",
        ["model_id", "dataset_version_id", "part"],
        unique=True,
        postgresql_where=sa.text("status IN ('Waiting', 'Processing')"),
    )
    op.create_index(
        "ix_model_evaluations_waiting",
        "model_evaluations",
        ["created_at", "id"],
        postgresql_where=sa.text("status = 'Waiting'"),
    )
    op.create_index(
        "ix_model_evaluations_processing",
        "model_evaluations",
        ["heartbeat_at"],
        postgresql_where=sa.text("status = 'Processing'"),
    )
