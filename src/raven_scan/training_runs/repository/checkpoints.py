"""SQL of the checkpoints of runs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRunCheckpoint


def list_of_runs(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, list[TrainingRunCheckpoint]]:
    """By run, the last one first."""
    checkpoints: dict[UUID, list[TrainingRunCheckpoint]] = {run_id: [] for run_id in run_ids}
    query = (
        select(TrainingRunCheckpoint)
        .where(TrainingRunCheckpoint.run_id.in_(run_ids))
        .order_by(TrainingRunCheckpoint.run_id, TrainingRunCheckpoint.step.desc())
    )
    for checkpoint in session.scalars(query):
        checkpoints[checkpoint.run_id].append(checkpoint)
    return checkpoints


def write(session: Session, checkpoint: TrainingRunCheckpoint) -> list[str]:
    """Writes over one of the same step, such as the one before a validation; returns its digest, which is free."""
    of_step = (
        TrainingRunCheckpoint.run_id == checkpoint.run_id,
        TrainingRunCheckpoint.step == checkpoint.step,
        TrainingRunCheckpoint.digest != checkpoint.digest,
    )
    replaced = session.scalars(select(TrainingRunCheckpoint.digest).where(*of_step)).all()
    values = {
        "epoch": checkpoint.epoch,
        "position": checkpoint.position,
        "digest": checkpoint.digest,
        "size_bytes": checkpoint.size_bytes,
        "attempt": checkpoint.attempt,
    }
    statement = insert(TrainingRunCheckpoint).values(run_id=checkpoint.run_id, step=checkpoint.step, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["run_id", "step"], set_=values))
    return list(replaced)


def remove(session: Session, run_id: UUID, *, keep: int = 0, after_step: int | None = None) -> list[str]:
    """Removes all but the last `keep`, of those after `after_step`; returns digests that nothing names any more."""
    of_run = TrainingRunCheckpoint.run_id == run_id
    kept = (
        select(TrainingRunCheckpoint.step)
        .where(of_run)
        .order_by(TrainingRunCheckpoint.step.desc())
        .limit(keep)
    )
    statement = delete(TrainingRunCheckpoint).where(of_run, TrainingRunCheckpoint.step.not_in(kept))
    if after_step is not None:
        statement = statement.where(TrainingRunCheckpoint.step > after_step)
    removed = session.scalars(statement.returning(TrainingRunCheckpoint.digest)).all()
    left = set(
        session.scalars(select(TrainingRunCheckpoint.digest).where(TrainingRunCheckpoint.digest.in_(removed)))
    )
    return [digest for digest in removed if digest not in left]


def list_digests(session: Session) -> Sequence[str]:
    return session.scalars(select(TrainingRunCheckpoint.digest)).all()
