"""SQL of the lists of runs: what their items show, what they are chosen and sorted by."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, bindparam, cast, false, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import Filter, ListOrder, ListStatement, Page, PageRequest
from raven_scan.kernel.search import find_words, has_words, write_words
from raven_scan.training_runs.energy import parse_energy
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

_SUMMARIES = ListStatement(
    RUN_ORDER,
    select(
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
        TrainingRun.energy,
    ).where(TrainingRun.deleted_at.is_(None)),
)

_NOTHING = Filter(false())
_SEARCHED = has_words(TrainingRun.search_words, bindparam("words", type_=Text))
_HAS_STATUS = TrainingRun.status.in_(bindparam("statuses", expanding=True))
_IS_OF_VERSION = TrainingRun.dataset_version_id.in_(bindparam("version_ids", expanding=True))
_HAS_BASE_MODEL = TrainingRun.base_model_id == bindparam("base_model_id")
_HAS_TEXT = {
    # As in the index.
    "dataset": func.split_part(TrainingRun.dataset_version_name, literal_column("'@'"), literal_column("1"))
    == bindparam("dataset", type_=Text),
    "version": TrainingRun.dataset_version_name == bindparam("version", type_=Text),
    "base_model": TrainingRun.base_model_name == bindparam("base_model", type_=Text),
    "architecture": TrainingRun.architecture == bindparam("architecture", type_=Text),
    "created_by": TrainingRun.created_by == bindparam("created_by", type_=Text),
}
_IS_IN_TIME = {
    "created_since": TrainingRun.created_at >= bindparam("created_since"),
    "created_until": TrainingRun.created_at < bindparam("created_until"),
    "ended_since": TrainingRun.ended_at >= bindparam("ended_since"),
    "ended_until": TrainingRun.ended_at < bindparam("ended_until"),
}


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
    return _SUMMARIES.fetch(session, page, _make_summary, filters=list(_list_filters(wanted, version_ids)))


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
        energy,
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
        energy=parse_energy(energy),
    )


def _list_filters(wanted: RunFilter, version_ids: Sequence[UUID]) -> Iterator[Filter]:
    if wanted.search.strip():
        words = find_words(wanted.search)
        yield Filter(_SEARCHED, {"words": write_words(words)}) if words else _NOTHING
    if wanted.statuses:
        yield Filter(_HAS_STATUS, {"statuses": wanted.statuses})
    if wanted.dataset is not None:
        yield from _filter_dataset(wanted.dataset, version_ids)
    if wanted.base_model is not None:
        id_ = parse_id(wanted.base_model)
        if id_ is None:
            yield _filter_text("base_model", wanted.base_model)
        else:
            yield Filter(_HAS_BASE_MODEL, {"base_model_id": id_})
    if wanted.architecture is not None:
        yield _filter_text("architecture", wanted.architecture)
    if wanted.created_by is not None:
        yield _filter_text("created_by", wanted.created_by)
    for name, condition in _IS_IN_TIME.items():
        moment = getattr(wanted, name)
        if moment is not None:
            yield Filter(condition, {name: moment})


def _filter_dataset(ref: str, version_ids: Sequence[UUID]) -> Iterator[Filter]:
    id_ = parse_id(ref)
    if id_ is not None:
        yield Filter(_IS_OF_VERSION, {"version_ids": [id_, *version_ids]})
        return
    yield _filter_text("dataset", ref.partition("@")[0])
    if "@" in ref:
        yield _filter_text("version", ref)


def _filter_text(name: str, text: str) -> Filter:
    # No name has such characters, and PostgreSQL takes not all of them.
    return Filter(_HAS_TEXT[name], {name: text}) if text.isprintable() else _NOTHING
