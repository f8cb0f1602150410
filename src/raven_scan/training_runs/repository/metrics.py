"""SQL of the metrics of runs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRunMetric
from raven_scan.training_runs.types import MetricPoint

_METRICS_A_STATEMENT = 5_000


def remove_after(session: Session, run_id: UUID, step: int) -> None:
    """So that what a resumed attempt does again leaves no double."""
    session.execute(
        delete(TrainingRunMetric).where(TrainingRunMetric.run_id == run_id, TrainingRunMetric.step > step)
    )


def write(session: Session, run_id: UUID, points: list[MetricPoint]) -> None:
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


def list_points(session: Session, run_id: UUID, names: list[str]) -> Sequence[TrainingRunMetric]:
    """All points, by name and step; of the given names only, where there are any."""
    query = (
        select(TrainingRunMetric)
        .where(TrainingRunMetric.run_id == run_id)
        .order_by(TrainingRunMetric.name, TrainingRunMetric.step)
    )
    if names:
        query = query.where(TrainingRunMetric.name.in_([name for name in names if name.isprintable()]))
    return session.scalars(query).all()
