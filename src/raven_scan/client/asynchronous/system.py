"""The system, from outside."""

from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.kernel.system_schemas import SettingPage, SystemOut

_PATH = "/api/v1/system"


class AsyncSystemClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def show(self) -> SystemOut:
        """Version, database, worker, and what is missing."""
        return SystemOut.model_validate(await self._connection.get(_PATH))

    async def list_settings(self) -> SettingPage:
        """How the server is set up; secrets stay there."""
        return SettingPage.model_validate(await self._connection.get(f"{_PATH}/settings"))
