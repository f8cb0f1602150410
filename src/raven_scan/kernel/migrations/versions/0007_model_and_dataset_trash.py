"""Revisions, search and trash of trained models and datasets; collections of blobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _extend_datasets()
    _extend_models()
    op.create_table(
        "blob_collections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("purged_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("blob_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("blob_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob_collections")),
    )


def _extend_datasets() -> None:
    op.add_column("datasets", sa.Column("notes", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "datasets", sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column(
        "datasets", sa.Column("last_number", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.execute(
        "UPDATE datasets SET last_number = newest.number"
        " FROM (SELECT dataset_id, max(number) AS number FROM dataset_versions GROUP BY dataset_id) newest"
        " WHERE newest.dataset_id = datasets.id"
    )
    for table in ("datasets", "dataset_versions"):
        _make_deletable(table)
    _make_name_free_in_trash("datasets")
    op.create_index(
        "ix_datasets_created_at",
        "datasets",
        ["created_at", "id"],
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    _make_searchable("datasets", "name", "notes")


def _extend_models() -> None:
    op.add_column(
        "trained_models", sa.Column("notes", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.add_column(
        "trained_models", sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column(
        "trained_models",
        sa.Column(
            "test_map50",
            sa.Double(),
            sa.Computed("(test ->> 'map50')::double precision", persisted=True),
            nullable=True,
        ),
    )
    for name in ("base_model_name", "dataset_version_name", "training_run_name"):
        op.add_column("trained_models", sa.Column(name, sa.Text(), nullable=True))
    op.execute(
        """
        UPDATE trained_models SET
            base_model_name = base.name,
            dataset_version_name = version.name,
            training_run_name = coalesce(
                run.name, CASE WHEN model.training_run_id IS NOT NULL THEN model.name END
            )
        FROM trained_models model
        LEFT JOIN trained_models base ON base.id = model.base_model_id
        LEFT JOIN (
            SELECT dataset_versions.id, datasets.name || '@' || dataset_versions.number AS name
            FROM dataset_versions JOIN datasets ON datasets.id = dataset_versions.dataset_id
        ) version ON version.id = model.dataset_version_id
        LEFT JOIN training_runs run ON run.id = model.training_run_id
        WHERE model.id = trained_models.id
        """
    )
    op.create_check_constraint(
        op.f("ck_trained_models_lineage_has_names"),
        "trained_models",
        "(training_run_id IS NULL) = (training_run_name IS NULL)"
        " AND (dataset_version_id IS NULL) = (dataset_version_name IS NULL)"
        " AND (base_model_id IS NULL) = (base_model_name IS NULL)",
    )
    # What is named in a lineage may go for good; the lineage keeps its name.
    op.drop_constraint("fk_trained_models_base_model_id", "trained_models")
    op.drop_constraint("fk_trained_models_dataset_version_id", "trained_models")
    op.drop_constraint("fk_training_runs_base_model_id", "training_runs")
    op.drop_constraint("fk_training_runs_dataset_version_id", "training_runs")
    _make_deletable("trained_models")
    _make_name_free_in_trash("trained_models")
    for column in ("created_at", "test_map50", "weights_size_bytes"):
        op.create_index(
            f"ix_trained_models_{column}",
            "trained_models",
            [column, "id"],
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
    op.create_index("ix_trained_models_base_model_id", "trained_models", ["base_model_id"])
    op.create_index("ix_trained_models_dataset_version_id", "trained_models", ["dataset_version_id"])
    for name in ("base_model_name", "dataset_version_name", "training_run_name"):
        op.create_index(f"ix_trained_models_{name}", "trained_models", [name])
    op.create_index("ix_trained_models_classes", "trained_models", ["classes"], postgresql_using="gin")
    _make_searchable(
        "trained_models",
        "name",
        "notes",
        "architecture",
        "dataset_version_name",
        "base_model_name",
        "training_run_name",
    )


def _make_deletable(table: str) -> None:
    op.add_column(table, sa.Column("deleted_at", _TIME, nullable=True))
    op.add_column(table, sa.Column("deleted_by", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f(f"ck_{table}_deleted_by_somebody"), table, "(deleted_at IS NULL) = (deleted_by IS NULL)"
    )
    op.create_index(
        f"ix_{table}_deleted_at",
        table,
        ["deleted_at", "id"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )


def _make_name_free_in_trash(table: str) -> None:
    op.drop_constraint(f"uq_{table}_name", table)
    op.create_index(
        f"uq_{table}_name", table, ["name"], unique=True, postgresql_where=sa.text("deleted_at IS NULL")
    )


def _make_searchable(table: str, *columns: str) -> None:
    content = " || ' '::text || ".join(f"COALESCE({column}, ''::text)" for column in columns)
    op.add_column(
        table,
        sa.Column(
            "search_words",
            postgresql.TSVECTOR(),
            sa.Computed(f"raven_search_words({content})", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(f"ix_{table}_search_words", table, ["search_words"], postgresql_using="gin")
