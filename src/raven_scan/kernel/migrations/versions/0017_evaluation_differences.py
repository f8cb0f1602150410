"""Differences between evaluations, kept once they are reckoned."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0017"
down_revision: str | None = "0016"


def upgrade() -> None:
    op.create_table(
        "evaluation_differences",
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.Column("class_name", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("method", sa.Integer(), nullable=False),
        sa.Column("difference", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["first_id"],
            ["model_evaluations.id"],
            name=op.f("fk_evaluation_differences_first_id_model_evaluations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["second_id"],
            ["model_evaluations.id"],
            name=op.f("fk_evaluation_differences_second_id_model_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "first_id", "second_id", "figure", "class_name", "seed", name=op.f("pk_evaluation_differences")
        ),
    )
    op.create_index("ix_evaluation_differences_second_id", "evaluation_differences", ["second_id"])
