"""SQL of attempts and their leases, all on the database's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.types import AttemptEnd


def list_of_runs(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, list[TrainingRunAttempt]]:
    """By run, in their order."""
    attempts: dict[UUID, list[TrainingRunAttempt]] = {run_id: [] for run_id in run_ids}
    query = (
        select(TrainingRunAttempt)
        .where(TrainingRunAttempt.run_id.in_(run_ids))
        .order_by(TrainingRunAttempt.run_id, TrainingRunAttempt.number)
    )
    for attempt in session.scalars(query):
        attempts[attempt.run_id].append(attempt)
    return attempts


def list_runs_with_open_ones(session: Session) -> set[UUID]:
    """Ids of the runs of which an attempt has not ended."""
    return set(
        session.scalars(select(TrainingRunAttempt.run_id).where(TrainingRunAttempt.ended_at.is_(None)))
    )


def measure_spent_s(session: Session, run_id: UUID) -> float:
    """How long the run's attempts took together, since it was scheduled or tried again."""
    ended_for_good = (AttemptEnd.ERROR, AttemptEnd.CANCELLED, AttemptEnd.DRY_RUN)
    before = (
        select(func.coalesce(func.max(TrainingRunAttempt.number), 0))
        .where(TrainingRunAttempt.run_id == run_id, TrainingRunAttempt.end.in_(ended_for_good))
        .scalar_subquery()
    )
    query = select(
        func.coalesce(
            func.extract("epoch", func.sum(TrainingRunAttempt.ended_at - TrainingRunAttempt.started_at)), 0
        )
    ).where(
        TrainingRunAttempt.run_id == run_id,
        TrainingRunAttempt.number > before,
        TrainingRunAttempt.ended_at.is_not(None),
    )
    return float(session.scalar(query) or 0)


def write_heartbeat(session: Session, run_id: UUID, fence: int) -> tuple[str, int, bool] | None:
    """Renews the lease, unless the attempt has ended.

    Returns:
        The run's status, fence and whether it is to pause; None where the attempt has ended.
    """
    statement = (
        update(TrainingRunAttempt)
        .where(
            TrainingRunAttempt.run_id == run_id,
            TrainingRunAttempt.number == fence,
            TrainingRunAttempt.ended_at.is_(None),
            TrainingRun.id == TrainingRunAttempt.run_id,
        )
        .values(heartbeat_at=func.now())
        .returning(TrainingRun.status, TrainingRun.fence, TrainingRun.is_pausing)
    )
    # Nothing in the session is to follow: the statement is all that a heartbeat does.
    row = session.execute(statement, execution_options={"synchronize_session": False}).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def end_attempt(session: Session, run_id: UUID, fence: int, end: AttemptEnd, reason: str) -> None:
    """Where it has not ended yet."""
    session.execute(
        update(TrainingRunAttempt)
        .where(
            TrainingRunAttempt.run_id == run_id,
            TrainingRunAttempt.number == fence,
            TrainingRunAttempt.ended_at.is_(None),
        )
        .values(ended_at=func.now(), end=end, reason=reason)
    )


def write_environment(session: Session, run_id: UUID, fence: int, environment: dict[str, str]) -> None:
    session.execute(
        update(TrainingRunAttempt)
        .where(TrainingRunAttempt.run_id == run_id, TrainingRunAttempt.number == fence)
        .values(environment=environment)
    )


def write_energy(session: Session, run_id: UUID, fence: int, energy: dict[str, Any]) -> None:
    session.execute(
        update(TrainingRunAttempt)
        .where(TrainingRunAttempt.run_id == run_id, TrainingRunAttempt.number == fence)
        .values(energy=energy)
    )


@dataclass(frozen=True, slots=True)
class SilentAttempt:
    """An attempt that has not ended and was not heard of for a while.

    `id`: of its run. `is_expired`: its lease has run out.
    """

    id: UUID
    number: int
    worker: str
    heartbeat_at: datetime
    is_expired: bool


def list_silent(session: Session, silent_s: float, lease_timeout_s: float) -> list[SilentAttempt]:
    """All that have been silent for `silent_s`."""
    query = select(
        TrainingRunAttempt.run_id,
        TrainingRunAttempt.number,
        TrainingRunAttempt.worker,
        TrainingRunAttempt.heartbeat_at,
        _is_older(lease_timeout_s),
    ).where(TrainingRunAttempt.ended_at.is_(None), _is_older(silent_s))
    return [SilentAttempt(*row) for row in session.execute(query)]


def lock_silent(session: Session, silent: SilentAttempt) -> tuple[TrainingRun, TrainingRunAttempt] | None:
    """The run, locked, and its attempt; None where it was heard of, or another worker looks at it."""
    query = (
        select(TrainingRun, TrainingRunAttempt)
        .join(TrainingRunAttempt, TrainingRunAttempt.run_id == TrainingRun.id)
        .where(
            TrainingRunAttempt.run_id == silent.id,
            TrainingRunAttempt.number == silent.number,
            TrainingRunAttempt.ended_at.is_(None),
            TrainingRunAttempt.heartbeat_at == silent.heartbeat_at,
        )
        .with_for_update(skip_locked=True)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def _is_older(seconds: float) -> ColumnElement[bool]:
    return TrainingRunAttempt.heartbeat_at < func.now() - timedelta(seconds=seconds)
