"""Subscriptions to the ends of runs."""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    op.add_column("training_runs", sa.Column("created_by_id", sa.Uuid(), nullable=True))
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("run_name", sa.Text(), nullable=True),
        sa.Column("ends", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("webhook_name", sa.Text(), nullable=True),
        sa.Column("sealed_address", sa.LargeBinary(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("runs IN ('all', 'mine', 'one')", name=op.f("ck_subscriptions_known_runs")),
        sa.CheckConstraint("ends IN ('success', 'error', 'both')", name=op.f("ck_subscriptions_known_ends")),
        sa.CheckConstraint("channel IN ('email', 'webhook')", name=op.f("ck_subscriptions_known_channel")),
        sa.CheckConstraint(
            "(runs = 'one') = (run_id IS NOT NULL) AND (run_id IS NULL) = (run_name IS NULL)",
            name=op.f("ck_subscriptions_one_has_run"),
        ),
        sa.CheckConstraint(
            "(channel = 'webhook') = (sealed_address IS NOT NULL)",
            name=op.f("ck_subscriptions_webhook_has_address"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index("ix_subscriptions_user_id", "subscriptions", ["user_id", "id"])
    op.create_index(
        "ix_subscriptions_run_id",
        "subscriptions",
        ["run_id"],
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
