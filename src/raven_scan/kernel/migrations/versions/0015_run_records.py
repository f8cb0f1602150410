"""What a run's record needs for it to be run again: digests of what it was made of and made, and the environment of each
attempt.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0015"
down_revision: str | None = "0014"


def _json() -> postgresql.JSONB:
    return postgresql.JSONB(none_as_null=True, astext_type=sa.Text())


def upgrade() -> None:
    op.add_column("training_runs", sa.Column("record", _json(), nullable=True))
    op.add_column("training_runs", sa.Column("reproduces_id", sa.Uuid(), nullable=True))
    op.add_column("training_runs", sa.Column("reproduces_name", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_training_runs_reproduced_has_name"),
        "training_runs",
        "(reproduces_id IS NULL) = (reproduces_name IS NULL)",
    )
    op.create_index(
        "ix_training_runs_reproduces_id",
        "training_runs",
        ["reproduces_id"],
        postgresql_where=sa.text("reproduces_id IS NOT NULL"),
    )
    op.add_column("training_run_attempts", sa.Column("environment", _json(), nullable=True))
    op.add_column("trained_models", sa.Column("dataset_version_digest", sa.Text(), nullable=True))
