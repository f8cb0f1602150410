"""Values of training runs."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.training_runs.energy import RunEnergy
from raven_scan.training_runs.records import RunRecord

Figures = dict[str, float | None]
"""Figures in 0-1 by name (map, map50, …); None where one cannot be had."""

CLASS_METRICS = "valid/map/"
"""How metrics by class begin. All of a run's are measured together: they have points at the same steps."""


def clean_text(text: str) -> str:
    """What a child process printed, as PostgreSQL can keep it: it takes no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class RunStatus(StrEnum):
    DRAFT = "Draft"
    WAITING = "Waiting"
    PROCESSING = "Processing"
    PAUSED = "Paused"
    SUCCESS = "Success"
    ERROR = "Error"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        return self in {RunStatus.SUCCESS, RunStatus.ERROR, RunStatus.CANCELLED}


class AttemptEnd(StrEnum):
    """Why an attempt ended."""

    SUCCESS = "success"
    ERROR = "error"
    LOST = "lost"
    WORKER_STOPPED = "worker_stopped"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DRY_RUN = "dry_run"
    RETRIED_SMALLER = "retried_smaller"


class DeviceKind(StrEnum):
    """What a run computes on; `auto`: a GPU where the worker has one, else its CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """When and on what a run is executed. Nothing here changes what it learns.

    Attributes:
        priority: of two that wait, the higher comes first.
        start_at: not before this.
        time_limit_s: of all its attempts together; longer than this, it ends in Error, its checkpoint kept.
        device_count: devices of one machine that it trains on at once.
        retry_smaller_batch: out of memory, it tries once more with half the batch and twice the accumulation.
    """

    priority: int = 0
    start_at: datetime | None = None
    time_limit_s: int | None = None
    device_kind: DeviceKind = DeviceKind.AUTO
    device_count: int = 1
    retry_smaller_batch: bool = False


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): _clean(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [_clean(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run ended in Error.

    Attributes:
        code: `refused.…`, `out_of_memory`, `diverged`, `crashed.…`, `lost`, …
        log_tail: the last lines of the run's log.
        evidence: what the cause was seen by, such as `step`, `images`, `signal`, `free_bytes`.
    """

    code: str
    message: str
    hint: str
    log_tail: list[str] = field(default_factory=list[str])
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])

    def describe(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": clean_text(self.message),
            "hint": clean_text(self.hint),
            "log_tail": [clean_text(line) for line in self.log_tail],
            "evidence": _clean(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is.

    Attributes:
        phase: what the trainer does now, such as `training` or `evaluation`; empty while it waits.
        epoch, epochs: completed, and to do.
        step, steps: optimiser steps done, and to do in all; 0 while unknown.
        loss: the last one told.
        map: of the last validation.
        time_left_s: an estimate; None while there is nothing to estimate from.
    """

    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    map: float | None = None
    map50: float | None = None
    learning_rate: float | None = None
    step_time_s: float | None = None
    memory_mb: float | None = None
    time_left_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """One try.

    Attributes:
        environment: code, libraries and machine of its trainer; None where none has told it.
        energy: what its processes used so far; None where none has told it.
    """

    number: int
    worker: str
    device: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    end: AttemptEnd | None
    reason: str
    environment: dict[str, str] | None = None
    energy: RunEnergy | None = None


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """A checkpoint that is kept.

    Attributes:
        epoch: epochs completed.
        position: steps done of the epoch that was begun.
        digest: sha256, its name in the blob store.
    """

    step: int
    epoch: int
    position: int
    digest: str
    size_bytes: int
    attempt: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a dry run says of the whole run.

    Attributes:
        time_s: from its start to its model, test included.
        memory_mb: peak in MiB, of the device, or of all processes on a CPU.
        energy_wh, co2_g: with the power that the dry run needed; None where that was not measured.
    """

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


@dataclass(frozen=True, slots=True)
class TrainingPresetView:
    """Parameters under a name. `run_name`: where they are from."""

    id: UUID
    name: str
    architecture: str
    parameters: TrainingParameters
    run_name: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NamedReference:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class TrainingRunView:
    """A training run as users see it.

    Attributes:
        reproduces: the run whose record it was made from, to run it again.
        dry_run_error: why its last dry run failed, after which it is a Draft again.
        record: None of runs that are older than records.
        energy: what its attempts used so far, dry runs left out; None where none has told it.
    """

    id: UUID
    name: str
    status: RunStatus
    dataset_version: NamedReference
    base_model: NamedReference
    architecture: str
    parameters: TrainingParameters
    progress: RunProgress
    error: RunError | None
    warnings: list[str]
    best: Figures | None
    model: NamedReference | None
    options: RunOptions
    preset: str | None
    cloned_from: str | None
    is_dry_run: bool
    is_pausing: bool
    estimate: RunEstimate | None
    dry_run_error: RunError | None
    checkpoints: list[RunCheckpoint]
    attempts: list[RunAttempt]
    notes: str
    revision: int
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    reproduces: NamedReference | None = None
    record: RunRecord | None = None
    energy: RunEnergy | None = None


@dataclass(frozen=True, slots=True)
class RunErrorSummary:
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class TrainingRunSummary:
    """A training run as lists show it.

    Attributes:
        epoch, epochs: completed, and to do.
        attempt_count: how often it was begun.
        energy: what its attempts used so far; None where none has told it.
    """

    id: UUID
    name: str
    status: RunStatus
    epoch: int
    epochs: int
    error: RunErrorSummary | None
    dataset_version: NamedReference
    base_model: NamedReference
    architecture: str
    progress: RunProgress
    best: Figures | None
    model: NamedReference | None
    priority: int
    is_dry_run: bool
    is_pausing: bool
    attempt_count: int
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    energy: RunEnergy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs a list is to have: those of which all that is said here is true.

    Attributes:
        search: words, or their beginnings, of the name, the notes, the dataset, the base model, the architecture and
            who created it.
        statuses: any of these; empty for all.
        dataset: name, name@version, or id of a version.
        base_model: name or id.
        created_since, created_until, ended_since, ended_until: the first moment that counts, and the first that does
            not any more.
    """

    search: str = ""
    statuses: tuple[RunStatus, ...] = ()
    dataset: str | None = None
    base_model: str | None = None
    architecture: str | None = None
    created_by: str | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None
    ended_since: datetime | None = None
    ended_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preflight:
    """All findings; the run can be scheduled where none is an error."""

    findings: list[Finding]

    @property
    def is_passed(self) -> bool:
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of a metric (`loss`, `learning_rate`, `valid/map50`, …) after an optimiser step.

    Those whose names begin with `CLASS_METRICS` end with the name of a class, which is a user's text.
    """

    name: str
    step: int
    epoch: int
    value: float | None


@dataclass(frozen=True, slots=True)
class LogRange:
    """A part of a run's log.

    Attributes:
        offset: of the first byte.
        next_offset: where to go on; equals `size_bytes` at the end.
        size_bytes: of the whole log now.
        missing_bytes: how many from `offset` on were dropped, since the log grew too long.
    """

    text: str
    offset: int
    next_offset: int
    size_bytes: int
    missing_bytes: int = 0
