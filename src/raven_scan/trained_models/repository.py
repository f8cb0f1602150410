"""All SQL of trained models."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.kernel.search import matches_search
from raven_scan.kernel.trash import DeletedItem, make_trash_order
from raven_scan.trained_models.models import TrainedModel
from raven_scan.trained_models.types import (
    CheckpointReport,
    Figures,
    Lineage,
    LineageReference,
    ModelFilter,
    Origin,
    PackageOrigin,
    PartFigures,
    ReportedFigures,
    Stage,
    TrainedModelSummary,
    TrainedModelView,
)

KIND = "trained_model"

ORDER = ListOrder(
    "trained_models",
    {
        "name": TrainedModel.name,
        "created_at": TrainedModel.created_at,
        "test_map50": TrainedModel.test_map50,
        "size": TrainedModel.weights_size_bytes,
    },
    TrainedModel.id,
    "-created_at",
    optional=frozenset({"test_map50", "size"}),
)
_TRASH_ORDER = make_trash_order(TrainedModel.deleted_at, TrainedModel.id)

_IS_THERE = TrainedModel.deleted_at.is_(None)
_LINEAGE = (
    TrainedModel.base_model_id,
    TrainedModel.base_model_name,
    TrainedModel.dataset_version_id,
    TrainedModel.dataset_version_name,
    TrainedModel.training_run_id,
    TrainedModel.training_run_name,
)
_SUMMARY = (
    TrainedModel.id,
    TrainedModel.name,
    TrainedModel.notes,
    TrainedModel.revision,
    TrainedModel.origin,
    TrainedModel.stage,
    TrainedModel.architecture,
    TrainedModel.classes,
    TrainedModel.starting_weights,
    TrainedModel.weights_size_bytes,
    TrainedModel.parameter_count,
    # By class they may be long.
    TrainedModel.valid.op("-")("by_class").label("valid"),
    TrainedModel.test.op("-")("by_class").label("test"),
    TrainedModel.leak_allowed,
    TrainedModel.created_by,
    TrainedModel.created_at,
    *_LINEAGE,
)


def insert_model(session: Session, values: dict[str, Any]) -> bool:
    """Adds a row; False where the name is taken. Waits for a transaction that is just taking it."""
    statement = (
        insert(TrainedModel)
        .values(values)
        .on_conflict_do_nothing(index_elements=["name"], index_where=_IS_THERE)
    )
    return session.execute(statement.returning(TrainedModel.id)).first() is not None


def insert_missing_builtins(session: Session, rows: list[dict[str, Any]]) -> None:
    """Adds the builtin models that are not there; one whose name somebody took is left out."""
    session.execute(insert(TrainedModel).values(rows).on_conflict_do_nothing())


def list_builtin_architectures(session: Session) -> set[str]:
    return set(
        session.scalars(select(TrainedModel.architecture).where(TrainedModel.origin == Origin.BUILTIN))
    )


def find_by_id(session: Session, id_: UUID) -> TrainedModelView | None:
    return _find(session, TrainedModel.id == id_)


def find_by_name(session: Session, name: str) -> TrainedModelView | None:
    return _find(session, TrainedModel.name == name)


def select_ids() -> Select[UUID]:
    return select(TrainedModel.id).where(_IS_THERE)


def has_name(session: Session, name: str) -> bool:
    return session.scalar(select(TrainedModel.id).where(TrainedModel.name == name, _IS_THERE)) is not None


def find_name(session: Session, id_: UUID) -> str | None:
    """Of any model, in the trash too."""
    return session.scalar(select(TrainedModel.name).where(TrainedModel.id == id_))


def find_importer(session: Session, id_: UUID) -> tuple[UUID | None, str] | None:
    """Whose account brought the model here, and what it is called."""
    statement = select(TrainedModel.created_by_id, TrainedModel.created_by).where(
        TrainedModel.id == id_, _IS_THERE
    )
    found = session.execute(statement).first()
    return None if found is None else (found[0], found[1])


def find_deleted_name(session: Session, *, id_: UUID | None, name: str | None) -> str | None:
    """Of a model in the trash."""
    wanted = TrainedModel.name == name if id_ is None else TrainedModel.id == id_
    return session.scalar(select(TrainedModel.name).where(wanted, ~_IS_THERE).limit(1))


def lock_model(session: Session, id_: UUID, *, is_deleted: bool = False) -> TrainedModel | None:
    """The row, until the transaction ends; others who want to keep it wait."""
    state = ~_IS_THERE if is_deleted else _IS_THERE
    statement = select(TrainedModel).where(TrainedModel.id == id_, state).with_for_update()
    return session.scalar(statement.execution_options(populate_existing=True))


def rename_model(session: Session, id_: UUID, name: str) -> bool:
    """False where the name is taken; the transaction still holds."""
    return _write(session, id_, name=name)


def restore_model(session: Session, id_: UUID) -> bool:
    """False where its name is taken by now; the transaction still holds."""
    return _write(session, id_, deleted_at=None, deleted_by=None)


def keep_model(session: Session, id_: UUID) -> bool:
    """Whether it is there; it then is until the transaction ends."""
    statement = select(TrainedModel.id).where(TrainedModel.id == id_, _IS_THERE)
    return session.scalar(statement.with_for_update(read=True, key_share=True)) is not None


def list_models(session: Session, page: PageRequest, chosen: ModelFilter) -> Page[TrainedModelSummary]:
    statement = select(*_SUMMARY).where(_IS_THERE)
    if chosen.origins:
        statement = statement.where(TrainedModel.origin.in_(chosen.origins))
    for column, wanted in (
        (TrainedModel.stage, chosen.stage),
        (TrainedModel.architecture, chosen.architecture),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    for ref, id_column, name_column in (
        (chosen.dataset_version, TrainedModel.dataset_version_id, TrainedModel.dataset_version_name),
        (chosen.base_model, TrainedModel.base_model_id, TrainedModel.base_model_name),
        (chosen.training_run, TrainedModel.training_run_id, TrainedModel.training_run_name),
    ):
        if ref is not None:
            statement = statement.where(_matches(ref, id_column, name_column))
    if chosen.class_name is not None:
        if not chosen.class_name.isprintable():
            return Page([], None)
        statement = statement.where(TrainedModel.classes.contains([chosen.class_name]))
    if chosen.words is not None:
        statement = statement.where(matches_search(TrainedModel.search_words, chosen.words))
    return ORDER.fetch(session, statement, page, _make_summary)


def list_based_on(session: Session, id_: UUID, limit: int) -> tuple[list[tuple[UUID, str]], int]:
    """Models whose base model it is, the first so many, and how many there are."""
    wanted = (TrainedModel.base_model_id == id_) & _IS_THERE
    return _list_named(session, wanted, limit)


def list_on_versions(
    session: Session, version_ids: Collection[UUID], limit: int
) -> tuple[list[tuple[UUID, str]], int]:
    """Models that learned from any of these versions of datasets, the first so many, and how many there are."""
    wanted = TrainedModel.dataset_version_id.in_(version_ids) & _IS_THERE
    return _list_named(session, wanted, limit)


def rename_base_model(session: Session, id_: UUID, name: str) -> None:
    session.execute(
        update(TrainedModel).where(TrainedModel.base_model_id == id_).values(base_model_name=name)
    )


def rename_versions(session: Session, names: Mapping[UUID, str]) -> None:
    for id_, name in names.items():
        session.execute(
            update(TrainedModel)
            .where(TrainedModel.dataset_version_id == id_)
            .values(dataset_version_name=name)
        )


def rename_run(session: Session, id_: UUID, name: str) -> None:
    session.execute(
        update(TrainedModel).where(TrainedModel.training_run_id == id_).values(training_run_name=name)
    )


def list_deleted(session: Session, page: PageRequest) -> Page[DeletedItem]:
    statement = select(
        TrainedModel.id, TrainedModel.name, TrainedModel.deleted_at, TrainedModel.deleted_by
    ).where(~_IS_THERE)
    return _TRASH_ORDER.fetch(
        session,
        statement,
        page,
        lambda row: DeletedItem(KIND, row.id, row.name, row.deleted_at, row.deleted_by),
    )


def remove_deleted(
    session: Session, deleted_before: datetime, *, id_: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """Removes rows for good, at most so many."""
    wanted = select(TrainedModel.id).where(TrainedModel.deleted_at <= deleted_before)
    if id_ is not None:
        wanted = wanted.where(TrainedModel.id == id_)
    wanted = wanted.order_by(TrainedModel.deleted_at).limit(limit).with_for_update(skip_locked=True)
    removed = session.execute(
        delete(TrainedModel)
        .where(TrainedModel.id.in_(wanted.scalar_subquery()))
        .returning(TrainedModel.id, TrainedModel.name)
    )
    return [(id_, name) for id_, name in removed]


def list_digests(session: Session) -> set[str]:
    """Of all weights and configurations, those in the trash too."""
    rows = session.execute(select(TrainedModel.weights_digest, TrainedModel.configuration_digest))
    return {digest for row in rows for digest in row if digest is not None}


def count_shown(session: Session) -> int:
    """Models that are neither builtin nor in the trash."""
    statement = select(func.count()).where(TrainedModel.origin != Origin.BUILTIN, _IS_THERE)
    return session.scalar(statement) or 0


def _write(session: Session, id_: UUID, **values: Any) -> bool:
    try:
        with session.begin_nested():
            session.execute(update(TrainedModel).where(TrainedModel.id == id_).values(**values))
    except IntegrityError:
        return False
    return True


def _matches(ref: str, id_column: Any, name_column: Any) -> ColumnElement[bool]:
    """The condition that something has this id or name."""
    id_ = parse_id(ref)
    if id_ is not None:
        return id_column == id_
    # No name has a NUL, and PostgreSQL takes none.
    return name_column == ref if ref.isprintable() else false()


def _list_named(session: Session, wanted: Any, limit: int) -> tuple[list[tuple[UUID, str]], int]:
    statement = select(TrainedModel.id, TrainedModel.name).where(wanted).order_by(TrainedModel.id)
    named = [(id_, name) for id_, name in session.execute(statement.limit(limit))]
    count = session.scalar(select(func.count()).select_from(TrainedModel).where(wanted)) or 0
    return named, count


def _find(session: Session, wanted: Any) -> TrainedModelView | None:
    statement: Select[TrainedModel] = select(TrainedModel).where(wanted, _IS_THERE)
    found = session.scalar(statement)
    return None if found is None else make_view(found)


def _make_summary(row: Row[Any]) -> TrainedModelSummary:
    return TrainedModelSummary(
        id=row.id,
        name=row.name,
        notes=row.notes,
        revision=row.revision,
        origin=Origin(row.origin),
        stage=Stage(row.stage),
        architecture=row.architecture,
        classes=row.classes,
        starting_weights=StartingWeights(row.starting_weights) if row.starting_weights else None,
        weights_size_bytes=row.weights_size_bytes,
        parameter_count=row.parameter_count,
        valid=msgspec.convert(row.valid, PartFigures | None),
        test=msgspec.convert(row.test, PartFigures | None),
        leak_allowed=row.leak_allowed,
        lineage=_make_lineage(row),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _make_lineage(row: Any) -> Lineage:
    return Lineage(
        base_model=_make_reference(row.base_model_id, row.base_model_name),
        dataset_version=_make_reference(row.dataset_version_id, row.dataset_version_name),
        training_run=_make_reference(row.training_run_id, row.training_run_name),
    )


def _make_reference(id_: UUID | None, name: str | None) -> LineageReference | None:
    return None if id_ is None or name is None else LineageReference(id_, name)


def make_view(row: TrainedModel) -> TrainedModelView:
    return TrainedModelView(
        id=row.id,
        name=row.name,
        notes=row.notes,
        revision=row.revision,
        origin=Origin(row.origin),
        stage=Stage(row.stage),
        architecture=row.architecture,
        classes=list(row.classes),
        starting_weights=StartingWeights(row.starting_weights) if row.starting_weights else None,
        weights_digest=row.weights_digest,
        weights_size_bytes=row.weights_size_bytes,
        configuration_digest=row.configuration_digest,
        parameter_count=row.parameter_count,
        valid=msgspec.convert(row.valid, Figures | None),
        test=msgspec.convert(row.test, Figures | None),
        reported=msgspec.convert(row.reported, ReportedFigures | None),
        leak_allowed=row.leak_allowed,
        lineage=_make_lineage(row),
        dataset_version_digest=row.dataset_version_digest,
        parameters=row.parameters,
        checkpoint=msgspec.convert(row.checkpoint, CheckpointReport | None),
        package=msgspec.convert(row.package, PackageOrigin | None),
        environment=row.environment,
        created_by=row.created_by,
        created_at=row.created_at,
    )
