# Made from asynchronous/run_queue.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The queue, from outside: runs that wait, in their order."""

from collections.abc import Iterator

from raven_scan.client.synchronous.connection import Connection
from raven_scan.training_runs.schemas import QueueEntryOut, QueueOut

_PATH = "/api/v1/system/queue"


class QueueClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> QueueOut:
        """In their order; each with why it waits, and when it will probably start."""
        return QueueOut.model_validate(self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def list_all(self) -> Iterator[QueueEntryOut]:
        """The whole queue, page by page."""
        return self._connection.iterate(_PATH, QueueEntryOut.model_validate)
