"""Resumable uploads, and answers to requests that are repeated."""

revision: str = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    pass
