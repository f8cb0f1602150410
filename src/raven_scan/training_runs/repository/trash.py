"""SQL of runs that were deleted."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, inspect, select, tuple_, update
from sqlalchemy.orm import Session

from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.trash import DeletedItem, make_trash_order
from raven_scan.training_runs.models import (
    TrainingRun,
    TrainingRunLogPart,
    TrainingRunMetric,
    TrainingRunMetricOutline,
)

KIND = "training_run"

_ORDER = make_trash_order(TrainingRun.deleted_at, TrainingRun.id)
_METRICS_A_STATEMENT = 20_000
_LOG_PARTS_A_STATEMENT = 100


def list_deleted(session: Session, page: PageRequest) -> Page[DeletedItem]:
    """Those that can be restored, last deleted first."""
    statement = select(
        TrainingRun.id, TrainingRun.name, TrainingRun.deleted_at, TrainingRun.deleted_by
    ).where(TrainingRun.deleted_at.is_not(None), ~TrainingRun.is_purging)
    return _ORDER.fetch(session, statement, page, lambda row: DeletedItem(KIND, *row[:4]))


def lock_deleted(session: Session, run_id: UUID) -> TrainingRun | None:
    """The run, unless it is not in the trash, or on its way out of it for good."""
    query = (
        select(TrainingRun)
        .where(TrainingRun.id == run_id, TrainingRun.deleted_at.is_not(None), ~TrainingRun.is_purging)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).one_or_none()


def find_id(session: Session, name: str) -> UUID | None:
    """Of the run that has this name now."""
    query = select(TrainingRun.id).where(TrainingRun.name == name, TrainingRun.deleted_at.is_(None))
    return session.scalar(query)


def begin_purge(session: Session, deleted_before: datetime, id_: UUID | None) -> None:
    """From here on, none of them can be restored."""
    statement = update(TrainingRun).where(TrainingRun.deleted_at < deleted_before).values(is_purging=True)
    session.execute(statement if id_ is None else statement.where(TrainingRun.id == id_))


def find_purging(session: Session, id_: UUID | None) -> UUID | None:
    """One that is to go for good, also of an earlier time that was cut short."""
    query = select(TrainingRun.id).where(TrainingRun.is_purging, TrainingRun.deleted_at.is_not(None))
    return session.scalar((query if id_ is None else query.where(TrainingRun.id == id_)).limit(1))


def remove_rows(session: Session, run_id: UUID) -> int:
    """Removes some of the rows that a run may have millions of; 0 where there are none left."""
    removed = 0
    for table, limit in (
        (TrainingRunMetric, _METRICS_A_STATEMENT),
        (TrainingRunMetricOutline, _METRICS_A_STATEMENT),
        (TrainingRunLogPart, _LOG_PARTS_A_STATEMENT),
    ):
        keys = tuple_(*inspect(table).primary_key)
        some = select(*inspect(table).primary_key).where(table.run_id == run_id).limit(limit)
        statement = delete(table).where(table.run_id == run_id, keys.in_(some)).returning(table.run_id)
        removed += len(session.execute(statement, execution_options={"synchronize_session": False}).all())
    return removed


def remove_run(session: Session, run_id: UUID) -> str | None:
    """Removes it, with its attempts, its checkpoints and whatever is left; the name that it had."""
    statement = delete(TrainingRun).where(TrainingRun.id == run_id, TrainingRun.is_purging)
    return session.scalar(
        statement.returning(TrainingRun.name), execution_options={"synchronize_session": False}
    )
