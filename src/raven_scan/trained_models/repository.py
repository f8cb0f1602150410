"""All SQL of trained models."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.kernel.paging import PageRequest
from raven_scan.trained_models.models import TrainedModel
from raven_scan.trained_models.types import (
    CheckpointReport,
    Figures,
    Lineage,
    ModelReference,
    Origin,
    ReportedFigures,
    Stage,
    TrainedModelView,
)

_BaseModel = aliased(TrainedModel)


def insert_model(session: Session, values: dict[str, Any]) -> bool:
    """Adds a row; False where the name is taken. Waits for a transaction that is just taking it."""
    statement = insert(TrainedModel).values(values).on_conflict_do_nothing(index_elements=["name"])
    return session.execute(statement.returning(TrainedModel.id)).first() is not None


def insert_missing_builtins(session: Session, rows: list[dict[str, Any]]) -> None:
    """Adds the builtin models that are not there; one whose name somebody took is left out."""
    session.execute(insert(TrainedModel).values(rows).on_conflict_do_nothing())


def list_builtin_architectures(session: Session) -> set[str]:
    return set(
        session.scalars(select(TrainedModel.architecture).where(TrainedModel.origin == Origin.BUILTIN))
    )


def find_by_id(session: Session, id_: UUID) -> TrainedModelView | None:
    return _find(session, _select_models().where(TrainedModel.id == id_))


def find_by_name(session: Session, name: str) -> TrainedModelView | None:
    return _find(session, _select_models().where(TrainedModel.name == name))


def has_name(session: Session, name: str) -> bool:
    return session.scalar(select(func.count()).where(TrainedModel.name == name)) != 0


def list_models(
    session: Session,
    page: PageRequest,
    *,
    origin: Origin | None,
    stage: Stage | None,
    architecture: str | None,
    dataset_version_id: UUID | None,
) -> list[TrainedModelView]:
    """Newest first, one more than the page holds."""
    statement = _select_models().order_by(TrainedModel.id.desc()).limit(page.limit + 1)
    if page.after is not None:
        statement = statement.where(TrainedModel.id < page.after)
    for column, wanted in (
        (TrainedModel.origin, origin),
        (TrainedModel.stage, stage),
        (TrainedModel.architecture, architecture),
        (TrainedModel.dataset_version_id, dataset_version_id),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [_make_view(row, base_name) for row, base_name in session.execute(statement)]


def list_digests(session: Session) -> set[str]:
    """Of all weights and configurations."""
    rows = session.execute(select(TrainedModel.weights_digest, TrainedModel.configuration_digest))
    return {digest for row in rows for digest in row if digest is not None}


def _select_models() -> Select[TrainedModel, str]:
    return select(TrainedModel, _BaseModel.name).outerjoin(
        _BaseModel, TrainedModel.base_model_id == _BaseModel.id
    )


def _find(session: Session, statement: Select[TrainedModel, str]) -> TrainedModelView | None:
    found = session.execute(statement).first()
    return None if found is None else _make_view(*found)


def _make_view(row: TrainedModel, base_model_name: str | None) -> TrainedModelView:
    base_model = None
    if row.base_model_id is not None and base_model_name is not None:
        base_model = ModelReference(row.base_model_id, base_model_name)
    return TrainedModelView(
        id=row.id,
        name=row.name,
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
        lineage=Lineage(base_model, row.dataset_version_id, row.training_run_id),
        parameters=row.parameters,
        checkpoint=msgspec.convert(row.checkpoint, CheckpointReport | None),
        environment=row.environment,
        created_by=row.created_by,
        created_at=row.created_at,
    )
