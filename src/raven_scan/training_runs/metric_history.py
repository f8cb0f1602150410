"""The metrics of a run: as a chart needs them, or all that there are."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.kernel.database import Database
from raven_scan.training_runs.repository import metrics
from raven_scan.training_runs.service import get_run
from raven_scan.training_runs.types import CLASS_METRICS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_LOOKED_AT = 150_000
"""So many points are looked at one by one; of more, their outlines are."""
_LARGEST_STEP = (1 << 31) - 1
_STEPS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class MetricHistory:
    """One metric's points, N, by step.

    Attributes:
        steps: int32 (N,).
        epochs: int32 (N,).
        values: float64 (N,); NaN where there is no value.
        is_thinned: points in between were left out.
    """

    name: str
    steps: "NDArray[np.int32]"
    epochs: "NDArray[np.int32]"
    values: "NDArray[np.float64]"
    is_thinned: bool


class TrainingRunMetrics:
    """Reads the metrics of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_thinned(
        self,
        actor: Actor,
        ref: str,
        names: Sequence[str],
        *,
        points: int,
        first_step: int = 0,
        last_step: int = _LARGEST_STEP,
    ) -> list[MetricHistory]:
        """At most so many points of each metric; first, last, and what stands out are among them.

        Args:
            actor: needs `training_run:view`.
            ref: name or id.
            names: of metrics; none: all.
            points: at most so many of each; at least 8.
            first_step: none before this.
            last_step: none after this.

        Raises NotFound.
        """
        from raven_scan.training_runs.metric_thinning import choose_points  # noqa: PLC0415 - it needs numpy

        with self._database.reading() as session:
            run = get_run(session, actor, ref)
            last_steps = _choose(metrics.find_last_steps(session, run.id), names)
            looked_at = _count_steps(last_steps, first_step, last_step)
            outlined_to = run.metrics_outlined_to if looked_at > _MOST_LOOKED_AT else 0
            columns = metrics.read_columns(
                session,
                run.id,
                list(last_steps),
                first_step=first_step,
                last_step=last_step,
                outlined_to=outlined_to,
            )
        histories: list[MetricHistory] = []
        for name, of_name in columns.items():
            kept = choose_points(of_name.steps, of_name.values, points)
            histories.append(
                MetricHistory(
                    name=name,
                    steps=of_name.steps[kept],
                    epochs=of_name.epochs[kept],
                    values=of_name.values[kept],
                    is_thinned=bool(of_name.steps[0] < outlined_to) or len(kept) < len(of_name.steps),
                )
            )
        return sorted(histories, key=lambda history: history.name)

    def read_whole(
        self,
        actor: Actor,
        ref: str,
        names: Sequence[str],
        *,
        first_step: int = 0,
        last_step: int = _LARGEST_STEP,
    ) -> Generator[MetricHistory]:
        """Every point, a metric at a time. Raises NotFound at once."""
        with self._database.reading() as session:
            run_id = get_run(session, actor, ref).id
            last_steps = _choose(metrics.find_last_steps(session, run_id), names)
            if _count_steps(last_steps, first_step, last_step) <= _STEPS_AT_ONCE:
                columns = metrics.read_columns(
                    session,
                    run_id,
                    list(last_steps),
                    first_step=first_step,
                    last_step=last_step,
                    outlined_to=0,
                )
                return (_make_history(name, of_name) for name, of_name in columns.items())
        return self._read_in_turn(run_id, last_steps, first_step, last_step)

    def _read_in_turn(
        self, run_id: UUID, last_steps: dict[str, int], first_step: int, last_step: int
    ) -> Generator[MetricHistory]:
        import numpy as np  # noqa: PLC0415

        for name, last in last_steps.items():
            parts: list[metrics.MetricColumns] = []
            for first in range(first_step, min(last, last_step) + 1, _STEPS_AT_ONCE):
                # A transaction each: whoever downloads slowly holds none.
                with self._database.reading() as session:
                    parts += metrics.read_columns(
                        session,
                        run_id,
                        [name],
                        first_step=first,
                        last_step=min(first + _STEPS_AT_ONCE - 1, last_step),
                        outlined_to=0,
                    ).values()
            if parts:
                yield MetricHistory(
                    name=name,
                    steps=np.concatenate([part.steps for part in parts]),
                    epochs=np.concatenate([part.epochs for part in parts]),
                    values=np.concatenate([part.values for part in parts]),
                    is_thinned=False,
                )


def _count_steps(last_steps: dict[str, int], first_step: int, last_step: int) -> int:
    """How many points there may be in a range of steps, of all metrics together.

    Those by class are left out: there are many, each with a point a validation, not a step.
    """
    return sum(
        max(0, min(last, last_step) - first_step + 1)
        for name, last in last_steps.items()
        if not name.startswith(CLASS_METRICS)
    )


def _make_history(name: str, columns: metrics.MetricColumns) -> MetricHistory:
    return MetricHistory(
        name=name,
        steps=columns.steps,
        epochs=columns.epochs,
        values=columns.values,
        is_thinned=False,
    )


def _choose(last_steps: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    return {name: last for name, last in last_steps.items() if not names or name in names}
