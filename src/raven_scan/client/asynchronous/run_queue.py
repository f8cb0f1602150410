"""The queue, from outside: runs that wait, in their order."""

from collections.abc import AsyncIterator

from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.training_runs.schemas import QueueEntryOut, QueueOut

_PATH = "/api/v1/system/queue"


class AsyncQueueClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> QueueOut:
        """In their order; each with why it waits, and when it will probably start."""
        return QueueOut.model_validate(await self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def list_all(self) -> AsyncIterator[QueueEntryOut]:
        """The whole queue, page by page."""
        return self._connection.iterate(_PATH, QueueEntryOut.model_validate)
