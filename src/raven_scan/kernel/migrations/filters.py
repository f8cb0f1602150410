"""What Alembic looks at."""

from typing import Any


def is_ours(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:  # noqa: FBT001
    """The queue's tables are Procrastinate's own."""
    return not (type_ == "table" and (name or "").startswith("procrastinate_"))
