"""Workers, from outside."""

from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.jobs.schemas import WorkerPage

_PATH = "/api/v1/system/workers"


class AsyncWorkersClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> WorkerPage:
        """Those that live, each with its devices and what they do."""
        return WorkerPage.model_validate(await self._connection.get(_PATH))
