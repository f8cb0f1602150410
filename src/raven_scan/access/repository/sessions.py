"""SQL of sessions, of who a request comes from, and of the key that cookies are signed with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.access.models import ApiToken, SigningKey, User, UserSession
from raven_scan.access.repository.users import read_claims, select_claims
from raven_scan.access.types import Claim
from raven_scan.kernel.database import Database, write_query


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session as a request shows it, with its user."""

    id: UUID
    method: str
    last_seen_at: datetime
    expires_at: datetime
    user_id: UUID
    user_name: str
    disabled_at: datetime | None
    must_change_password: bool
    claims: frozenset[Claim]


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as a request shows it, with its user; `claims`: of both."""

    id: UUID
    name: str
    is_limited: bool
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    user_id: UUID
    user_name: str
    disabled_at: datetime | None
    claims: frozenset[Claim]


# Written once: every request makes one of these two queries.
_KNOWN_TOKEN = write_query(
    select(
        ApiToken.id,
        ApiToken.name,
        ApiToken.claims,
        ApiToken.last_used_at,
        ApiToken.expires_at,
        ApiToken.revoked_at,
        User.id,
        User.name,
        User.disabled_at,
        select_claims(),
    )
    .join(User)
    .where(ApiToken.secret_hash == bindparam("shown"))
)

_KNOWN_SESSION = write_query(
    select(
        UserSession.id,
        UserSession.method,
        UserSession.last_seen_at,
        UserSession.expires_at,
        User.id,
        User.name,
        User.disabled_at,
        User.must_change_password,
        select_claims(),
    )
    .join(User)
    .where(UserSession.secret_hash == bindparam("shown"))
)


def find_known_token(database: Database, secret_hash: bytes) -> KnownToken | None:
    row = database.look_up(_KNOWN_TOKEN, {"shown": secret_hash})
    if row is None:
        return None
    own: list[str] | None = row[2]
    claims = read_claims(row[9])
    return KnownToken(
        id=row[0],
        name=row[1],
        is_limited=own is not None,
        last_used_at=row[3],
        expires_at=row[4],
        revoked_at=row[5],
        user_id=row[6],
        user_name=row[7],
        disabled_at=row[8],
        claims=claims if own is None else claims & read_claims(own),
    )


def find_known_session(database: Database, secret_hash: bytes) -> KnownSession | None:
    row = database.look_up(_KNOWN_SESSION, {"shown": secret_hash})
    return None if row is None else KnownSession(*row[:8], claims=read_claims(row[8]))


def insert_session(session: Session, values: dict[str, Any]) -> None:
    session.add(UserSession(**values))
    session.flush()


def list_sessions(session: Session, user_id: UUID) -> list[UserSession]:
    """Those seen last first."""
    query = (
        select(UserSession).where(UserSession.user_id == user_id).order_by(UserSession.last_seen_at.desc())
    )
    return list(session.scalars(query))


def note_sight(
    session: Session, session_id: UUID, now: datetime, address: str, *, not_since: datetime
) -> None:
    """Of several requests at once, one notes it, and no other waits for that."""
    stale = (
        select(UserSession.id)
        .where(UserSession.id == session_id, UserSession.last_seen_at <= not_since)
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(UserSession)
        .where(UserSession.id.in_(stale))
        .values(last_seen_at=now, address=address)
        .execution_options(synchronize_session=False)
    )


def end_sessions(
    session: Session, user_id: UUID, *, only: UUID | None = None, all_but: UUID | None = None
) -> int:
    """How many there were."""
    where: list[ColumnElement[bool]] = [UserSession.user_id == user_id]
    if only is not None:
        where.append(UserSession.id == only)
    if all_but is not None:
        where.append(UserSession.id != all_but)
    return session.connection().execute(delete(UserSession).where(*where)).rowcount


def delete_ended(session: Session, now: datetime, seen_before: datetime) -> None:
    session.execute(
        delete(UserSession).where(or_(UserSession.expires_at <= now, UserSession.last_seen_at <= seen_before))
    )


def ensure_signing_key(session: Session, proposed: bytes) -> bytes:
    """The server's key; `proposed` becomes it where there is none."""
    session.execute(insert(SigningKey).values(id=1, secret=proposed).on_conflict_do_nothing())
    return session.scalars(select(SigningKey.secret)).one()
