"""Notes, revisions, search and trash of training runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"


_IS_THERE = sa.text("deleted_at IS NULL")
_SEARCHED = (
    "name",
    "notes",
    "dataset_version_name",
    "base_model_name",
    "architecture",
    "created_by",
)


def upgrade() -> None:
    _create_search_words()
    _extend_runs()
    _index_runs()


def _extend_runs() -> None:
    searched = " || ' '::text || ".join(f"COALESCE({column}, ''::text)" for column in _SEARCHED)
    columns: list[sa.Column[object]] = [
        sa.Column("notes", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by", sa.Text(), nullable=True),
        sa.Column("is_purging", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "best_map50",
            sa.Double[float](),
            sa.Computed("(best ->> 'map50')::double precision", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "search_words",
            postgresql.TSVECTOR(),
            sa.Computed(f"raven_search_words({searched})", persisted=True),
            nullable=False,
        ),
    ]
    for column in columns:
        op.add_column("training_runs", column)
    op.create_check_constraint(
        op.f("ck_training_runs_deleted_by_somebody"),
        "training_runs",
        "(deleted_at IS NULL) = (deleted_by IS NULL)",
    )
    op.create_check_constraint(
        op.f("ck_training_runs_purged_is_deleted"),
        "training_runs",
        "NOT is_purging OR deleted_at IS NOT NULL",
    )
    op.create_check_constraint(
        op.f("ck_training_runs_deleted_is_at_rest"),
        "training_runs",
        "deleted_at IS NULL OR status NOT IN ('Waiting', 'Processing')",
    )


def _index_runs() -> None:
    op.drop_constraint("uq_training_runs_name", "training_runs")
    op.create_index(
        "uq_training_runs_name", "training_runs", ["name"], unique=True, postgresql_where=_IS_THERE
    )
    op.drop_index("ix_training_runs_status_id", "training_runs")
    for column in (
        "name",
        "status",
        "created_at",
        "scheduled_at",
        "ended_at",
        "priority",
        "best_map50",
        "dataset_version_id",
        "base_model_id",
        "base_model_name",
        "architecture",
        "created_by",
    ):
        op.create_index(
            f"ix_training_runs_{column}", "training_runs", [column, "id"], postgresql_where=_IS_THERE
        )
    op.create_index(
        "ix_training_runs_dataset_name",
        "training_runs",
        [sa.text("split_part(dataset_version_name, '@', 1)")],
        postgresql_where=_IS_THERE,
    )
    op.create_index(
        "ix_training_runs_deleted_at",
        "training_runs",
        ["deleted_at", "id"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_training_runs_search_words",
        "training_runs",
        ["search_words"],
        postgresql_using="gin",
        # What was added a moment ago is not searched one by one.
        postgresql_with={"fastupdate": "off"},
    )


def _create_search_words() -> None:
    """What kernel/search.py searches in: words, and the runs of letters and of digits in them."""
    between = r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u303f]"
    op.execute(
        rf"""
        CREATE FUNCTION raven_search_words(content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN (
            SELECT array_to_tsvector(array_remove(words || parts, ''))
            FROM (
                SELECT
                    regexp_split_to_array(cut, '{between}+') AS words,
                    regexp_split_to_array(regexp_replace(cut, '([0-9]+)', ' \1 ', 'g'), '{between}+') AS parts
                FROM (
                    SELECT regexp_replace(
                        lower(content),
                        '({between.replace("[", "[^", 1)}{{60}}){between.replace("[", "[^", 1)}+', '\1', 'g'
                    ) AS cut
                ) AS shortened
            ) AS split
        )
        """  # noqa: S608 - nothing of a user is in it
    )
