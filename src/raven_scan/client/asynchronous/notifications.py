"""Notifications, from outside."""

from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.notifications.schemas import NotificationPage, TestOut

_PATH = "/api/v1/notifications"


class AsyncNotificationsClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(
        self, *, limit: int | None = None, cursor: str | None = None, state: str | None = None
    ) -> NotificationPage:
        """Newest first. `state`: waiting, sent or failed."""
        parameters = {"limit": limit, "cursor": cursor, "state": state}
        return NotificationPage.model_validate(await self._connection.get(_PATH, parameters))

    async def send_test(self) -> TestOut:
        """Has every recipient sent a test message; tells how each fared."""
        return TestOut.model_validate(await self._connection.post(f"{_PATH}/test"))
