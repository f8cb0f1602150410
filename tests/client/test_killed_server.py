"""A server that is killed while it answers a client."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text
from tests.app.conftest import Process, wait_until

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.client import RavenClient, RetryRules
from raven_scan.uploads import repository


def test_what_is_created_is_created_once(
    platform: Platform, start_raven: Callable[..., Process], environment: dict[str, str]
) -> None:
    """It is killed in the middle of the change, and the client gets its answer from the next server."""
    del environment
    process = start_raven("serve", "--port", "0", "--no-worker", "--json")
    document = process.wait_for_document()
    token = Path(document["token_file"]).read_text().strip()

    def count_waiting() -> int:
        with platform.database.engine.connect() as connection:
            return connection.scalar(
                text(
                    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                    " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
                )
            )

    def create() -> str:
        rules = RetryRules(tries=60, longest_pause_s=1.0)
        with RavenClient(document["server"], token, retry_rules=rules) as raven:
            content = {"purpose": "dataset", "file_name": "a.zip"}
            return raven._connection.post("/api/v1/uploads", content)["id"]

    with ThreadPoolExecutor(1) as pool:
        with platform.database.transaction() as session:
            repository.lock_owner(session, LOCAL_ADMINISTRATOR.id)
            creating = pool.submit(create)
            wait_until(lambda: count_waiting() == 1, "the request to be in the middle of its change")
            process.end(signal.SIGKILL)
        start_raven("serve", "--port", document["server"].rsplit(":", 1)[1], "--no-worker", "--json")
        with platform.database.engine.begin() as connection:
            # Its lease would end by itself half a minute later.
            connection.execute(text("UPDATE request_keys SET leased_until = now()"))
        created = creating.result(90)
    with RavenClient(document["server"], token) as raven:
        assert [str(upload.id) for upload in raven.uploads.list().items] == [created]
