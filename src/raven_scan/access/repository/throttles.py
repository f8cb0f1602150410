"""SQL of failed sign-ins."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.access.models import SignInThrottle


def lock_throttle(session: Session, kind: str, key: bytes, now: datetime) -> SignInThrottle:
    """The account's or the address's; others who try at this moment wait for this transaction."""
    session.execute(
        insert(SignInThrottle)
        .values(kind=kind, key=key, failures=0, last_failed_at=now, blocked_until=now)
        .on_conflict_do_nothing()
    )
    query = select(SignInThrottle).where(SignInThrottle.kind == kind, SignInThrottle.key == key)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()


def forget(session: Session, kind: str, key: bytes) -> None:
    session.execute(delete(SignInThrottle).where(SignInThrottle.kind == kind, SignInThrottle.key == key))


def take_back(session: Session, kind: str, key: bytes, now: datetime) -> None:
    """One of the failures was none."""
    session.execute(
        update(SignInThrottle)
        .where(SignInThrottle.kind == kind, SignInThrottle.key == key, SignInThrottle.failures > 0)
        .values(failures=SignInThrottle.failures - 1, blocked_until=now)
    )


def forget_before(session: Session, moment: datetime) -> None:
    session.execute(
        delete(SignInThrottle).where(
            SignInThrottle.last_failed_at < moment, SignInThrottle.blocked_until < moment
        )
    )
