"""Revisions, search and trash of trained models and datasets."""

revision: str = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    pass
