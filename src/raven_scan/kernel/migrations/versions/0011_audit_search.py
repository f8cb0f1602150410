"""The words of the audit trail's entries, to search in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    columns = ("actor_name", "actor_address", "action", "target_name", "(details)::text")
    content = " || ' '::text || ".join(f"COALESCE({column}, ''::text)" for column in columns)
    op.add_column(
        "audit_entries",
        sa.Column(
            "search_words",
            postgresql.TSVECTOR(),
            sa.Computed(f"raven_search_words({content})", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(
        "ix_audit_entries_search_words", "audit_entries", ["search_words"], postgresql_using="gin"
    )
