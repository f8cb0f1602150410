"""Values of notifications."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr

SEND_TASK = "notifications.send"
"""The job that sends one notification; its argument is `notification_id`."""


class NotificationEvent(StrEnum):
    """What happened; the `type` of a webhook."""

    RUN_SUCCEEDED = "training_run.succeeded"
    RUN_FAILED = "training_run.failed"
    TEST = "test"


class Channel(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"


class SubscribedRuns(StrEnum):
    """Which runs' ends are told of. `mine`: those that the subscriber created."""

    ALL = "all"
    MINE = "mine"
    ONE = "one"


class SubscribedEnds(StrEnum):
    SUCCESS = "success"
    ERROR = "error"
    BOTH = "both"


class NotificationState(StrEnum):
    """`failed`: given up, with the reason."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A training run that has ended, as it is told to others.

    Attributes:
        attempts: how often its execution was tried.
        dataset: name@version.
        model: the name of the model that it made; None in Error.
        figures: of the model, in 0-1 by name (map, map50, …); None where one cannot be had.
        error_code, error_message, error_hint: why it ended in Error; None in Success.
        log_tail: the last lines of its log; only e-mail has them.
        created_by_id: whose run it is; None where nobody knows any more.
    """

    id: UUID
    name: str
    status: Literal["Success", "Error"]
    started_at: datetime | None
    ended_at: datetime
    attempts: int
    dataset: str | None = None
    base_model: str | None = None
    model: str | None = None
    figures: dict[str, float | None] = field(default_factory=dict[str, float | None])
    error_code: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    log_tail: list[str] = field(default_factory=list[str])
    created_by_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What one recipient is told, before it is an e-mail or a webhook.

    Attributes:
        id: the same each time that it is sent: receivers know a second delivery by it.
        created_at: when that happened which it tells of.
        subject: one line.
        summary: a paragraph.
        advice: what to do next, or empty.
        facts: names with values, in their order.
        link: where to read on.
        log_tail: the last lines of a log.
        data: what a webhook tells; JSON-able.
    """

    id: UUID
    event: NotificationEvent
    created_at: datetime
    subject: str
    summary: str
    data: dict[str, Any]
    advice: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    link: str | None = None
    log_tail: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How sending went.

    Attributes:
        reason: why not, in a sentence without secrets; empty where it was sent.
        is_final: the receiver said that trying again is of no use.
    """

    is_sent: bool
    reason: str = ""
    is_final: bool = False


SENT = Outcome(is_sent=True)


@dataclass(frozen=True, slots=True)
class TestResult:
    """How the test message fared with one recipient."""

    __test__ = False  # pytest: no test, whatever its name

    channel: Channel
    recipient: str
    is_sent: bool
    reason: str


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A notification as users see it.

    Attributes:
        subject: the name of what it tells of.
        recipient: an e-mail address, or the host of a webhook with the mark of its address.
        tries: how often it was tried.
        reason: why the last try failed; empty where none did.
        due_at: when it is tried next; None when it is over.
        ended_at: when it was sent or given up.
    """

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


@dataclass(frozen=True, slots=True)
class NamedRun:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionView:
    """What a user wants to hear of, and how.

    Attributes:
        run: where `runs` is `one`.
        recipient: what may be shown of the address: an e-mail address, or the host of a webhook with a mark.
        is_own_email: the account's address, whatever it is when a message is sent.
    """

    id: UUID
    user: str
    runs: SubscribedRuns
    run: NamedRun | None
    ends: SubscribedEnds
    channel: Channel
    recipient: str
    is_own_email: bool
    is_active: bool
    created_at: datetime
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedSubscription:
    """What the link in a mail ends, as whoever has the mail may know it.

    Attributes:
        run: the name of the one, where `runs` is `one`.
        recipient: None where it is the account's own address.
    """

    runs: SubscribedRuns
    run: str | None
    ends: SubscribedEnds
    recipient: str | None


@dataclass(frozen=True, slots=True)
class SubscribedMail:
    """Why somebody gets a mail, and how they get no more.

    Attributes:
        link: ends the subscription for whoever has it; None where nobody knows the server's address.
    """

    subscription_id: UUID
    link: SecretStr | None


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """`secret`: what its webhooks are signed with; None for e-mail."""

    subscription: SubscriptionView
    secret: SecretStr | None
