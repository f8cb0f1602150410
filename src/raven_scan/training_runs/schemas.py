"""Training runs over REST."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.evaluations.schemas import QueuedEvaluationOut
from raven_scan.kernel.findings import Severity
from raven_scan.training_runs.energy_schemas import EnergyOut
from raven_scan.training_runs.types import AttemptEnd, DeviceKind, RunStatus


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Options(_Schema):
    """When and on what a run is executed. Nothing here changes what it learns."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    priority: int = Field(
        default=0, ge=-1000, le=1000, description="Of two that wait, the higher comes first."
    )
    start_at: AwareDatetime | None = Field(
        default=None, lt=datetime(2100, 1, 1, tzinfo=UTC), description="Not before this."
    )
    time_limit_s: int | None = Field(
        default=None,
        ge=1,
        le=366 * 24 * 3600,
        description="Longest time of all attempts together, in seconds.",
    )
    device_kind: DeviceKind = Field(default=DeviceKind.AUTO, description="cpu, cuda, or auto.")
    device_count: int = Field(
        default=1, ge=1, le=64, description="Devices of one machine to train on at once."
    )
    retry_smaller_batch: bool = Field(
        default=False,
        description="Out of memory, try once more with half the batch and twice the accumulation.",
    )


class TrainingRunCreate(BaseModel):
    """A new training run; it is a Draft until it is scheduled.

    `dataset` is a name, a name@version or an id; `base_model` a name or an id.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    dataset: str
    base_model: str
    parameters: TrainingParameters = TrainingParameters()
    preset: str | None = Field(
        default=None, description="A preset's name: its parameters are taken where none are given here."
    )
    options: Options = Options()


class TrainingRunClone(BaseModel):
    """A new Draft like another run. What is not said here is as it was there."""

    model_config = ConfigDict(extra="forbid")

    name: str
    dataset: str | None = None
    base_model: str | None = None
    parameters: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Training parameters that differ, by name."
    )
    options: Options = Field(default=Options(), description="Options that differ; what is left out stays.")


class TrainingRunEdit(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    notes: str | None = None


class TrainingRunPriority(BaseModel):
    model_config = ConfigDict(extra="forbid")

    priority: int = Field(ge=-1000, le=1000, description="Of two that wait, the higher comes first.")


class TrainingRunMove(BaseModel):
    """`place`: 1 for the first in the queue; beyond its end, the last."""

    model_config = ConfigDict(extra="forbid")

    place: int = Field(ge=1)


class TrainingRunRetry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    from_start: bool = Field(default=False, description="Not from its last checkpoint.")


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
    evidence: dict[str, Any]


class Estimate(_Schema):
    """What a dry run says of the whole run: its time, its peak memory, and what they were reckoned from."""

    time_s: float
    memory_mb: float
    step_time_s: float
    validation_image_time_s: float
    checkpoint_time_s: float
    start_time_s: float
    steps: int
    device: str
    energy_wh: float | None = None
    co2_g: float | None = None


class Checkpoint(_Schema):
    """A kept checkpoint; `position` counts the steps of the epoch that was begun."""

    step: int
    epoch: int
    position: int
    digest: str
    size_bytes: int
    attempt: int
    created_at: datetime


class Attempt(_Schema):
    number: int
    worker: str
    device: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    end: AttemptEnd | None
    reason: str
    environment: dict[str, str] | None = Field(
        default=None, description="Code, libraries and machine of its trainer, where it has told."
    )
    energy: EnergyOut | None = Field(default=None, description="Used so far, where its trainer has told.")


class RunRecordOut(_Schema):
    """Digests of what the run was made of and made, and its figures on the test part; they outlive all of these."""

    dataset_version_digest: str | None
    base_weights_digest: str | None
    weights_digest: str | None
    configuration_digest: str | None
    test: dict[str, float | None] | None


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
    options: Options
    preset: str | None
    cloned_from: str | None
    is_dry_run: bool
    is_pausing: bool
    estimate: Estimate | None
    dry_run_error: RunErrorOut | None = Field(
        default=None, description="Why the last dry run failed; the run is a Draft again."
    )
    checkpoints: list[Checkpoint]
    attempts: list[Attempt]
    notes: str
    revision: int = Field(description="Grows with every edit of name or notes; the ETag.")
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    reproduces: Reference | None = Field(default=None, description="The run that it runs again.")
    record: RunRecordOut | None = Field(
        default=None, description="What can be proven of it; null of runs that are older than records."
    )
    energy: EnergyOut | None = Field(default=None, description="Used so far by all attempts but dry runs.")


class RunErrorSummary(_Schema):
    code: str
    message: str
    hint: str


class TrainingRunSummary(_Schema):
    """A training run in a list; `epoch` counts completed epochs."""

    id: UUID
    name: str
    status: RunStatus
    epoch: int
    epochs: int
    error: RunErrorSummary | None
    dataset_version: Reference
    base_model: Reference
    architecture: str
    progress: Progress
    best: dict[str, float | None] | None
    model: Reference | None
    priority: int
    is_dry_run: bool
    is_pausing: bool
    attempt_count: int = Field(description="How often it was begun.")
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    energy: EnergyOut | None = None


class TrainingRunPage(_Schema):
    items: list[TrainingRunSummary]
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
    """Columns of equal length, by step; a value that cannot be had, or is not finite, is null.

    `is_thinned`: points in between were left out; `thinning` of the answer says how.
    """

    name: str
    steps: list[int]
    epochs: list[int]
    values: list[float | None]
    is_thinned: bool = False


class Thinning(_Schema):
    """How metrics were thinned.

    Kept are the first and the last point, and of each of equally long stretches of steps the smallest value, the
    largest, and the first that is null: whatever stands out in a chart of all points does in this one.
    """

    points: int = Field(description="At most so many of each metric.")
    method: Literal["smallest_and_largest"] = "smallest_and_largest"


class MetricsOut(_Schema):
    """`thinning` is null where every point is there."""

    series: list[MetricSeries]
    thinning: Thinning | None = None


class QueueEntryOut(_Schema):
    """A run that waits, why, and when it will probably start."""

    place: int
    run: Reference
    priority: int
    device_kind: DeviceKind
    device_count: int
    scheduled_at: datetime | None
    reason_code: str
    reason: str
    expected_start_at: datetime | None


class QueueOut(_Schema):
    """`evaluations`: that wait or are at work, on the first page, for those who may see models."""

    items: list[QueueEntryOut]
    next: str | None = None
    evaluations: list[QueuedEvaluationOut] = []


class PresetCreate(BaseModel):
    """Keeps a run's parameters under a name."""

    model_config = ConfigDict(extra="forbid")

    name: str
    run: str = Field(description="Name or id of the run whose parameters they are.")


class PresetOut(_Schema):
    id: UUID
    name: str
    architecture: str
    parameters: TrainingParameters
    run_name: str
    created_by: str
    created_at: datetime


class PresetPage(_Schema):
    items: list[PresetOut]
    next: str | None = None


class LogOut(_Schema):
    """A part of a log. `missing_bytes`: so many from `offset` on were dropped, since it grew too long."""

    text: str
    offset: int
    next_offset: int
    size_bytes: int
    missing_bytes: int = 0


class LogMatchOut(_Schema):
    """A line that was found: its number, from 1, and where it begins."""

    line: int
    offset: int
    text: str


class LogSearchOut(_Schema):
    """What a search has found. `next_offset` and `next_line` go on; null where the whole log was looked through."""

    matches: list[LogMatchOut]
    next_offset: int | None
    next_line: int | None


class ArtifactOut(_Schema):
    """Something to download; `size_bytes` and `digest` (sha256) are null of what is written when it is asked for."""

    name: str
    kind: str = Field(description="log, metrics, parameters, checkpoint or model.")
    media_type: str
    size_bytes: int | None
    digest: str | None


class ArtifactPage(_Schema):
    items: list[ArtifactOut]
    next: str | None = None
