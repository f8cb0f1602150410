"""Alembic's entry: migrates over the connection that `kernel.schema` hands in."""

from typing import Any

from alembic import context

config = context.config


def is_ours(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:  # noqa: FBT001
    """The queue's tables are Procrastinate's own."""
    return not (type_ == "table" and (name or "").startswith("procrastinate_"))


context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes.get("metadata"),
    include_object=is_ours,
    compare_server_default=True,
)

with context.begin_transaction():
    context.run_migrations()
