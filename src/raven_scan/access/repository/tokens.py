"""SQL of API tokens."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from raven_scan.access.models import ApiToken, User
from raven_scan.access.repository.users import read_claims
from raven_scan.access.types import TokenView
from raven_scan.kernel.paging import ListOrder, Page, PageRequest


def insert_token(session: Session, values: dict[str, Any]) -> None:
    session.add(ApiToken(**values))
    session.flush()


def find_token(session: Session, token_id: UUID, *, lock: bool = False) -> tuple[ApiToken, User] | None:
    query = select(ApiToken, User).join(User).where(ApiToken.id == token_id)
    row = session.execute(query.with_for_update(of=ApiToken) if lock else query).one_or_none()
    return None if row is None else (row[0], row[1])


ORDER = ListOrder(
    name="tokens",
    columns={
        "name": ApiToken.name,
        "user": User.name_key,
        "created_at": ApiToken.created_at,
        "expires_at": ApiToken.expires_at,
        "last_used_at": ApiToken.last_used_at,
    },
    id=ApiToken.id,
    default="-created_at",
    optional=frozenset({"expires_at", "last_used_at"}),
)


def list_tokens(
    session: Session, page: PageRequest, *, user_id: UUID | None, valid_at: datetime | None
) -> Page[TokenView]:
    """Tokens in pages.

    Args:
        session: the transaction.
        page: which.
        user_id: only this user's.
        valid_at: leaves out what has ended by then; None leaves nothing out.
    """
    statement = select(ApiToken, User).join(User)
    if user_id is not None:
        statement = statement.where(ApiToken.user_id == user_id)
    if valid_at is not None:
        statement = statement.where(
            ApiToken.revoked_at.is_(None),
            ApiToken.expires_at.is_(None) | (ApiToken.expires_at > valid_at),
        )
    return ORDER.fetch(session, statement, page, lambda row: make_view(*row[:2]))


def make_view(token: ApiToken, user: User) -> TokenView:
    return TokenView(
        id=token.id,
        user=user.name,
        name=token.name,
        prefix=token.prefix,
        claims=None if token.claims is None else tuple(sorted(read_claims(token.claims))),
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )


def revoke(session: Session, token_id: UUID, now: datetime) -> None:
    session.execute(
        update(ApiToken).where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None)).values(revoked_at=now)
    )


def revoke_all(session: Session, user_id: UUID, now: datetime) -> int:
    """How many there were."""
    statement = (
        update(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return session.connection().execute(statement).rowcount


def note_use(session: Session, token_id: UUID, now: datetime, *, not_since: datetime) -> None:
    """Of several requests at once, one notes it, and no other waits for that."""
    stale = (
        select(ApiToken.id)
        .where(
            ApiToken.id == token_id, ApiToken.last_used_at.is_(None) | (ApiToken.last_used_at <= not_since)
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(ApiToken)
        .where(ApiToken.id.in_(stale))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )
