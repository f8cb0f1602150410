"""Compares runs: what differs of their settings, inputs and environments, their figures, and their curves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import FIGURE_NAMES
from raven_scan.training_runs.energy import RunEnergy
from raven_scan.training_runs.metric_history import MetricHistory, TrainingRunMetrics
from raven_scan.training_runs.records import describe_figures
from raven_scan.training_runs.service import get_run, view_run
from raven_scan.training_runs.types import AttemptEnd, Figures, NamedReference, RunStatus, TrainingRunView

FEWEST, MOST = 2, 10
DEFAULT_METRICS = ("loss", "valid/map50")


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run beside others.

    Attributes:
        has_environment: its code, libraries and machine were written down.
        time_s: from its first attempt's beginning to its end; None where it has not ended.
        energy: what its attempts used; None where none has told it.
    """

    id: UUID
    name: str
    status: RunStatus
    model: NamedReference | None
    has_environment: bool
    time_s: float | None = None
    energy: RunEnergy | None = None


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Something that is not the same in all runs.

    Attributes:
        group: parameters, options, inputs or environment.
        values: one a run, in their order; None where there is none, or nobody wrote it down.
    """

    group: str
    name: str
    values: list[Any]


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure of all runs.

    Attributes:
        part: valid (of the best epoch) or test.
        values: in 0-1, one a run; None where it cannot be had.
        differences: from the first run's; None where one of the two cannot be had.
    """

    part: str
    name: str
    values: list[float | None]
    differences: list[float | None]


@dataclass(frozen=True, slots=True)
class ComparedCurve:
    """A metric of all runs; None where a run has none of that name."""

    metric: str
    histories: list[MetricHistory | None]


@dataclass(frozen=True, slots=True)
class RunComparison:
    runs: list[ComparedRun]
    differences: list[RunDifference]
    figures: list[ComparedFigure]
    curves: list[ComparedCurve]


class RunComparisons:
    """Compares two to ten runs."""

    def __init__(
        self, database: Database, models: TrainedModelService, run_metrics: TrainingRunMetrics
    ) -> None:
        self._database = database
        self._models = models
        self._metrics = run_metrics

    def compare_runs(
        self,
        actor: Actor,
        refs: Sequence[str],
        *,
        metrics: Sequence[str] = DEFAULT_METRICS,
        points: int = 200,
    ) -> RunComparison:
        """What differs; what is the same in all of them is left out.

        Args:
            actor: needs `training_run:view`.
            refs: names or ids; others are compared with the first.
            metrics: whose curves are wanted.
            points: at most so many of each curve.

        Raises:
            NotFound: there is no such run.
            Invalid: `training_run.bad_comparison`, these are not two to ten different runs.
        """
        # More are not even looked up.
        with self._database.reading() as session:
            views = [view_run(session, get_run(session, actor, ref)) for ref in refs[: MOST + 1]]
            if not FEWEST <= len(views) <= MOST or len({view.id for view in views}) < len(views):
                raise Invalid(
                    "training_run.bad_comparison",
                    f"{FEWEST} to {MOST} different runs can be compared.",
                    hint="Name each once: `raven runs compare A B`.",
                    parameters={"runs": [view.name for view in views]},
                )
            return RunComparison(
                runs=[_describe_run(view) for view in views],
                differences=list_differences(views),
                figures=[
                    *_compare_figures("valid", [view.best or {} for view in views]),
                    *_compare_figures("test", [self._find_test(actor, view) for view in views]),
                ],
                curves=self._read_curves(actor, views, metrics, points),
            )

    def _find_test(self, actor: Actor, run: TrainingRunView) -> Figures:
        if run.record is not None and run.record.test is not None:
            return run.record.test
        # Of a run that is older than records, its model knows them.
        if run.model is None or not actor.may(Claim.TRAINED_MODEL_VIEW):
            return {}
        model = self._models.find_model(actor, run.model.id)
        return describe_figures(model.test) if model is not None and model.test is not None else {}

    def _read_curves(
        self, actor: Actor, runs: Sequence[TrainingRunView], metrics: Sequence[str], points: int
    ) -> list[ComparedCurve]:
        if not metrics:
            return []
        by_run = [
            {
                history.name: history
                for history in self._metrics.read_thinned(actor, str(run.id), metrics, points=points)
            }
            for run in runs
        ]
        return [
            ComparedCurve(metric, [histories.get(metric) for histories in by_run])
            for metric in dict.fromkeys(metrics)
            if any(metric in histories for histories in by_run)
        ]


def list_differences(runs: Sequence[TrainingRunView]) -> list[RunDifference]:
    """What is not the same in all of them; of environments, among those that were written down."""
    groups: dict[str, Callable[[TrainingRunView], Mapping[str, Any] | None]] = {
        "inputs": _describe_inputs,
        "parameters": lambda run: run.parameters.model_dump(mode="json"),
        "options": lambda run: asdict(run.options),
        "environment": find_environment,
    }
    differences: list[RunDifference] = []
    for group, describe in groups.items():
        described = [describe(run) for run in runs]
        known = [each for each in described if each is not None]
        for name in dict.fromkeys(name for each in known for name in each):
            first = known[0].get(name)
            if any(each.get(name) != first for each in known[1:]):
                differences.append(
                    RunDifference(
                        group, name, [None if each is None else each.get(name) for each in described]
                    )
                )
    return differences


def find_environment(run: TrainingRunView) -> dict[str, str] | None:
    """Of the attempt that succeeded; else of the last that told it."""
    told = [attempt for attempt in run.attempts if attempt.environment is not None]
    succeeded = [attempt for attempt in told if attempt.end is AttemptEnd.SUCCESS]
    chosen = succeeded or [attempt for attempt in told if attempt.end is not AttemptEnd.DRY_RUN]
    return chosen[-1].environment if chosen else None


def _describe_run(run: TrainingRunView) -> ComparedRun:
    return ComparedRun(
        run.id,
        run.name,
        run.status,
        run.model,
        find_environment(run) is not None,
        (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None,
        run.energy,
    )


def _describe_inputs(run: TrainingRunView) -> dict[str, Any]:
    inputs = {
        "dataset": run.dataset_version.name,
        "base_model": run.base_model.name,
        "architecture": run.architecture,
    }
    if run.record is None:
        return inputs
    return {
        **inputs,
        "dataset_digest": run.record.dataset_version_digest,
        "base_weights_digest": run.record.base_weights_digest,
    }


def _compare_figures(part: str, of_runs: Sequence[Figures]) -> list[ComparedFigure]:
    compared: list[ComparedFigure] = []
    for name in FIGURE_NAMES:
        values = [figures.get(name) for figures in of_runs]
        if all(value is None for value in values):
            continue
        first = values[0]
        differences = [None if value is None or first is None else value - first for value in values]
        compared.append(ComparedFigure(part, name, values, differences))
    return compared
