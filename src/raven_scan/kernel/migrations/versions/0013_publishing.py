"""Quality requirements and published names."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    op.add_column("trained_models", sa.Column("created_by_id", sa.Uuid(), nullable=True))
    op.create_table(
        "policy_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("requirements", postgresql.JSONB(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_by_id", sa.Uuid(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_policy_versions_numbered_from_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_versions")),
        sa.UniqueConstraint("version", name=op.f("uq_policy_versions_version")),
    )
    op.create_table(
        "published_names",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("last_used_number", sa.Integer(), nullable=True),
        sa.Column("last_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "number BETWEEN 1 AND last_number", name=op.f("ck_published_names_number_is_there")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_names")),
    )
    op.create_index("uq_published_names_name", "published_names", ["name"], unique=True)
    op.create_index("ix_published_names_changed_at", "published_names", ["changed_at", "id"])
    op.create_table(
        "published_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=True),
        sa.Column("dataset_version_name", sa.Text(), nullable=True),
        sa.Column("evaluation_id", sa.Uuid(), nullable=True),
        sa.Column("compared_evaluation_id", sa.Uuid(), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("policy", postgresql.JSONB(), nullable=False),
        sa.Column("requirements", postgresql.JSONB(), nullable=False),
        sa.Column("override_reason", sa.Text(), nullable=True),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.Column("published_by_id", sa.Uuid(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawal_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_published_versions_numbered_from_one")),
        sa.CheckConstraint(
            "(dataset_version_id IS NULL) = (dataset_version_name IS NULL)"
            " AND (dataset_version_id IS NULL) = (evaluation_id IS NULL)",
            name=op.f("ck_published_versions_evaluated_on_a_version"),
        ),
        sa.CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)"
            " AND (withdrawn_at IS NULL) = (withdrawal_reason IS NULL)",
            name=op.f("ck_published_versions_withdrawn_by_somebody"),
        ),
        sa.ForeignKeyConstraint(
            ["name_id"], ["published_names.id"], name=op.f("fk_published_versions_name_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_versions")),
        sa.UniqueConstraint("name_id", "number", name=op.f("uq_published_versions_name_id_number")),
    )
    op.create_index("ix_published_versions_model_id", "published_versions", ["model_id"])
    op.create_index("ix_published_versions_dataset_version_id", "published_versions", ["dataset_version_id"])
    op.create_table(
        "published_name_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("from_number", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "event IN ('published', 'withdrawn', 'rolled back')",
            name=op.f("ck_published_name_events_known_event"),
        ),
        sa.ForeignKeyConstraint(
            ["name_id"], ["published_names.id"], name=op.f("fk_published_name_events_name_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_name_events")),
    )
    op.create_index("ix_published_name_events_name_id", "published_name_events", ["name_id", "id"])
