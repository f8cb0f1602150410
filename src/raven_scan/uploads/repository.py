"""All SQL of uploads."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from raven_scan.uploads.models import Upload
from raven_scan.uploads.types import UploadPurpose, UploadView


def lock_owner(session: Session, owner_id: UUID) -> None:
    """Until the transaction ends, nobody else begins an upload of this owner: they are counted."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('uploads'), hashtext(:id))"), {"id": str(owner_id)}
    )


def count(session: Session, owner_id: UUID) -> int:
    return session.scalar(select(func.count()).where(Upload.owner_id == owner_id)) or 0


def insert(session: Session, values: dict[str, Any]) -> None:
    session.add(Upload(**values))
    session.flush()


def find(session: Session, id_: UUID, owner_id: UUID) -> UploadView | None:
    row = session.scalar(
        select(Upload)
        .where(Upload.id == id_, Upload.owner_id == owner_id)
        .execution_options(populate_existing=True)
    )
    return None if row is None else _view(row)


def list_own(session: Session, owner_id: UUID, purposes: Iterable[UploadPurpose]) -> list[UploadView]:
    rows = session.scalars(
        select(Upload)
        .where(Upload.owner_id == owner_id, Upload.purpose.in_(list(purposes)))
        .order_by(Upload.id.desc())
    )
    return [_view(row) for row in rows]


def advance(session: Session, id_: UUID, *, offset_bytes: int, expires_at: datetime) -> bool:
    """Notes how far it has come; tells whether it is still there."""
    return _change(session, id_, offset_bytes=offset_bytes, expires_at=expires_at)


def mark_complete(session: Session, id_: UUID, *, size_bytes: int, sha256: str, expires_at: datetime) -> bool:
    return _change(session, id_, size_bytes=size_bytes, sha256=sha256, expires_at=expires_at)


def restart(session: Session, id_: UUID) -> None:
    """As if nothing had come."""
    _change(session, id_, offset_bytes=0, sha256=None)


def remove(session: Session, id_: UUID) -> bool:
    return session.execute(delete(Upload).where(Upload.id == id_).returning(Upload.id)).first() is not None


def list_expired(session: Session, now: datetime) -> list[UUID]:
    return list(session.scalars(select(Upload.id).where(Upload.expires_at < now)))


def remove_expired(session: Session, id_: UUID, now: datetime) -> bool:
    """Unless it went on meanwhile."""
    statement = delete(Upload).where(Upload.id == id_, Upload.expires_at < now).returning(Upload.id)
    return session.execute(statement).first() is not None


def list_known(session: Session, ids: Iterable[UUID]) -> set[UUID]:
    """Those of `ids` that there are."""
    return set(session.scalars(select(Upload.id).where(Upload.id.in_(list(ids)))))


def _change(session: Session, id_: UUID, **values: Any) -> bool:
    statement = update(Upload).where(Upload.id == id_).values(**values).returning(Upload.id)
    return session.execute(statement).first() is not None


def _view(row: Upload) -> UploadView:
    return UploadView(
        id=row.id,
        purpose=UploadPurpose(row.purpose),
        file_name=row.file_name,
        size_bytes=row.size_bytes,
        offset_bytes=row.offset_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
