"""${message.capitalize()}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision: str = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}

# There is no way down: a release is undone by restoring the backup that was made before it.


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
