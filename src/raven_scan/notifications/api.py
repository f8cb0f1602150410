"""NotificationsController: notifications over REST."""

from typing import Annotated

from fastapi import APIRouter, Depends

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.notifications.schemas import NotificationOut, NotificationPage, TestOut, TestResultOut
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import NotificationState


def build_router(service: NotificationService, get_actor: ActorDependency) -> APIRouter:
    """The router of notifications.

    Args:
        service: the use cases.
        get_actor: dependency that tells who asks.
    """
    router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        state: NotificationState | None = None,
    ) -> NotificationPage:
        """List notifications, newest first."""
        page = service.list_notifications(actor, PageRequest.parse(limit, cursor), state=state)
        items = [NotificationOut.model_validate(each) for each in page.items]
        return NotificationPage(items=items, next=page.next)

    @router.post("/test")
    def send_test(actor: Annotated[Actor, Depends(get_actor)]) -> TestOut:
        """Send every recipient a test message, and tell how each fared."""
        return TestOut(items=[TestResultOut.model_validate(each) for each in service.send_test(actor)])

    return router
