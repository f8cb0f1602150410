"""What readers of a run's events need to be woken, and to miss nothing; logs of which the middle is dropped."""

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
    op.add_column("training_runs", sa.Column("log_missing_from", sa.BigInteger(), nullable=True))
    op.add_column("training_runs", sa.Column("log_missing_to", sa.BigInteger(), nullable=True))
    op.add_column(
        "training_run_attempts",
        sa.Column("log_position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
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
