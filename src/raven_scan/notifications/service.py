"""The use cases of notifications."""

import math
import threading
import time
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.directory import AccountDirectory
from raven_scan.access.signing import ServerSigner
from raven_scan.access.types import Actor, Claim
from raven_scan.jobs.queue import JobQueue
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications import repository
from raven_scan.notifications.content import pack_event, unpack_event
from raven_scan.notifications.errors import no_recipients
from raven_scan.notifications.recipients import Recipient, list_recipients, read_subscription_id
from raven_scan.notifications.repository import TakenNotification
from raven_scan.notifications.sending import LONGEST_TRY_S, Messenger, Try
from raven_scan.notifications.subscribers import Subscribers
from raven_scan.notifications.types import (
    SEND_TASK,
    NotificationState,
    NotificationView,
    Outcome,
    RunEnded,
    TestResult,
)
from raven_scan.notifications.unsubscribe_links import UnsubscribeLinks
from raven_scan.notifications.wording import describe_run, describe_test, get_event

RETRY_DELAYS_S = tuple(60 * 3**number for number in range(7))
"""1, 3, 9, 27 minutes, 1, 4 and 12 hours: eight tries within 18 hours."""

_MOST_TRIES = len(RETRY_DELAYS_S) + 1
_LEASE_S = 4 * LONGEST_TRY_S
"""A try that has not told its end after so long is lost with its process."""

_STOP_GRACE_S = 3.0
_KEPT_FOR = timedelta(days=90)
_BATCH_SIZE = 100

_log = structlog.get_logger(__name__)


class NotificationService:
    """Tells people and machines outside what has happened: at least once, and nobody waits for them."""

    def __init__(self, database: Database, queue: JobQueue, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._queue = queue
        self._settings = settings
        self._clock = clock
        links = UnsubscribeLinks(ServerSigner(database), settings.public_url)
        self._messenger = Messenger(settings, clock, links)
        self._recipients = list_recipients(settings)
        self._subscribers = Subscribers(AccountDirectory(database), settings)

    def announce(self, actor: Actor, run: RunEnded) -> None:
        """Has every recipient told, once the caller's transaction is committed; sends nothing itself.

        Args:
            actor: needs `notification:send`.
            run: what has happened.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        with self._database.transaction() as session:
            subscribed = self._subscribers.list_for(actor, session, run)
            # Two that reach the same place are one: the settings' comes first, then the oldest subscription.
            recipients = {each.place: each for each in reversed([*self._recipients, *subscribed])}
            if not recipients:
                return
            content = pack_event(run, self._settings.list_secrets())
            for recipient in reversed(recipients.values()):
                id_ = make_id()
                repository.insert_notification(
                    session,
                    {
                        "id": id_,
                        "event": get_event(run),
                        "subject": content["name"],
                        "content": content,
                        "channel": recipient.channel,
                        "recipient": recipient.name,
                        "recipient_key": recipient.key,
                        "job_id": self._enqueue(session, id_),
                    },
                )

    def deliver(
        self,
        actor: Actor,
        id_: UUID,
        *,
        stop: threading.Event | None = None,
        give_up_at: float = math.inf,
    ) -> None:
        """Sends one notification where it is due; where that fails, it is tried again later.

        Args:
            actor: needs `notification:send`.
            id_: of the notification; one that is gone, over or not due is no error.
            stop: once set, waits a few seconds more at most, and leaves the notification to others.
            give_up_at: leaves it to others then, on the monotonic clock.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        with self._database.transaction() as session:
            taken = repository.take(session, id_, longest_try_s=_LEASE_S)
        if taken is None:
            return
        outcome = self._send(actor, taken, stop, give_up_at)
        with self._database.transaction() as session:
            self._record(session, taken, outcome)

    def deliver_due(self, actor: Actor, *, longest_s: float) -> None:
        """Sends what is due, for a process that is about to end; what it leaves is sent by a later one.

        Args:
            actor: needs `notification:send`.
            longest_s: takes no longer than this, whatever a receiver does.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        give_up_at = time.monotonic() + longest_s
        with self._database.transaction() as session:
            due = repository.list_due(session, limit=_BATCH_SIZE)
        for id_ in due:
            if time.monotonic() < give_up_at:
                self.deliver(actor, id_, give_up_at=give_up_at)

    def keep_house(self, actor: Actor) -> None:
        """Queues anew what is due and whose job died with its worker; removes what ended long ago.

        Args:
            actor: needs `notification:send`.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        with self._database.transaction() as session:
            job_of = repository.lock_overdue(session, limit=_BATCH_SIZE)
            if job_of:
                dead = self._queue.find_dead_jobs(session, list(job_of.values()), taken_for_s=_LEASE_S)
                for id_ in [id_ for id_, job_id in job_of.items() if job_id in dead]:
                    repository.set_job(session, id_, self._enqueue(session, id_))
            repository.delete_ended(session, older_than=_KEPT_FOR, limit=_BATCH_SIZE)

    def send_test(self, actor: Actor) -> list[TestResult]:
        """Sends every recipient a test message at once, and waits for the results.

        Args:
            actor: needs `notification:send`.

        Raises:
            Conflict: there is no recipient.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        if not self._recipients:
            raise no_recipients()
        tries = [(recipient, self._begin_test(actor, recipient)) for recipient in self._recipients]
        results: list[TestResult] = []
        for recipient, begun in tries:
            outcome = begun.wait()
            assert outcome is not None  # noqa: S101 - nothing stops it
            results.append(TestResult(recipient.channel, recipient.name, outcome.is_sent, outcome.reason))
        told = [f"{each.recipient}: {'sent' if each.is_sent else 'failed'}" for each in results]
        with self._database.transaction() as session:
            record(session, actor, "notification.tested", Target("notification", None, ""), recipients=told)
        return results

    def list_notifications(
        self, actor: Actor, page: PageRequest, *, state: NotificationState | None = None
    ) -> Page[NotificationView]:
        """Newest first.

        Args:
            actor: needs `system:view`.
            page: which.
            state: only these.
        """
        actor.require(Claim.SYSTEM_VIEW)
        with self._database.reading() as session:
            return repository.list_notifications(session, page, state=state)

    def _begin_test(self, actor: Actor, recipient: Recipient) -> Try:
        message = describe_test(make_id(), self._clock.now(), sender=actor.name)
        return Try(lambda: self._messenger.send(recipient, message))

    def _enqueue(self, session: Session, id_: UUID, *, start_at: datetime | None = None) -> int:
        return self._queue.enqueue(session, SEND_TASK, {"notification_id": str(id_)}, start_at=start_at)

    def _send(
        self, actor: Actor, taken: TakenNotification, stop: threading.Event | None, give_up_at: float
    ) -> Outcome | None:
        if taken.tries > _MOST_TRIES:  # the last try went with its process
            return Outcome(is_sent=False, reason="The worker died while it was sent.", is_final=True)
        subscription_id = read_subscription_id(taken.recipient_key)
        if subscription_id is None:
            recipient = next((each for each in self._recipients if each.key == taken.recipient_key), None)
            if recipient is None:
                return Outcome(is_sent=False, reason="The settings do not name this recipient any more.")
        else:
            with self._database.transaction() as session:
                recipient = self._subscribers.find(actor, session, subscription_id)
            if recipient is None:
                return Outcome(
                    is_sent=False, reason="Its subscription has ended, or its account.", is_final=True
                )
        run = unpack_event(taken.content)
        message = describe_run(taken.id, run, public_url=self._settings.public_url)
        begun = Try(lambda: self._messenger.send(recipient, message))
        return begun.wait(stop=stop, grace_s=_STOP_GRACE_S, give_up_at=give_up_at)

    def _record(self, session: Session, taken: TakenNotification, outcome: Outcome | None) -> None:
        told = {"notification": str(taken.id), "recipient": taken.recipient, "tries": taken.tries}
        if outcome is None:
            # The try does not count: what ended it was this process.
            self._postpone(session, taken, delay_s=0, reason="", tries=taken.tries - 1)
        elif outcome.is_sent:
            repository.mark_sent(session, taken.id)
            _log.info("notification.sent", **told)
        elif outcome.is_final or taken.tries >= _MOST_TRIES:
            repository.mark_failed(session, taken, reason=outcome.reason)
            _log.error("notification.failed", reason=outcome.reason, **told)
        else:
            delay_s = RETRY_DELAYS_S[taken.tries - 1]
            self._postpone(session, taken, delay_s=delay_s, reason=outcome.reason, tries=taken.tries)
            _log.warning("notification.try_failed", reason=outcome.reason, retry_in_s=delay_s, **told)

    def _postpone(
        self, session: Session, taken: TakenNotification, *, delay_s: float, reason: str, tries: int
    ) -> None:
        due_at = repository.get_now(session) + timedelta(seconds=delay_s)
        job_id = self._enqueue(session, taken.id, start_at=due_at)
        repository.postpone(session, taken, due_at=due_at, job_id=job_id, reason=reason, tries=tries)
