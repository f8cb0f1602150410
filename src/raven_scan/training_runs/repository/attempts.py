"""SQL of attempts and their leases, all on the database's clock."""

from collections.abc import Sequence
from datetime import timedelta
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


def measure_spent_s(session: Session, run_id: UUID) -> float:
    """How long the run's attempts that have ended took together."""
    query = select(
        func.coalesce(
            func.extract("epoch", func.sum(TrainingRunAttempt.ended_at - TrainingRunAttempt.started_at)), 0
        )
    ).where(TrainingRunAttempt.run_id == run_id, TrainingRunAttempt.ended_at.is_not(None))
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


def lock_silent(
    session: Session, silent_s: float, lease_timeout_s: float
) -> list[tuple[TrainingRun, TrainingRunAttempt, bool]]:
    """Attempts that have not ended and have been silent for `silent_s`, their runs locked.

    Those another worker looks at are left out.

    Returns:
        Run, attempt, and whether the lease has run out.
    """
    query = (
        select(TrainingRun, TrainingRunAttempt, _is_older(lease_timeout_s))
        .join(TrainingRunAttempt, TrainingRunAttempt.run_id == TrainingRun.id)
        .where(TrainingRunAttempt.ended_at.is_(None), _is_older(silent_s))
        .with_for_update(of=TrainingRun, skip_locked=True)
    )
    return [(run, attempt, expired) for run, attempt, expired in session.execute(query)]


def _is_older(seconds: float) -> ColumnElement[bool]:
    return TrainingRunAttempt.heartbeat_at < func.now() - timedelta(seconds=seconds)
