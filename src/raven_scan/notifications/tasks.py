"""The job that sends a notification."""

import threading
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.notifications.service import NotificationService


class SendingJob:
    """The handler of `types.SEND_TASK`.

    Args:
        service: the use cases.
        actor: whom it acts as; needs `notification:send`.
    """

    def __init__(self, service: NotificationService, actor: Actor) -> None:
        self._service = service
        self._actor = actor

    def __call__(self, stop: threading.Event, *, notification_id: str) -> None:
        self._service.deliver(self._actor, UUID(notification_id), stop=stop)
