"""Alembic's entry: migrates over the connection that `kernel.schema` hands in."""

from alembic import context

from raven_scan.kernel.migrations.filters import is_ours

config = context.config

context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes.get("metadata"),
    include_object=is_ours,
    compare_server_default=True,
)

with context.begin_transaction():
    context.run_migrations()
