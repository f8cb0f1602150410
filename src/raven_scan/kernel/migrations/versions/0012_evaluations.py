"""Evaluations of models."""

revision: str = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    pass
