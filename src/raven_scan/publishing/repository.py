"""All SQL of publishing."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, and_, exists, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.kernel.ids import make_id, parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.publishing.models import PolicyVersion, PublishedName, PublishedNameEvent, PublishedVersion
from raven_scan.publishing.types import (
    HistoryEntry,
    Judgement,
    PolicyChange,
    PublishedModel,
    PublishedNameSummary,
    PublishedNameView,
    PublishedVersionView,
    PublishingEvent,
    VersionState,
)

NAMES = ListOrder(
    "published_models",
    {"name": PublishedName.name, "changed_at": PublishedName.changed_at},
    PublishedName.id,
    "name",
)
_VERSIONS = ListOrder(
    "published_versions", {"number": PublishedVersion.number}, PublishedVersion.id, "-number"
)
_HISTORY = ListOrder("published_history", {"at": PublishedNameEvent.at}, PublishedNameEvent.id, "-at")
_POLICIES = ListOrder("policy_changes", {"version": PolicyVersion.version}, PolicyVersion.id, "-version")

_IN_USE = and_(PublishedVersion.name_id == PublishedName.id, PublishedVersion.number == PublishedName.number)


def find_name(session: Session, ref: str) -> PublishedName | None:
    """The row of this name or id."""
    return session.scalar(select(PublishedName).where(_matches(ref)))


def lock_name(session: Session, ref: str) -> PublishedName | None:
    """As `find_name`; until the transaction ends, nobody else changes anything about the name."""
    statement = select(PublishedName).where(_matches(ref)).with_for_update()
    return session.scalar(statement.execution_options(populate_existing=True))


def lock_or_add_name(session: Session, name: str, *, by: str, now: datetime) -> PublishedName:
    """As `lock_name`, of a name that may be new. Waits for a transaction that is just adding it."""
    values = {"id": make_id(), "name": name, "created_by": by, "created_at": now, "changed_at": now}
    session.execute(insert(PublishedName).values(values).on_conflict_do_nothing(index_elements=["name"]))
    return session.scalars(
        select(PublishedName)
        .where(PublishedName.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def find_version(session: Session, name: PublishedName, number: int) -> PublishedVersion | None:
    return session.scalar(
        select(PublishedVersion)
        .where(PublishedVersion.name_id == name.id, PublishedVersion.number == number)
        .execution_options(populate_existing=True)
    )


def list_kept_numbers(session: Session, name_id: UUID) -> list[int]:
    """Of the versions that are not withdrawn, from the first."""
    statement = select(PublishedVersion.number).where(
        PublishedVersion.name_id == name_id, PublishedVersion.withdrawn_at.is_(None)
    )
    return list(session.scalars(statement.order_by(PublishedVersion.number)))


def insert_version(session: Session, values: dict[str, Any]) -> None:
    session.execute(insert(PublishedVersion).values(id=make_id(), **values))


def insert_event(
    session: Session,
    name: PublishedName,
    event: PublishingEvent,
    *,
    number: int,
    from_number: int | None,
    by: str,
    at: datetime,
    reason: str,
) -> None:
    session.execute(
        insert(PublishedNameEvent).values(
            id=make_id(),
            name_id=name.id,
            event=event,
            number=number,
            from_number=from_number,
            by=by,
            at=at,
            reason=reason,
        )
    )


def find_model_states(session: Session, model_id: UUID) -> set[VersionState]:
    """How the versions stand that are of this model, under any name."""
    is_in_use = exists().where(_IN_USE, PublishedVersion.model_id == model_id)
    is_withdrawn = PublishedVersion.withdrawn_at.is_not(None)
    states: set[VersionState] = set()
    if session.scalar(select(is_in_use)):
        states.add(VersionState.IN_USE)
    for withdrawn in session.scalars(
        select(is_withdrawn).where(PublishedVersion.model_id == model_id).distinct()
    ):
        states.add(VersionState.WITHDRAWN if withdrawn else VersionState.REPLACED)
    return states


def list_kept_of_models(
    session: Session, model_ids: Collection[UUID], limit: int
) -> list[tuple[UUID, str, bool]]:
    """Versions of these models that are not withdrawn: their names' ids, name@number, and whether they are in use."""
    statement = (
        select(PublishedName.id, PublishedName.name, PublishedVersion.number, PublishedName.number)
        .join(PublishedName, PublishedName.id == PublishedVersion.name_id)
        .where(PublishedVersion.model_id.in_(model_ids), PublishedVersion.withdrawn_at.is_(None))
        .order_by(PublishedName.name, PublishedVersion.number.desc())
        .limit(limit)
    )
    return [
        (id_, f"{name}@{number}", number == in_use)
        for id_, name, number, in_use in session.execute(statement)
    ]


def list_frozen_on_versions(
    session: Session, version_ids: Collection[UUID], limit: int
) -> list[tuple[UUID, str, str]]:
    """What is not withdrawn and has its frozen test part in any of these: models, their names, and name@number."""
    statement = (
        select(
            PublishedVersion.model_id,
            PublishedVersion.model_name,
            PublishedName.name,
            PublishedVersion.number,
        )
        .join(PublishedName, PublishedName.id == PublishedVersion.name_id)
        .where(PublishedVersion.dataset_version_id.in_(version_ids), PublishedVersion.withdrawn_at.is_(None))
        .order_by(PublishedName.name, PublishedVersion.number.desc())
        .limit(limit)
    )
    return [
        (model_id, model, f"{name}@{number}") for model_id, model, name, number in session.execute(statement)
    ]


def rename_models(session: Session, names: Mapping[UUID, str]) -> None:
    for id_, name in names.items():
        session.execute(
            update(PublishedVersion).where(PublishedVersion.model_id == id_).values(model_name=name)
        )


def rename_versions(session: Session, names: Mapping[UUID, str]) -> None:
    for id_, name in names.items():
        session.execute(
            update(PublishedVersion)
            .where(PublishedVersion.dataset_version_id == id_)
            .values(dataset_version_name=name)
        )


def list_names(session: Session, page: PageRequest) -> Page[PublishedNameSummary]:
    statement = (
        select(PublishedName, PublishedVersion.model_id, PublishedVersion.model_name)
        .outerjoin(PublishedVersion, _IN_USE)
        .where(PublishedName.last_number > 0)
    )

    def make(row: Row[*tuple[Any, ...]]) -> PublishedNameSummary:
        return PublishedNameSummary(**_describe_name(row[0]), model_id=row[1], model=row[2])

    return NAMES.fetch(session, statement, page, make)


def list_versions(session: Session, name: PublishedName, page: PageRequest) -> Page[PublishedVersionView]:
    statement = select(PublishedVersion).where(PublishedVersion.name_id == name.id)
    return _VERSIONS.fetch(session, statement, page, lambda row: make_version_view(name, row[0]))


def list_versions_of_model(session: Session, model_id: UUID, limit: int) -> list[PublishedVersionView]:
    statement = (
        select(PublishedName, PublishedVersion)
        .join(PublishedVersion, PublishedVersion.name_id == PublishedName.id)
        .where(PublishedVersion.model_id == model_id)
        .order_by(PublishedVersion.published_at.desc(), PublishedVersion.id)
        .limit(limit)
    )
    return [make_version_view(name, version) for name, version in session.execute(statement)]


def list_history(session: Session, name: PublishedName, page: PageRequest) -> Page[HistoryEntry]:
    statement = (
        select(
            PublishedNameEvent,
            PublishedVersion.model_name,
            PublishedVersion.override_reason.is_not(None).label("is_override"),
        )
        .join(
            PublishedVersion,
            and_(
                PublishedVersion.name_id == PublishedNameEvent.name_id,
                PublishedVersion.number == PublishedNameEvent.number,
            ),
        )
        .where(PublishedNameEvent.name_id == name.id)
    )
    return _HISTORY.fetch(session, statement, page, _make_history_entry)


def _make_history_entry(row: Row[*tuple[Any, ...]]) -> HistoryEntry:
    event: PublishedNameEvent = row[0]
    return HistoryEntry(
        id=event.id,
        event=PublishingEvent(event.event),
        number=event.number,
        from_number=event.from_number,
        model=row[1],
        by=event.by,
        at=event.at,
        reason=event.reason,
        is_override=event.event == PublishingEvent.PUBLISHED and row[2],
    )


def find_policy(session: Session) -> PolicyVersion | None:
    """The last version; None where nobody has changed anything."""
    return session.scalar(select(PolicyVersion).order_by(PolicyVersion.version.desc()).limit(1))


def hold_policy(session: Session, *, alone: bool) -> PolicyVersion | None:
    """As `find_policy`; nobody changes it until the transaction ends. `alone`: whoever holds it too is waited for."""
    mode = "SHARE ROW EXCLUSIVE" if alone else "SHARE"
    session.execute(text(f"LOCK TABLE {PolicyVersion.__tablename__} IN {mode} MODE"))
    return find_policy(session)


def insert_policy(session: Session, values: dict[str, Any]) -> None:
    session.execute(insert(PolicyVersion).values(id=make_id(), **values))


def list_policy_changes(session: Session, page: PageRequest) -> Page[PolicyChange]:
    return _POLICIES.fetch(
        session,
        select(PolicyVersion),
        page,
        lambda row: PolicyChange(
            version=row[0].version,
            changes=row[0].changes,
            changed_by=row[0].changed_by,
            changed_at=row[0].changed_at,
        ),
    )


def make_name_view(name: PublishedName, version: PublishedVersion | None) -> PublishedNameView:
    return PublishedNameView(
        **_describe_name(name),
        model_id=None if version is None else version.model_id,
        model=None if version is None else version.model_name,
        version=None if version is None else make_version_view(name, version),
    )


def make_version_view(name: PublishedName, row: PublishedVersion) -> PublishedVersionView:
    state = VersionState.IN_USE if row.number == name.number else VersionState.REPLACED
    return PublishedVersionView(
        name=name.name,
        number=row.number,
        state=state if row.withdrawn_at is None else VersionState.WITHDRAWN,
        model_id=row.model_id,
        model=row.model_name,
        notes=row.notes,
        dataset_version_id=row.dataset_version_id,
        dataset_version_name=row.dataset_version_name,
        evaluation_id=row.evaluation_id,
        compared_evaluation_id=row.compared_evaluation_id,
        policy_version=row.policy_version,
        policy=row.policy,
        requirements=msgspec.convert(row.requirements, list[Judgement]),
        override_reason=row.override_reason,
        published_by=row.published_by,
        published_at=row.published_at,
        withdrawn_by=row.withdrawn_by,
        withdrawn_at=row.withdrawn_at,
        withdrawal_reason=row.withdrawal_reason,
    )


def make_published_model(name: PublishedName, row: PublishedVersion) -> PublishedModel:
    return PublishedModel(name=name.name, number=row.number, model_id=row.model_id, model=row.model_name)


def _describe_name(name: PublishedName) -> dict[str, Any]:
    return {
        "id": name.id,
        "name": name.name,
        "number": name.number,
        "last_number": name.last_number,
        "created_by": name.created_by,
        "created_at": name.created_at,
        "changed_at": name.changed_at,
    }


def _matches(ref: str) -> ColumnElement[bool]:
    id_ = parse_id(ref)
    return PublishedName.name == ref if id_ is None else PublishedName.id == id_
