"""What runs and their attempts use of energy."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0020"
down_revision: str | None = "0019"


def upgrade() -> None:
    for table in ("training_runs", "training_run_attempts"):
        op.add_column(table, sa.Column("energy", postgresql.JSONB(none_as_null=True), nullable=True))
