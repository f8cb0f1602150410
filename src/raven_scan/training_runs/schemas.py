"""Training runs over REST."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.findings import Severity
from raven_scan.training_runs.types import AttemptEnd, RunStatus


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TrainingRunCreate(BaseModel):
    """A new training run; it is a Draft until it is scheduled.

    `dataset` is a name, a name@version or an id; `base_model` a name or an id.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    dataset: str
    base_model: str
    parameters: TrainingParameters = TrainingParameters()


class Reference(_Schema):
    id: UUID
    name: str


class Progress(_Schema):
    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    map: float | None
    map50: float | None
    learning_rate: float | None
    step_time_s: float | None
    memory_mb: float | None
    time_left_s: float | None


class RunErrorOut(_Schema):
    code: str
    message: str
    hint: str
    log_tail: list[str]


class Attempt(_Schema):
    number: int
    worker: str
    device: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    end: AttemptEnd | None
    reason: str


class TrainingRunOut(_Schema):
    """A training run; `epoch` counts completed epochs."""

    id: UUID
    name: str
    status: RunStatus
    epoch: int
    epochs: int
    error: RunErrorOut | None
    dataset_version: Reference
    base_model: Reference
    architecture: str
    parameters: TrainingParameters
    progress: Progress
    warnings: list[str]
    best: dict[str, float | None] | None
    model: Reference | None
    attempts: list[Attempt]
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class TrainingRunPage(_Schema):
    items: list[TrainingRunOut]
    next: str | None


class FindingOut(_Schema):
    code: str
    severity: Severity
    message: str
    hint: str


class PreflightOut(_Schema):
    passed: bool
    findings: list[FindingOut]


class ScheduledOut(_Schema):
    run: TrainingRunOut
    findings: list[FindingOut]


class MetricSeries(_Schema):
    """Columns of equal length; a value that cannot be had is null."""

    name: str
    steps: list[int]
    epochs: list[int]
    values: list[float | None]


class MetricsOut(_Schema):
    series: list[MetricSeries]


class LogOut(_Schema):
    text: str
    offset: int
    next_offset: int
    size_bytes: int
