"""All SQL of packages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.packages.models import ModelPackage, PackageKey
from raven_scan.packages.signing import write_public_key
from raven_scan.packages.types import PackageKeyView

_IS_TRUSTED = PackageKey.revoked_at.is_(None)
_IS_OWN = PackageKey.is_own & _IS_TRUSTED
_ORDER = ListOrder(
    "package_keys",
    {"name": PackageKey.name, "added_at": PackageKey.added_at},
    PackageKey.id,
    "added_at",
)


def insert_key(session: Session, values: Mapping[str, Any]) -> bool:
    """Adds a key; False where its name or the key itself is there, or it would be a second own one."""
    statement = insert(PackageKey).values(dict(values)).on_conflict_do_nothing().returning(PackageKey.id)
    return session.execute(statement).first() is not None


def find_own_key(session: Session) -> PackageKey | None:
    """With its private part."""
    return session.scalar(select(PackageKey).where(_IS_OWN).options(undefer(PackageKey.private_key)))


def find_key(session: Session, ref: str) -> PackageKey | None:
    """A key that is trusted, by name or id; until the transaction ends nobody else revokes it."""
    id_ = parse_id(ref)
    if id_ is None and not ref.isprintable():
        return None
    wanted: ColumnElement[bool] = PackageKey.name == ref if id_ is None else PackageKey.id == id_
    return session.scalar(select(PackageKey).where(wanted, _IS_TRUSTED).with_for_update())


def keep_trusted(session: Session, id_: UUID) -> bool:
    """Whether the key is trusted; it then is until the transaction ends."""
    wanted = select(PackageKey.id).where(PackageKey.id == id_, _IS_TRUSTED)
    return session.scalar(wanted.with_for_update(read=True)) is not None


def find_trusted(session: Session, public_key: bytes) -> PackageKeyView | None:
    found = session.scalar(select(PackageKey).where(PackageKey.public_key == public_key, _IS_TRUSTED))
    return None if found is None else make_view(found)


def find_revoked(session: Session, public_key: bytes) -> PackageKeyView | None:
    """The key where it was revoked, the last time."""
    statement = (
        select(PackageKey)
        .where(PackageKey.public_key == public_key, ~_IS_TRUSTED)
        .order_by(PackageKey.revoked_at.desc())
        .limit(1)
    )
    found = session.scalar(statement)
    return None if found is None else make_view(found)


def has_name(session: Session, name: str) -> bool:
    return session.scalar(select(PackageKey.id).where(PackageKey.name == name, _IS_TRUSTED)) is not None


def list_keys(session: Session, page: PageRequest) -> Page[PackageKeyView]:
    return _ORDER.fetch(session, select(PackageKey), page, lambda row: make_view(row[0]))


def revoke_key(session: Session, id_: UUID, *, by: str, at: datetime) -> None:
    """Its private part is gone with it."""
    session.execute(
        update(PackageKey)
        .where(PackageKey.id == id_)
        .values(revoked_by=by, revoked_at=at, private_key=None)
        .execution_options(synchronize_session=False)
    )


def note_package(session: Session, *, model_id: UUID, digest: str, file_name: str, made_at: datetime) -> None:
    statement = insert(ModelPackage).values(
        model_id=model_id, digest=digest, file_name=file_name, made_at=made_at
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["model_id", "digest"], set_={"file_name": file_name, "made_at": made_at}
        )
    )


def forget_packages(session: Session, made_before: datetime) -> None:
    session.execute(delete(ModelPackage).where(ModelPackage.made_at < made_before))


def find_package(session: Session, model_id: UUID, digest: str) -> str | None:
    """The file name of a package that was made lately."""
    return session.scalar(
        select(ModelPackage.file_name).where(ModelPackage.model_id == model_id, ModelPackage.digest == digest)
    )


def make_view(row: PackageKey) -> PackageKeyView:
    return PackageKeyView(
        id=row.id,
        name=row.name,
        public_key=write_public_key(row.public_key, row.name),
        fingerprint=row.fingerprint,
        is_own=row.is_own,
        added_by=row.added_by,
        added_at=row.added_at,
        revoked_by=row.revoked_by,
        revoked_at=row.revoked_at,
    )
