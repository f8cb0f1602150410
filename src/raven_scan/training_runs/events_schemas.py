"""Events of a training run over REST: what `data` holds, by `event`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter

from raven_scan.training_runs.schemas import MetricSeries, Progress, TrainingRunOut
from raven_scan.training_runs.types import RunStatus


class RunEvent(BaseModel):
    """The run as it is now: the first event, and told again when something but its progress changed."""

    event: Literal["run"] = "run"
    run: TrainingRunOut


class ProgressEvent(BaseModel):
    """How far the run is."""

    event: Literal["progress"] = "progress"
    progress: Progress


class MetricsEvent(BaseModel):
    """Points that are new; of each name in the order of their steps."""

    event: Literal["metrics"] = "metrics"
    series: list[MetricSeries]


class MetricsResetEvent(BaseModel):
    """All points after `step` are void: the run goes on from there, and tells them again. -1: all points."""

    event: Literal["metrics_reset"] = "metrics_reset"
    step: int


class LogEvent(BaseModel):
    """Text that is new. `missing_bytes`: so many before it were dropped, since the log grew too long."""

    event: Literal["log"] = "log"
    text: str
    offset: int
    next_offset: int
    missing_bytes: int = 0


class EndEvent(BaseModel):
    """The last event. The run is at rest, or, with `status` null, it is deleted or not for this reader any more."""

    event: Literal["end"] = "end"
    status: RunStatus | None


AnyRunEvent = Annotated[
    RunEvent | ProgressEvent | MetricsEvent | MetricsResetEvent | LogEvent | EndEvent,
    Field(discriminator="event"),
]

RUN_EVENT: TypeAdapter[AnyRunEvent] = TypeAdapter(AnyRunEvent)
"""Reads `data` of an event: `RUN_EVENT.validate_json(data)`."""
