"""Notifications over REST."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from raven_scan.notifications.types import Channel, NotificationEvent, NotificationState


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NotificationOut(_Schema):
    """What was or is to be told to one recipient. `subject`: the run's name; `reason`: why the last try failed."""

    id: UUID
    event: NotificationEvent
    subject: str
    channel: Channel
    recipient: str
    state: NotificationState
    tries: int
    reason: str
    created_at: datetime
    due_at: datetime | None
    ended_at: datetime | None


class NotificationPage(_Schema):
    items: list[NotificationOut]
    next: str | None


class TestResultOut(_Schema):
    """How the test message fared with one recipient."""

    __test__ = False  # pytest: no test, whatever its name

    channel: Channel
    recipient: str
    is_sent: bool
    reason: str


class TestOut(_Schema):
    __test__ = False

    items: list[TestResultOut]
