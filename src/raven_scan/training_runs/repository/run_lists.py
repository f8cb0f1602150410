"""SQL of the lists of runs: what their items show, what they are chosen and sorted by."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, Text, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import ListOrder, Page, PageRequest
from raven_scan.kernel.search import matches_search
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.types import (
    NamedReference,
    RunErrorSummary,
    RunFilter,
    RunProgress,
    RunStatus,
    TrainingRunSummary,
)

RUN_ORDER = ListOrder(
    "training_runs",
    {
        "created_at": TrainingRun.created_at,
        "name": TrainingRun.name,
        "status": TrainingRun.status,
        "scheduled_at": TrainingRun.scheduled_at,
        "ended_at": TrainingRun.ended_at,
        "priority": TrainingRun.priority,
        "best_map50": TrainingRun.best_map50,
    },
    TrainingRun.id,
    "-created_at",
    optional=frozenset({"scheduled_at", "ended_at", "best_map50"}),
)

_LONG_PARTS_OF_ERRORS = cast(["log_tail", "evidence"], ARRAY(Text))


def list_runs(
    session: Session, page: PageRequest, wanted: RunFilter, version_ids: Sequence[UUID] = ()
) -> Page[TrainingRunSummary]:
    """Those that the filter lets pass.

    Args:
        session: to ask.
        page: which part of the list.
        wanted: the filter.
        version_ids: of the dataset that the filter names by its id.
    """
    statement = _select_summaries().where(TrainingRun.deleted_at.is_(None))
    return RUN_ORDER.fetch(
        session, statement, page, _make_summary, filters=_list_conditions(wanted, version_ids)
    )


def _select_summaries() -> Select[*tuple[Any, ...]]:
    return select(
        TrainingRun.id,
        TrainingRun.name,
        TrainingRun.status,
        cast(TrainingRun.parameters["epochs"], Integer),
        # Its longest parts would be most of the whole list.
        TrainingRun.error.op("-")(_LONG_PARTS_OF_ERRORS),
        TrainingRun.dataset_version_id,
        TrainingRun.dataset_version_name,
        TrainingRun.base_model_id,
        TrainingRun.base_model_name,
        TrainingRun.architecture,
        TrainingRun.progress,
        TrainingRun.best,
        TrainingRun.model_id,
        TrainingRun.model_name,
        TrainingRun.priority,
        TrainingRun.is_dry_run,
        TrainingRun.is_pausing,
        TrainingRun.fence,
        TrainingRun.created_by,
        TrainingRun.created_at,
        TrainingRun.scheduled_at,
        TrainingRun.started_at,
        TrainingRun.ended_at,
    )


def _make_summary(row: Any) -> TrainingRunSummary:
    (
        id_,
        name,
        status,
        epochs,
        error,
        dataset_version_id,
        dataset_version_name,
        base_model_id,
        base_model_name,
        architecture,
        progress,
        best,
        model_id,
        model_name,
        priority,
        is_dry_run,
        is_pausing,
        fence,
        created_by,
        created_at,
        scheduled_at,
        started_at,
        ended_at,
        *_,
    ) = row
    progress = RunProgress(**{"epochs": epochs, **progress})
    return TrainingRunSummary(
        id=id_,
        name=name,
        status=RunStatus(status),
        epoch=progress.epoch,
        epochs=progress.epochs,
        error=None if error is None else RunErrorSummary(**error),
        dataset_version=NamedReference(dataset_version_id, dataset_version_name),
        base_model=NamedReference(base_model_id, base_model_name),
        architecture=architecture,
        progress=progress,
        best=best,
        model=NamedReference(model_id, model_name) if model_id and model_name else None,
        priority=priority,
        is_dry_run=is_dry_run,
        is_pausing=is_pausing,
        attempt_count=fence,
        created_by=created_by,
        created_at=created_at,
        scheduled_at=scheduled_at,
        started_at=started_at,
        ended_at=ended_at,
    )


def _list_conditions(wanted: RunFilter, version_ids: Sequence[UUID]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.search.strip():
        conditions.append(matches_search(TrainingRun.search_words, wanted.search))
    if wanted.statuses:
        conditions.append(TrainingRun.status.in_(wanted.statuses))
    if wanted.dataset is not None:
        conditions.append(_is_of_dataset(wanted.dataset, version_ids))
    if wanted.base_model is not None:
        id_ = parse_id(wanted.base_model)
        conditions.append(
            TrainingRun.base_model_id == id_
            if id_
            else _is_text(TrainingRun.base_model_name, wanted.base_model)
        )
    if wanted.architecture is not None:
        conditions.append(_is_text(TrainingRun.architecture, wanted.architecture))
    if wanted.created_by is not None:
        conditions.append(_is_text(TrainingRun.created_by, wanted.created_by))
    for column, since, until in (
        (TrainingRun.created_at, wanted.created_since, wanted.created_until),
        (TrainingRun.ended_at, wanted.ended_since, wanted.ended_until),
    ):
        if since is not None:
            conditions.append(column >= since)
        if until is not None:
            conditions.append(column < until)
    return conditions


def _is_of_dataset(ref: str, version_ids: Sequence[UUID]) -> ColumnElement[bool]:
    id_ = parse_id(ref)
    if id_ is not None:
        return TrainingRun.dataset_version_id.in_([id_, *version_ids])
    # As in the index.
    name = func.split_part(TrainingRun.dataset_version_name, literal_column("'@'"), literal_column("1"))
    condition = _is_text(name, ref.partition("@")[0])
    return condition & _is_text(TrainingRun.dataset_version_name, ref) if "@" in ref else condition


def _is_text(column: Any, text: str) -> ColumnElement[bool]:
    # No name has such characters, and PostgreSQL takes not all of them.
    return column == text if text.isprintable() else literal(False)  # noqa: FBT003 - SQL's own
