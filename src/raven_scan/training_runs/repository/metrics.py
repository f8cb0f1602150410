"""SQL of the metrics of runs."""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import CursorResult, cast, delete, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun, TrainingRunMetric
from raven_scan.training_runs.types import MetricPoint

_METRICS_A_STATEMENT = 5_000


def remove_after(session: Session, run_id: UUID, step: int) -> None:
    """So that what a resumed attempt does again leaves no double; whoever read them already is told by the run."""
    removed = session.execute(
        delete(TrainingRunMetric).where(TrainingRunMetric.run_id == run_id, TrainingRunMetric.step > step)
    )
    assert isinstance(removed, CursorResult)  # noqa: S101 - as a DELETE gives
    if removed.rowcount:
        session.execute(
            update(TrainingRun)
            .where(TrainingRun.id == run_id)
            .values(metric_removals=TrainingRun.metric_removals.op("||")(cast([step], JSONB))),
            execution_options={"synchronize_session": False},
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


_NEW_POINTS = text(
    """
    WITH RECURSIVE names AS (
        (SELECT name FROM training_run_metrics WHERE run_id = :run_id ORDER BY name LIMIT 1)
        UNION ALL
        SELECT (
            SELECT next.name FROM training_run_metrics AS next
            WHERE next.run_id = :run_id AND next.name > names.name ORDER BY next.name LIMIT 1
        )
        FROM names WHERE names.name IS NOT NULL
    )
    SELECT names.name, point.step, point.epoch, point.value
    FROM names CROSS JOIN LATERAL (
        SELECT step, epoch, value FROM training_run_metrics
        WHERE run_id = :run_id AND name = names.name
            AND step > coalesce((CAST(:told AS jsonb) ->> names.name)::int, -1)
        ORDER BY step LIMIT :most
    ) AS point
    WHERE names.name IS NOT NULL
    ORDER BY names.name, point.step
    """
)
"""Names are found by the index, one jump each, and so are the points of each behind a step."""


def list_new_points(
    session: Session, run_id: UUID, told: Mapping[str, int], most_of_a_name: int
) -> list[MetricPoint]:
    """Points behind the last step that was told of their name, by name and step; the first of each name."""
    rows = session.execute(
        _NEW_POINTS, {"run_id": run_id, "told": json.dumps(dict(told)), "most": most_of_a_name}
    )
    return [MetricPoint(name, step, epoch, value) for name, step, epoch, value in rows]


def find_last_steps(session: Session, run_id: UUID) -> dict[str, int]:
    """By name."""
    query = text(_NEW_POINTS.text.replace("ORDER BY step LIMIT :most", "ORDER BY step DESC LIMIT 1"))
    rows = session.execute(query, {"run_id": run_id, "told": "{}"})
    return {name: step for name, step, _, _ in rows}
