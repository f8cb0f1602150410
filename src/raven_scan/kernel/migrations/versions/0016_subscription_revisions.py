"""A subscription's revision: its user and an administrator may both edit it."""

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"


def upgrade() -> None:
    op.add_column(
        "subscriptions", sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
