"""Quality requirements and published names."""

revision: str = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    pass
