"""Writes the next migration from the difference between the tables in code and those that migrations make.

Usage: python scripts/make_migration.py 0002 "add notes to training runs"; then read and mend what it wrote.
"""

import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from raven_scan.app.tables import metadata
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.schema import make_alembic_config, upgrade_schema


def main(revision: str, message: str) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder))
        with server.hold() as holding:
            engine = create_engine(holding.url)
            upgrade_schema(engine)
            with engine.connect() as connection:
                config = make_alembic_config(connection, metadata)
                command.revision(config, message, autogenerate=True, rev_id=revision)
            engine.dispose()
        server.stop(force=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
