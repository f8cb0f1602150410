"""Packages of models, and the keys that are trusted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "package_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("is_own", sa.Boolean(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", _TIME, nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.CheckConstraint("octet_length(public_key) = 32", name=op.f("ck_package_keys_ed25519")),
        sa.CheckConstraint(
            "(private_key IS NOT NULL) = (is_own AND revoked_at IS NULL)",
            name=op.f("ck_package_keys_secret_while_own"),
        ),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (revoked_by IS NULL)", name=op.f("ck_package_keys_revoked_by_somebody")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package_keys")),
    )
    for column in ("name", "public_key"):
        op.create_index(
            f"uq_package_keys_{column}",
            "package_keys",
            [column],
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
        )
    op.create_index(
        "uq_package_keys_own",
        "package_keys",
        ["is_own"],
        unique=True,
        postgresql_where=sa.text("is_own AND revoked_at IS NULL"),
    )
    op.create_index("ix_package_keys_added_at", "package_keys", ["added_at", "id"])
    op.create_table(
        "model_packages",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("made_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("model_id", "digest", name=op.f("pk_model_packages")),
    )
    op.create_index("ix_model_packages_made_at", "model_packages", ["made_at"])
    op.add_column(
        "trained_models",
        sa.Column("package", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.create_check_constraint(
        op.f("ck_trained_models_packages_are_imported"),
        "trained_models",
        "package IS NULL OR origin = 'imported'",
    )
    op.drop_constraint(op.f("ck_uploads_known_purpose"), "uploads", type_="check")
    op.create_check_constraint(
        op.f("ck_uploads_known_purpose"), "uploads", "purpose IN ('dataset', 'checkpoint', 'package')"
    )
