"""All SQL of subscriptions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.notifications.models import Subscription
from raven_scan.notifications.types import SubscribedEnds, SubscribedRuns

_ORDER = ListOrder(
    name="subscriptions",
    columns={"created_at": Subscription.created_at},
    id=Subscription.id,
    default="-created_at",
)


def insert_subscription(session: Session, values: dict[str, Any]) -> Subscription:
    subscription = Subscription(**values)
    session.add(subscription)
    session.flush()
    session.refresh(subscription)
    return subscription


def find_subscription(session: Session, id_: UUID, *, lock: bool = False) -> Subscription | None:
    query = select(Subscription).where(Subscription.id == id_)
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def list_subscriptions(session: Session, page: PageRequest, user_id: UUID | None) -> Page[Subscription]:
    """A user's, or all."""
    statement = select(Subscription)
    if user_id is not None:
        statement = statement.where(Subscription.user_id == user_id)
    return _ORDER.fetch(session, statement, page, lambda row: row[0])


def count_subscriptions(session: Session, user_id: UUID) -> int:
    query = select(func.count()).select_from(Subscription).where(Subscription.user_id == user_id)
    return session.scalar(query) or 0


def list_matching(
    session: Session, *, run_id: UUID, created_by_id: UUID | None, ends: SubscribedEnds
) -> Sequence[Subscription]:
    """Those that want to hear of the end of this run, the oldest first."""
    query = (
        select(Subscription)
        .where(
            Subscription.is_active,
            Subscription.ends.in_([ends, SubscribedEnds.BOTH]),
            or_(
                Subscription.runs == SubscribedRuns.ALL,
                and_(Subscription.runs == SubscribedRuns.ONE, Subscription.run_id == run_id),
                and_(Subscription.runs == SubscribedRuns.MINE, Subscription.user_id == created_by_id),
            ),
        )
        .order_by(Subscription.id)
    )
    return session.scalars(query).all()
