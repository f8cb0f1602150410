"""How busy a worker's machine and devices are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0018"
down_revision: str | None = "0017"


def upgrade() -> None:
    op.add_column("workers", sa.Column("load", postgresql.JSONB(none_as_null=True), nullable=True))
