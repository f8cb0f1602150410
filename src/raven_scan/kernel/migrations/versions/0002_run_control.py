"""Queue, control, checkpoints, logs and presets of training runs; workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    _extend_runs()
    op.create_table(
        "training_run_checkpoints",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_run_checkpoints_run_id_training_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_training_run_checkpoints")),
    )
    op.create_table(
        "training_run_log_parts",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_run_log_parts_run_id_training_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "start", name=op.f("pk_training_run_log_parts")),
    )
    op.create_table(
        "training_presets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("run_name", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_presets_run_id_training_runs"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_presets")),
        sa.UniqueConstraint("name", name=op.f("uq_training_presets_name")),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("slots", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_draining", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )


def _extend_runs() -> None:
    columns: list[sa.Column[object]] = [
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("queue_position", sa.BigInteger(), nullable=True),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_limit_s", sa.Integer(), nullable=True),
        sa.Column("device_kind", sa.Text(), server_default=sa.text("'auto'"), nullable=False),
        sa.Column("device_count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("retry_smaller_batch", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_dry_run", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("is_pausing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("estimate", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("log_size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("preset_name", sa.Text(), nullable=True),
        sa.Column("cloned_from", sa.Text(), nullable=True),
    ]
    for column in columns:
        op.add_column("training_runs", column)
    # The order in which they were scheduled. Jobs of the queue that told workers of them mean nothing any more, and
    # checkpoints of earlier releases, which could not go on within an epoch, are not read: such runs start again.
    op.execute(
        """
        UPDATE training_runs SET queue_position = ranked.place
        FROM (
            SELECT id, row_number() OVER (ORDER BY scheduled_at, id) AS place
            FROM training_runs WHERE status = 'Waiting'
        ) ranked
        WHERE ranked.id = training_runs.id
        """
    )
    op.execute("DELETE FROM procrastinate_jobs WHERE task_name = 'training_runs.execute'")
    op.execute(
        "DELETE FROM training_run_metrics USING training_runs WHERE run_id = id AND status = 'Waiting'"
    )
    op.drop_column("training_runs", "job_id")
    op.drop_column("training_runs", "checkpoint")
    op.create_check_constraint(
        op.f("ck_training_runs_waiting_has_place"),
        "training_runs",
        "(status = 'Waiting') = (queue_position IS NOT NULL)",
    )
    op.create_check_constraint(
        op.f("ck_training_runs_pausing_is_processing"),
        "training_runs",
        "NOT is_pausing OR status = 'Processing'",
    )
    op.create_index(
        "ix_training_runs_queue",
        "training_runs",
        [sa.text("priority DESC"), "queue_position"],
        postgresql_where=sa.text("status = 'Waiting'"),
    )
    op.create_index(
        "ix_training_runs_queue_position",
        "training_runs",
        ["queue_position"],
        postgresql_where=sa.text("queue_position IS NOT NULL"),
    )
    op.create_index(
        "ix_training_run_attempts_open",
        "training_run_attempts",
        ["run_id"],
        postgresql_where=sa.text("ended_at IS NULL"),
    )
