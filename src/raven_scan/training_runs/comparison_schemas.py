"""Comparisons and reproductions of runs over REST."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.training_runs.energy_schemas import EnergyOut
from raven_scan.training_runs.reproduction_verdicts import ReproductionVerdict
from raven_scan.training_runs.schemas import FindingOut, MetricSeries, Reference, TrainingRunOut
from raven_scan.training_runs.types import RunStatus


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ComparedRunOut(_Schema):
    """`has_environment`: its code, libraries and machine were written down."""

    id: UUID
    name: str
    status: RunStatus
    model: Reference | None
    has_environment: bool
    time_s: float | None = Field(
        default=None, description="From its beginning to its end; null where it has not ended."
    )
    energy: EnergyOut | None = None


class RunDifferenceOut(_Schema):
    """Something that is not the same in all runs: a value each, in their order."""

    group: str = Field(description="inputs, parameters, options or environment.")
    name: str
    values: list[Any]


class ComparedFigureOut(_Schema):
    """A figure in 0-1 of each run, and how far it is from the first run's."""

    part: str = Field(description="valid (of the best epoch) or test.")
    name: str
    values: list[float | None]
    differences: list[float | None]


class ComparedCurveOut(_Schema):
    """A metric of each run, thinned for a chart; null where a run has none of that name."""

    metric: str
    series: list[MetricSeries | None]


class RunComparisonOut(_Schema):
    """What differs between runs; what is the same in all of them is left out."""

    runs: list[ComparedRunOut]
    differences: list[RunDifferenceOut]
    figures: list[ComparedFigureOut]
    curves: list[ComparedCurveOut]


class RunReproduce(BaseModel):
    """Without `name`, the run's, with `-reproduced`."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None


class ReproductionOut(_Schema):
    """A Draft from a run's record; `findings`: what may make it come out differently."""

    run: TrainingRunOut
    findings: list[FindingOut]


class ReproductionReportOut(_Schema):
    """How a reproduction compares with its original.

    `is_configuration_equal`: apart from folders of the attempts. Null, as `is_weights_equal`, where one is not known.
    """

    original: Reference
    run: Reference
    status: RunStatus
    verdict: ReproductionVerdict
    message: str
    differences: list[RunDifferenceOut]
    figures: list[ComparedFigureOut]
    tolerance: float
    largest_difference: float | None
    is_configuration_equal: bool | None
    is_weights_equal: bool | None
