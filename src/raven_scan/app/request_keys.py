"""The table of idempotency keys, and all SQL on it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, Integer, LargeBinary, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from raven_scan.kernel.database import Base
from raven_scan.kernel.ids import make_id

_TIME = DateTime(timezone=True)


class RequestKey(Base):
    """A request that came with an idempotency key, and its answer once there is one.

    `key_digest` and `fingerprint`: the key itself is not kept, and the fingerprint is made with it, so that nobody who
    reads the table can try bodies (which may hold a password) until one fits. `fence` is the number of the try that
    may change something for this key; `has_effect`: it has. `status` is null until there is an answer.
    """

    __tablename__ = "request_keys"
    __table_args__ = (
        Index("uq_request_keys_actor_id_key_digest", "actor_id", "key_digest", unique=True),
        Index("ix_request_keys_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[UUID]
    key_digest: Mapped[bytes] = mapped_column(LargeBinary)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    fence: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    has_effect: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(_TIME, server_default=text("now()"))
    leased_until: Mapped[datetime] = mapped_column(_TIME)
    status: Mapped[int | None] = mapped_column(Integer)
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


LIFETIME = timedelta(days=1)

_LEASE = timedelta(seconds=30)
"""How long a request may take before another with its key may be made; the first changes nothing from then on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `body` is None where it held a secret."""

    status: int
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is this request's, whose number is `fence`: what it is to do is done now."""

    id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """The key came with another request before."""


@dataclass(frozen=True, slots=True)
class InProgress:
    """The same request is being answered."""


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """It was done, and the server ended before the answer was kept."""


Finding = Claimed | Answer | OtherRequest | InProgress | AnswerLost


def claim_key(session: Session, actor_id: UUID, key_digest: bytes, fingerprint: bytes) -> Finding:
    """Makes the key this request's, or tells what became of it before."""
    values = {"id": make_id(), "actor_id": actor_id, "key_digest": key_digest, "fingerprint": fingerprint}
    while True:
        made = session.scalar(
            insert(RequestKey)
            .values(**values, leased_until=func.now() + _LEASE)
            .on_conflict_do_nothing(index_elements=["actor_id", "key_digest"])
            .returning(RequestKey.id)
        )
        if made is not None:
            return Claimed(made, 1)
        row = session.execute(
            select(
                RequestKey.id,
                RequestKey.fence,
                RequestKey.fingerprint,
                RequestKey.has_effect,
                RequestKey.status,
                RequestKey.headers,
                RequestKey.body,
                (RequestKey.leased_until > func.now()).label("is_leased"),
                (RequestKey.created_at < func.now() - LIFETIME).label("is_old"),
            )
            .where(RequestKey.actor_id == actor_id, RequestKey.key_digest == key_digest)
            .with_for_update()
        ).one_or_none()
        if row is None:
            continue  # it was given back meanwhile
        if row.is_old and not row.is_leased:
            session.execute(delete(RequestKey).where(RequestKey.id == row.id))
            continue
        if row.fingerprint != fingerprint:
            return OtherRequest()
        if row.status is not None:
            return Answer(row.status, row.headers, row.body)
        if row.is_leased:
            return InProgress()
        if row.has_effect:
            return AnswerLost()
        session.execute(
            update(RequestKey)
            .where(RequestKey.id == row.id)
            .values(fence=RequestKey.fence + 1, leased_until=func.now() + _LEASE)
        )
        return Claimed(row.id, row.fence + 1)


def note_effect(session: Session, claimed: Claimed) -> bool:
    """Notes, in the transaction that changes something, that it does; False where the key is another's by now."""
    return _change(session, claimed, has_effect=True)


def keep_answer(session: Session, claimed: Claimed, answer: Answer) -> None:
    _change(session, claimed, status=answer.status, headers=answer.headers, body=answer.body)


def give_back(session: Session, claimed: Claimed) -> None:
    """There was no answer that is worth keeping: the request may be made again, unless something was changed."""
    of_this_try = (RequestKey.id == claimed.id, RequestKey.fence == claimed.fence)
    session.execute(delete(RequestKey).where(*of_this_try, RequestKey.has_effect.is_(False)))
    session.execute(update(RequestKey).where(*of_this_try).values(leased_until=func.now()))


def remove_old(session: Session) -> None:
    session.execute(
        delete(RequestKey).where(
            RequestKey.created_at < func.now() - LIFETIME, RequestKey.leased_until < func.now()
        )
    )


def _change(session: Session, claimed: Claimed, **values: Any) -> bool:
    changed = session.execute(
        update(RequestKey)
        .where(RequestKey.id == claimed.id, RequestKey.fence == claimed.fence)
        .values(**values)
        .returning(RequestKey.id)
    )
    return changed.first() is not None
