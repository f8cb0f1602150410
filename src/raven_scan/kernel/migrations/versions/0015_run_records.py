"""What a run's record needs for it to be run again."""

revision: str = "0015"
down_revision: str | None = "0014"


def upgrade() -> None:
    pass
