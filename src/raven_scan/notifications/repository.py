"""All SQL of notifications. Times are the database's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.notifications.models import Notification
from raven_scan.notifications.types import Channel, NotificationEvent, NotificationState, NotificationView

_ORDER = ListOrder("notifications", {"id": Notification.id}, Notification.id, "-id")


@dataclass(frozen=True, slots=True)
class TakenNotification:
    """One that this process may send now, as the try of this number."""

    id: UUID
    recipient_key: str
    recipient: str
    content: dict[str, Any]
    tries: int


def get_now(session: Session) -> datetime:
    """The database's time, as jobs are scheduled by."""
    return session.execute(select(func.now())).scalar_one()


def insert_notification(session: Session, values: dict[str, Any]) -> None:
    session.add(Notification(**values))
    session.flush()


def take(session: Session, id_: UUID, *, longest_try_s: float) -> TakenNotification | None:
    """Begins the next try; None where it is over, not due, or under way elsewhere."""
    row = session.execute(
        update(Notification)
        .where(
            Notification.id == id_,
            Notification.state == NotificationState.WAITING,
            Notification.due_at <= func.now(),
        )
        .values(tries=Notification.tries + 1, due_at=func.now() + timedelta(seconds=longest_try_s))
        .returning(
            Notification.id,
            Notification.recipient_key,
            Notification.recipient,
            Notification.content,
            Notification.tries,
        )
    ).one_or_none()
    return None if row is None else TakenNotification(*row)


def mark_sent(session: Session, id_: UUID) -> None:
    """Also by a try that was overtaken: it has arrived."""
    session.execute(
        update(Notification)
        .where(Notification.id == id_, Notification.state == NotificationState.WAITING)
        .values(state=NotificationState.SENT, reason="", due_at=None, ended_at=func.now())
    )


def mark_failed(session: Session, taken: TakenNotification, *, reason: str) -> None:
    values = {"state": NotificationState.FAILED, "reason": reason, "due_at": None, "ended_at": func.now()}
    _write(session, taken, values)


def postpone(
    session: Session, taken: TakenNotification, *, due_at: datetime, job_id: int, reason: str, tries: int
) -> None:
    values = {"due_at": due_at, "job_id": job_id, "reason": reason, "tries": tries}
    _write(session, taken, values)


def _write(session: Session, taken: TakenNotification, values: dict[str, Any]) -> None:
    """Changes nothing where another try has taken over."""
    session.execute(
        update(Notification)
        .where(
            Notification.id == taken.id,
            Notification.tries == taken.tries,
            Notification.state == NotificationState.WAITING,
        )
        .values(values)
    )


def list_due(session: Session, *, limit: int) -> list[UUID]:
    """The longest due first."""
    statement = (
        select(Notification.id)
        .where(Notification.state == NotificationState.WAITING, Notification.due_at <= func.now())
        .order_by(Notification.due_at)
        .limit(limit)
    )
    return list(session.scalars(statement))


def lock_overdue(session: Session, *, limit: int) -> dict[UUID, int]:
    """Those that are due, with their jobs; other processes pass them over until the transaction ends."""
    statement = (
        select(Notification.id, Notification.job_id)
        .where(Notification.state == NotificationState.WAITING, Notification.due_at <= func.now())
        .order_by(Notification.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.job_id for row in session.execute(statement)}


def set_job(session: Session, id_: UUID, job_id: int) -> None:
    session.execute(update(Notification).where(Notification.id == id_).values(job_id=job_id))


def delete_ended(session: Session, *, older_than: timedelta, limit: int) -> None:
    old = (
        select(Notification.id)
        .where(
            Notification.state != NotificationState.WAITING, Notification.ended_at < func.now() - older_than
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    session.execute(delete(Notification).where(Notification.id.in_(old)))


def list_notifications(
    session: Session, page: PageRequest, *, state: NotificationState | None
) -> Page[NotificationView]:
    """Newest first: ids sort by creation."""
    statement = select(Notification)
    if state is not None:
        statement = statement.where(Notification.state == state)
    return _ORDER.fetch(session, statement, page, lambda row: _make_view(row[0]))


def _make_view(row: Notification) -> NotificationView:
    return NotificationView(
        id=row.id,
        event=NotificationEvent(row.event),
        subject=row.subject,
        channel=Channel(row.channel),
        recipient=row.recipient,
        state=NotificationState(row.state),
        tries=row.tries,
        reason=row.reason,
        created_at=row.created_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
    )
