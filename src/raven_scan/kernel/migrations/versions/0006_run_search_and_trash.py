"""Notes, revisions, search and trash of training runs."""

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    pass
