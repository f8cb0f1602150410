"""Notifications over REST."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from raven_scan.notifications.types import (
    Channel,
    NotificationEvent,
    NotificationState,
    SubscribedEnds,
    SubscribedRuns,
)


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


class SubscriptionCreate(BaseModel):
    """What to hear of, and how: by e-mail, to the account's address unless `email` says another, or by webhook."""

    model_config = ConfigDict(extra="forbid")

    runs: SubscribedRuns = Field(
        default=SubscribedRuns.MINE, description="all, mine (that you created), or one: then say which."
    )
    run: str | None = Field(default=None, description="Name or id of the one run.")
    ends: SubscribedEnds = Field(default=SubscribedEnds.BOTH, description="success, error or both.")
    email: str | None = Field(default=None, max_length=320, description="Default: the account's own address.")
    webhook: SecretStr | None = Field(default=None, description="Address that gets a signed POST instead.")
    user: str | None = Field(default=None, description="Somebody else, for who may edit users.")

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if (self.run is not None) != (self.runs is SubscribedRuns.ONE):
            raise ValueError("'run' is given with 'runs': 'one', and only then")
        if self.email is not None and self.webhook is not None:
            raise ValueError("it goes to an e-mail address or to a webhook, not to both")
        return self


class UnsubscriptionOut(_Schema):
    """What the link of a mail ends. `recipient`: null for an account's own address, and where it has ended before."""

    has_ended: bool
    runs: SubscribedRuns | None = None
    run: str | None = None
    ends: SubscribedEnds | None = None
    recipient: str | None = None


class SubscriptionEdit(BaseModel):
    """What is left out stays."""

    model_config = ConfigDict(extra="forbid")

    is_active: bool | None = Field(default=None, description="false lets it rest.")
    ends: SubscribedEnds | None = None


class SubscribedRunOut(_Schema):
    id: UUID
    name: str


class SubscriptionOut(_Schema):
    """A subscription. Of a webhook's address, `recipient` has the host and a mark alone."""

    id: UUID
    user: str
    runs: SubscribedRuns
    run: SubscribedRunOut | None
    ends: SubscribedEnds
    channel: Channel
    recipient: str
    is_own_email: bool
    is_active: bool
    created_at: datetime
    revision: int


class NewSubscriptionOut(SubscriptionOut):
    secret: str | None = Field(
        description="What its webhooks are signed with, shown this once; null for e-mail."
    )


class SubscriptionPage(_Schema):
    items: list[SubscriptionOut]
    next: str | None
