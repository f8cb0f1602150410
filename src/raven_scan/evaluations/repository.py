"""All SQL of evaluations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from raven_scan.evaluations.models import ModelEvaluation
from raven_scan.evaluations.types import (
    EvaluationAtWork,
    EvaluationError,
    EvaluationProgress,
    EvaluationResult,
    EvaluationStatus,
    EvaluationView,
    NamedReference,
)
from raven_scan.figures.report import Figure
from raven_scan.jobs.dispatcher import WORK_CHANNEL
from raven_scan.kernel.paging import ListOrder, Page, PageRequest

ORDER = ListOrder(
    "evaluations", {"created_at": ModelEvaluation.created_at}, ModelEvaluation.id, "-created_at"
)

_OPEN = (EvaluationStatus.WAITING, EvaluationStatus.PROCESSING)
_LOOKED_AHEAD = 10
"""Evaluations at the head that others may be taking just now."""

Models = Select[UUID]
"""The ids of the models that there are: evaluations of others are not shown."""


def insert(session: Session, row: ModelEvaluation) -> None:
    session.add(row)
    session.flush()


@dataclass(frozen=True, slots=True)
class Asked:
    """The evaluation that was asked for. `is_new`: it was not asked for before."""

    row: ModelEvaluation
    is_new: bool


def insert_unless_open(session: Session, values: dict[str, Any]) -> Asked:
    """Adds a row, unless one of the same model and part waits or is at work; then it is that one."""
    statement = (
        pg_insert(ModelEvaluation)
        .values(values)
        .on_conflict_do_nothing(
            index_elements=["model_id", "dataset_version_id", "part"],
            index_where=text("status IN ('Waiting', 'Processing')"),
        )
        .returning(ModelEvaluation)
    )
    there = select(ModelEvaluation).where(
        ModelEvaluation.model_id == values["model_id"],
        ModelEvaluation.dataset_version_id == values["dataset_version_id"],
        ModelEvaluation.part == values["part"],
        ModelEvaluation.status.in_(_OPEN),
    )
    while True:
        row = session.scalar(statement)
        if row is not None:
            return Asked(row, is_new=True)
        row = session.scalar(there)
        if row is not None:  # else it has just ended
            return Asked(row, is_new=False)


def find(session: Session, id_: UUID, models: Models, *, lock: bool = False) -> ModelEvaluation | None:
    statement = select(ModelEvaluation).where(ModelEvaluation.id == id_, _is_shown(models))
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return session.scalar(statement)


def list_evaluations(
    session: Session,
    page: PageRequest,
    models: Models,
    *,
    model_id: UUID | None,
    dataset_version_id: UUID | None,
    part: str | None,
    status: EvaluationStatus | None,
) -> Page[EvaluationView]:
    statement = select(ModelEvaluation).where(_is_shown(models))
    for column, wanted in (
        (ModelEvaluation.model_id, model_id),
        (ModelEvaluation.dataset_version_id, dataset_version_id),
        (ModelEvaluation.part, part),
        (ModelEvaluation.status, status),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return ORDER.fetch(session, statement, page, lambda row: make_view(row[0]))


def find_latest(
    session: Session, model_id: UUID, dataset_version_id: UUID | None, part: str
) -> EvaluationView | None:
    """The last one that was a Success; on any version where none is named."""
    statement = select(ModelEvaluation).where(
        ModelEvaluation.model_id == model_id,
        ModelEvaluation.part == part,
        ModelEvaluation.status == EvaluationStatus.SUCCESS,
    )
    if dataset_version_id is not None:
        statement = statement.where(ModelEvaluation.dataset_version_id == dataset_version_id)
    row = session.scalar(
        statement.order_by(ModelEvaluation.ended_at.desc(), ModelEvaluation.id.desc()).limit(1)
    )
    return None if row is None else make_view(row)


def list_digests(session: Session) -> set[str]:
    """Of all reports and matches, those of models in the trash too."""
    rows = session.execute(select(ModelEvaluation.report_digest, ModelEvaluation.matches_digest))
    return {digest for row in rows for digest in row if digest is not None}


def has_waiting(session: Session) -> bool:
    statement = select(ModelEvaluation.id).where(ModelEvaluation.status == EvaluationStatus.WAITING)
    return session.scalar(statement.limit(1)) is not None


def lock_next(session: Session, models: Models) -> ModelEvaluation | None:
    """The one that waits for longest, of those that no other worker is taking just now."""
    heads = (
        select(ModelEvaluation.id)
        .where(ModelEvaluation.status == EvaluationStatus.WAITING, _is_shown(models))
        .order_by(ModelEvaluation.created_at, ModelEvaluation.id)
        .limit(_LOOKED_AHEAD)
    )
    for id_ in session.scalars(heads).all():
        statement = (
            select(ModelEvaluation)
            .where(ModelEvaluation.id == id_, ModelEvaluation.status == EvaluationStatus.WAITING)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        row = session.scalar(statement)
        if row is not None:
            return row
    return None


def write_fenced(session: Session, id_: UUID, fence: int, **values: Any) -> bool:
    """Changes the evaluation if attempt `fence` still holds it; tells whether it does. Locks the row."""
    statement = (
        update(ModelEvaluation)
        .where(
            ModelEvaluation.id == id_,
            ModelEvaluation.fence == fence,
            ModelEvaluation.status == EvaluationStatus.PROCESSING,
        )
        .values(**values)
        .returning(ModelEvaluation.id)
    )
    found = session.execute(statement, execution_options={"synchronize_session": False})
    return found.one_or_none() is not None


def lock_held(session: Session, id_: UUID, fence: int) -> ModelEvaluation | None:
    """The row, locked, if attempt `fence` still holds it."""
    statement = select(ModelEvaluation).where(
        ModelEvaluation.id == id_,
        ModelEvaluation.fence == fence,
        ModelEvaluation.status == EvaluationStatus.PROCESSING,
    )
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))


@dataclass(frozen=True, slots=True)
class SilentEvaluation:
    """One at work that was not heard of for a while. `is_expired`: its lease has run out."""

    id: UUID
    number: int
    worker: str
    heartbeat_at: datetime
    is_expired: bool


def list_silent(session: Session, silent_s: float, lease_timeout_s: float) -> list[SilentEvaluation]:
    statement = select(
        ModelEvaluation.id,
        ModelEvaluation.fence,
        ModelEvaluation.worker,
        ModelEvaluation.heartbeat_at,
        _is_older(lease_timeout_s),
    ).where(ModelEvaluation.status == EvaluationStatus.PROCESSING, _is_older(silent_s))
    return [SilentEvaluation(*row) for row in session.execute(statement)]


def lock_silent(session: Session, silent: SilentEvaluation) -> ModelEvaluation | None:
    """The row, locked; None where it was heard of, or another worker looks at it."""
    statement = select(ModelEvaluation).where(
        ModelEvaluation.id == silent.id,
        ModelEvaluation.fence == silent.number,
        ModelEvaluation.status == EvaluationStatus.PROCESSING,
        ModelEvaluation.heartbeat_at == silent.heartbeat_at,
    )
    return session.scalar(
        statement.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    )


def list_at_work(session: Session) -> list[EvaluationAtWork]:
    statement = (
        select(
            ModelEvaluation.id,
            ModelEvaluation.model_name,
            ModelEvaluation.worker,
            ModelEvaluation.device,
            ModelEvaluation.progress,
            func.extract("epoch", func.now() - ModelEvaluation.started_at),
        )
        .where(ModelEvaluation.status == EvaluationStatus.PROCESSING)
        .order_by(ModelEvaluation.id)
    )
    return [
        EvaluationAtWork(
            NamedReference(id_, f"evaluation of {name}"),
            str(worker),
            str(device),
            _estimate_left_s(msgspec.convert(progress, EvaluationProgress), float(spent_s)),
        )
        for id_, name, worker, device, progress, spent_s in session.execute(statement)
    ]


def list_open(session: Session, models: Models, limit: int) -> list[EvaluationView]:
    """Those at work, then those that wait in their order."""
    statement = (
        select(ModelEvaluation)
        .where(ModelEvaluation.status.in_(_OPEN), _is_shown(models))
        .order_by(ModelEvaluation.status, ModelEvaluation.created_at, ModelEvaluation.id)
        .limit(limit)
    )
    return [make_view(row) for row in session.scalars(statement)]


def list_open_on_versions(
    session: Session, version_ids: Collection[UUID], limit: int
) -> Sequence[tuple[UUID, str, str]]:
    """Id and name of the model, and status, of evaluations on these versions that have not ended."""
    statement = (
        select(ModelEvaluation.model_id, ModelEvaluation.model_name, ModelEvaluation.status)
        .where(ModelEvaluation.dataset_version_id.in_(version_ids), ModelEvaluation.status.in_(_OPEN))
        .order_by(ModelEvaluation.id)
        .limit(limit)
    )
    return [(id_, name, status) for id_, name, status in session.execute(statement)]


def rename_models(session: Session, names: dict[UUID, str]) -> None:
    for id_, name in names.items():
        session.execute(
            update(ModelEvaluation).where(ModelEvaluation.model_id == id_).values(model_name=name)
        )


def rename_versions(session: Session, names: dict[UUID, str]) -> None:
    for id_, name in names.items():
        session.execute(
            update(ModelEvaluation)
            .where(ModelEvaluation.dataset_version_id == id_)
            .values(dataset_version_name=name)
        )


def notify_workers(session: Session) -> None:
    """Workers hear of it at the commit."""
    session.execute(text(f"NOTIFY {WORK_CHANNEL}"))


def describe_result(result: EvaluationResult) -> dict[str, Any]:
    """The columns of a result."""
    return {
        "figures": msgspec.to_builtins(result.figures),
        "image_count": result.image_count,
        "box_count": result.box_count,
        "images_per_s": result.images_per_s,
        "report_digest": result.report_digest,
        "matches_digest": result.matches_digest,
    }


def make_view(row: ModelEvaluation) -> EvaluationView:
    return EvaluationView(
        id=row.id,
        model=NamedReference(row.model_id, row.model_name),
        dataset_version=NamedReference(row.dataset_version_id, row.dataset_version_name),
        part=row.part,
        status=EvaluationStatus(row.status),
        progress=msgspec.convert(row.progress, EvaluationProgress),
        warnings=list(row.warnings),
        figures=msgspec.convert(row.figures, dict[str, Figure] | None),
        image_count=row.image_count,
        box_count=row.box_count,
        images_per_s=row.images_per_s,
        error=msgspec.convert(row.error, EvaluationError | None),
        training_run_id=row.training_run_id,
        worker=row.worker,
        device=row.device,
        attempt_count=row.fence,
        created_by=row.created_by,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _is_shown(models: Models) -> ColumnElement[bool]:
    return ModelEvaluation.model_id.in_(models)


def _is_older(seconds: float) -> ColumnElement[bool]:
    return ModelEvaluation.heartbeat_at < func.now() - timedelta(seconds=seconds)


def _estimate_left_s(progress: EvaluationProgress, spent_s: float) -> float | None:
    """From how long the images took that are done; None before the first."""
    if not progress.done:
        return None
    return spent_s / progress.done * max(0, progress.total - progress.done)
