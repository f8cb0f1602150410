"""What readers of a run's events need to be woken, and to miss nothing; logs of which the middle is dropped; what charts
of long runs are drawn from.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    op.add_column(
        "training_runs",
        sa.Column(
            "metric_removals", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
    )
    op.add_column(
        "training_runs",
        sa.Column("metrics_outlined_to", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "training_runs",
        sa.Column("dry_run_error", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.add_column("training_runs", sa.Column("log_missing_from", sa.BigInteger(), nullable=True))
    op.add_column("training_runs", sa.Column("log_missing_to", sa.BigInteger(), nullable=True))
    op.add_column(
        "training_run_attempts",
        sa.Column("log_position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "training_run_metric_outlines",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_run_metric_outlines_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "name", "step", name=op.f("pk_training_run_metric_outlines")),
    )
    # Whatever writes to a run, now or later, writes its row: no writer can forget to tell.
    op.execute(
        """
        CREATE FUNCTION raven_tell_run_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('raven_run_events', OLD.id::text);
            RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER tell_run_event AFTER UPDATE OR DELETE ON training_runs
        FOR EACH ROW EXECUTE FUNCTION raven_tell_run_event()
        """
    )
