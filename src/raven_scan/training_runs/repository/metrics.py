"""SQL of the metrics of runs.

A run may have millions of points, of some twenty names, and a hundred more by class. Names are found by jumping
through the primary key, one jump each, and so are the points of a name; nothing here reads what it does not answer
with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from typing import cast as cast_type
from uuid import UUID

from sqlalchemy import CursorResult, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun, TrainingRunMetric, TrainingRunMetricOutline
from raven_scan.training_runs.types import CLASS_METRICS, MetricPoint

if TYPE_CHECKING:
    import numpy as np
    import psycopg
    from numpy.typing import NDArray

OUTLINE_STEPS = 64
_OUTLINED_AT_ONCE_STEPS = 1024
_METRICS_A_STATEMENT = 5_000

_NAMES = """
    RECURSIVE jumps AS (
        (SELECT name FROM training_run_metrics WHERE run_id = :run_id ORDER BY name LIMIT 1)
        UNION ALL
        SELECT (
            SELECT next.name FROM training_run_metrics AS next
            WHERE next.run_id = :run_id AND next.name > jumps.name ORDER BY next.name LIMIT 1
        )
        FROM jumps WHERE jumps.name IS NOT NULL
    ),
    names AS (SELECT name FROM jumps WHERE name IS NOT NULL)
"""


def remove_after(session: Session, run_id: UUID, step: int) -> None:
    """So that what a resumed attempt does again leaves no double; whoever read them already is told by the run."""
    removed = session.execute(
        delete(TrainingRunMetric).where(TrainingRunMetric.run_id == run_id, TrainingRunMetric.step > step)
    )
    assert isinstance(removed, CursorResult)  # noqa: S101 - as a DELETE gives
    if not removed.rowcount:
        return
    outlined_to = (step + 1) // OUTLINE_STEPS * OUTLINE_STEPS
    session.execute(
        delete(TrainingRunMetricOutline).where(
            TrainingRunMetricOutline.run_id == run_id, TrainingRunMetricOutline.step >= outlined_to
        )
    )
    session.execute(
        update(TrainingRun)
        .where(TrainingRun.id == run_id)
        .values(
            metric_removals=TrainingRun.metric_removals.op("||")(cast([step], JSONB)),
            metrics_outlined_to=func.least(TrainingRun.metrics_outlined_to, outlined_to),
        ),
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
    if points:
        first, last = min(point.step for point in points), max(point.step for point in points)
        # Once in many steps. What comes of a step comes before anything of a later one: those before are complete.
        if (first - 1) // _OUTLINED_AT_ONCE_STEPS < last // _OUTLINED_AT_ONCE_STEPS:
            outline(session, run_id, last // OUTLINE_STEPS * OUTLINE_STEPS)


_OUTLINE = text(
    f"""
    WITH {_NAMES},
    numbered AS (
        SELECT names.name, point.step, point.epoch, point.value,
            row_number() OVER (of_part ORDER BY point.value NULLS LAST, point.step) AS from_smallest,
            row_number() OVER (of_part ORDER BY point.value DESC NULLS LAST, point.step) AS from_largest,
            row_number() OVER (of_part ORDER BY point.value IS NOT NULL, point.step) AS from_missing
        FROM names CROSS JOIN LATERAL (
            SELECT step, epoch, value FROM training_run_metrics
            WHERE run_id = :run_id AND name = names.name AND step >= :since AND step < :until
        ) AS point
        WINDOW of_part AS (PARTITION BY names.name, point.step / {OUTLINE_STEPS})
    )
    INSERT INTO training_run_metric_outlines (run_id, name, step, epoch, value)
    SELECT :run_id, name, step, epoch, value FROM numbered
    WHERE 1 IN (from_smallest, from_largest) OR (from_missing = 1 AND value IS NULL)
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
)


def outline(session: Session, run_id: UUID, until_step: int) -> None:
    """Keeps of all points before a step what a chart needs of them; the steps must be complete."""
    outlined_to = session.scalar(select(TrainingRun.metrics_outlined_to).where(TrainingRun.id == run_id))
    if outlined_to is None or until_step <= outlined_to:
        return
    session.execute(_OUTLINE, {"run_id": run_id, "since": outlined_to, "until": until_step})
    session.execute(
        update(TrainingRun).where(TrainingRun.id == run_id).values(metrics_outlined_to=until_step),
        execution_options={"synchronize_session": False},
    )


_NEW_POINTS = text(
    f"""
    WITH {_NAMES}
    SELECT names.name, point.step, point.epoch, point.value
    FROM names CROSS JOIN LATERAL (
        SELECT step, epoch, value FROM training_run_metrics
        WHERE run_id = :run_id AND name = names.name
            AND step > coalesce((CAST(:told AS jsonb) ->> CASE
                WHEN starts_with(names.name, :of_classes) THEN :of_classes ELSE names.name
            END)::int, -1)
        ORDER BY step LIMIT :most
    ) AS point
    ORDER BY names.name, point.step
    """  # noqa: S608 - constants
)


def list_new_points(
    session: Session, run_id: UUID, told: Mapping[str, int], most_of_a_name: int
) -> list[MetricPoint]:
    """Points behind the last step that was told of their name, by name and step; the first of each name.

    Of metrics by class, `told` has one step for all of them, under `CLASS_METRICS`.
    """
    rows = session.execute(
        _NEW_POINTS,
        {
            "run_id": run_id,
            "told": json.dumps(dict(told)),
            "of_classes": CLASS_METRICS,
            "most": most_of_a_name,
        },
    )
    return [MetricPoint(name, step, epoch, value) for name, step, epoch, value in rows]


_LAST_STEPS = text(
    f"""
    WITH {_NAMES}
    SELECT name, (
        SELECT step FROM training_run_metrics
        WHERE run_id = :run_id AND name = names.name ORDER BY step DESC LIMIT 1
    )
    FROM names ORDER BY name
    """  # noqa: S608 - constants
)


def find_last_steps(session: Session, run_id: UUID) -> dict[str, int]:
    """By name, in the order of names."""
    return {name: step for name, step in session.execute(_LAST_STEPS, {"run_id": run_id})}  # noqa: C416 - rows


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """Points of one metric, N, by step.

    Attributes:
        steps: int32 (N,).
        epochs: int32 (N,).
        values: float64 (N,); NaN where there is no value.
    """

    steps: "NDArray[np.int32]"
    epochs: "NDArray[np.int32]"
    values: "NDArray[np.float64]"


_COLUMNS = """
    SELECT asked.name, points.places, points.values
    FROM unnest(%(names)s::text[]) AS asked (name)
    CROSS JOIN LATERAL (
        SELECT array_send(array_agg(step::bigint << 32 | epoch)) AS places,
            array_send(array_agg(coalesce(value, 'NaN'))) AS values
        FROM (
            (
                SELECT step, epoch, value FROM training_run_metrics
                WHERE run_id = %(run_id)s AND name = asked.name
                    AND step BETWEEN %(first)s AND %(last)s AND step < %(outlined_to)s
                ORDER BY step LIMIT 1
            )
            UNION ALL
            (
                SELECT step, epoch, value FROM training_run_metric_outlines
                WHERE run_id = %(run_id)s AND name = asked.name
                    AND step BETWEEN %(first)s AND %(last)s AND step < %(outlined_to)s
                ORDER BY step
            )
            UNION ALL
            (
                SELECT step, epoch, value FROM training_run_metrics
                WHERE run_id = %(run_id)s AND name = asked.name
                    AND step BETWEEN %(first)s AND %(last)s AND step < %(outlined_to)s
                ORDER BY step DESC LIMIT 1
            )
            UNION ALL
            (
                SELECT step, epoch, value FROM training_run_metrics
                WHERE run_id = %(run_id)s AND name = asked.name
                    AND step BETWEEN %(first)s AND %(last)s AND step >= %(outlined_to)s
                ORDER BY step
            )
        ) AS point
    ) AS points
    WHERE points.places IS NOT NULL
"""
_ARRAY_HEADER_BYTES = 20
"""Dimensions, whether there are NULLs, type, length, first index; each element comes with its length before it."""


def read_columns(
    session: Session, run_id: UUID, names: Sequence[str], *, first_step: int, last_step: int, outlined_to: int
) -> dict[str, MetricColumns]:
    """Points of some names within a range of steps; before `outlined_to` the first, the last, and those of outlines.

    As arrays in PostgreSQL's binary form, fetched as they are: a million points take a quarter of a second, where rows
    take seconds.
    """
    import numpy as np  # noqa: PLC0415 - a command that lists runs needs none

    integers = np.dtype([("size", ">i4"), ("value", ">i8")])
    numbers = np.dtype([("size", ">i4"), ("value", ">f8")])

    def read(packed: bytes, element: "np.dtype[np.void]") -> "NDArray[np.void]":
        return np.frombuffer(packed, dtype=element, offset=_ARRAY_HEADER_BYTES)["value"]

    driver = session.connection().connection.driver_connection
    with cast_type("psycopg.Connection[tuple[Any, ...]]", driver).cursor(binary=True) as cursor:
        cursor.execute(
            _COLUMNS,
            {
                "run_id": run_id,
                "names": list(names),
                "first": first_step,
                "last": last_step,
                "outlined_to": outlined_to,
            },
        )
        rows = cursor.fetchall()
    columns: dict[str, MetricColumns] = {}
    for name, packed_places, packed_values in rows:
        places = read(packed_places, integers).astype(np.int64)
        values = read(packed_values, numbers).astype(np.float64)
        if not (places[1:] > places[:-1]).all():
            # They come in order mostly, and the first and the last may be twice; nobody promises more.
            places, kept = np.unique(places, return_index=True)
            values = values[kept]
        columns[name] = MetricColumns(
            steps=(places >> 32).astype(np.int32),
            epochs=(places & 0xFFFFFFFF).astype(np.int32),
            values=values,
        )
    return columns
