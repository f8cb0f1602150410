"""What the tests of notifications do again and again."""

from typing import Any

from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.types import NotificationView

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def change_settings(settings: Settings, **changes: Any) -> Settings:
    """With every check, as at a start."""
    return Settings(**({name: getattr(settings, name) for name in settings.model_fields_set} | changes))


def list_all(service: NotificationService) -> list[NotificationView]:
    return service.list_notifications(LOCAL_ADMINISTRATOR, PageRequest()).items


def make_due(database: Database) -> None:
    """Turns the hands forward for all that waits."""
    with database.transaction() as session:
        session.execute(text("UPDATE notifications SET due_at = now() WHERE state = 'waiting'"))
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"))
