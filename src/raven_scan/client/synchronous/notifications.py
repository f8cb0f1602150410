# Made from asynchronous/notifications.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Notifications, from outside."""

from raven_scan.client.synchronous.connection import Connection
from raven_scan.notifications.schemas import NotificationPage, TestOut

_PATH = "/api/v1/notifications"


class NotificationsClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, state: str | None = None
    ) -> NotificationPage:
        """Newest first. `state`: waiting, sent or failed."""
        parameters = {"limit": limit, "cursor": cursor, "state": state}
        return NotificationPage.model_validate(self._connection.get(_PATH, parameters))

    def send_test(self) -> TestOut:
        """Has every recipient sent a test message; tells how each fared."""
        return TestOut.model_validate(self._connection.post(f"{_PATH}/test"))
