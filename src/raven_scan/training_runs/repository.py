"""All SQL of training runs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt, TrainingRunMetric
from raven_scan.training_runs.types import AttemptEnd, MetricPoint, RunStatus

_METRICS_A_STATEMENT = 5_000


def find_run(session: Session, ref: str, *, lock: bool = False) -> TrainingRun | None:
    """The run of that id or name; locked until the transaction ends where asked."""
    run_id = parse_id(ref)
    if run_id is None and not ref.isprintable():
        return None  # no name is so, and PostgreSQL takes no NUL
    query = select(TrainingRun).where(TrainingRun.id == run_id if run_id else TrainingRun.name == ref)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def list_runs(session: Session, page: PageRequest, status: RunStatus | None) -> Sequence[TrainingRun]:
    """Newest first, one more than the page holds."""
    query = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(page.limit + 1)
    if page.after is not None:
        query = query.where(TrainingRun.id < page.after)
    if status is not None:
        query = query.where(TrainingRun.status == status)
    return session.scalars(query).all()


def list_attempts(session: Session, run_ids: list[UUID]) -> dict[UUID, list[TrainingRunAttempt]]:
    attempts: dict[UUID, list[TrainingRunAttempt]] = {run_id: [] for run_id in run_ids}
    query = (
        select(TrainingRunAttempt)
        .where(TrainingRunAttempt.run_id.in_(run_ids))
        .order_by(TrainingRunAttempt.run_id, TrainingRunAttempt.number)
    )
    for attempt in session.scalars(query):
        attempts[attempt.run_id].append(attempt)
    return attempts


def write_fenced(session: Session, run_id: UUID, fence: int, **values: Any) -> bool:
    """Changes the run if attempt `fence` still holds it; tells whether it does. Locks the row."""
    statement = (
        update(TrainingRun)
        .where(
            TrainingRun.id == run_id, TrainingRun.fence == fence, TrainingRun.status == RunStatus.PROCESSING
        )
        .values(**values)
        .returning(TrainingRun.id)
    )
    return session.execute(statement).one_or_none() is not None


def write_heartbeat(session: Session, run_id: UUID, fence: int) -> bool:
    """Renews the lease on the database's clock; False where it is no longer held."""
    statement = (
        update(TrainingRunAttempt)
        .where(
            TrainingRunAttempt.run_id == run_id,
            TrainingRunAttempt.number == fence,
            TrainingRunAttempt.ended_at.is_(None),
        )
        .values(heartbeat_at=func.now())
        .returning(TrainingRunAttempt.number)
    )
    return session.execute(statement).one_or_none() is not None


def end_attempt(session: Session, run_id: UUID, fence: int, end: AttemptEnd, reason: str) -> None:
    session.execute(
        update(TrainingRunAttempt)
        .where(
            TrainingRunAttempt.run_id == run_id,
            TrainingRunAttempt.number == fence,
            TrainingRunAttempt.ended_at.is_(None),
        )
        .values(ended_at=func.now(), end=end, reason=reason)
    )


def lock_silent_runs(
    session: Session, silent_s: float, lease_timeout_s: float
) -> list[tuple[TrainingRun, TrainingRunAttempt, bool]]:
    """Processing runs whose worker has been silent for `silent_s`, locked; those another worker looks at are left out.

    Returns:
        Run, attempt, and whether the lease has run out. All by the database's clock.
    """
    query = (
        select(TrainingRun, TrainingRunAttempt, _is_older(lease_timeout_s))
        .join(
            TrainingRunAttempt,
            (TrainingRunAttempt.run_id == TrainingRun.id) & (TrainingRunAttempt.number == TrainingRun.fence),
        )
        .where(TrainingRun.status == RunStatus.PROCESSING, _is_older(silent_s))
        .with_for_update(of=TrainingRun, skip_locked=True)
    )
    return [(run, attempt, expired) for run, attempt, expired in session.execute(query)]


def lock_waiting_runs(session: Session) -> Sequence[TrainingRun]:
    """Runs in line, locked; those another worker looks at or begins just now are left out."""
    query = select(TrainingRun).where(TrainingRun.status == RunStatus.WAITING)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def list_statuses(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, RunStatus]:
    """Of those that there are."""
    query = select(TrainingRun.id, TrainingRun.status).where(TrainingRun.id.in_(run_ids))
    return {run_id: RunStatus(status) for run_id, status in session.execute(query)}


def _is_older(seconds: float) -> ColumnElement[bool]:
    return TrainingRunAttempt.heartbeat_at < func.now() - timedelta(seconds=seconds)


def remove_metrics_after(session: Session, run_id: UUID, step: int) -> None:
    """So that what a resumed attempt does again leaves no double."""
    session.execute(
        delete(TrainingRunMetric).where(TrainingRunMetric.run_id == run_id, TrainingRunMetric.step > step)
    )


def write_metrics(session: Session, run_id: UUID, points: list[MetricPoint]) -> None:
    """A point that is there already is written over."""
    unique = {(point.name, point.step): point for point in points}
    rows = [
        {
            "run_id": run_id,
            "name": point.name,
            "step": point.step,
            "epoch": point.epoch,
            "value": point.value,
        }
        for point in unique.values()
    ]
    for start in range(0, len(rows), _METRICS_A_STATEMENT):
        statement = insert(TrainingRunMetric).values(rows[start : start + _METRICS_A_STATEMENT])
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["run_id", "name", "step"],
                set_={"epoch": statement.excluded.epoch, "value": statement.excluded.value},
            )
        )


def list_metrics(session: Session, run_id: UUID, names: list[str]) -> Sequence[TrainingRunMetric]:
    """All points, by name and step; of the given names only, where there are any."""
    query = (
        select(TrainingRunMetric)
        .where(TrainingRunMetric.run_id == run_id)
        .order_by(TrainingRunMetric.name, TrainingRunMetric.step)
    )
    if names:
        query = query.where(TrainingRunMetric.name.in_([name for name in names if name.isprintable()]))
    return session.scalars(query).all()
