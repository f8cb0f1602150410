"""Packages of models, and the keys that are trusted."""

revision: str = "0014"
down_revision: str | None = "0013"


def upgrade() -> None:
    pass
