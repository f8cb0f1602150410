"""Values of training runs."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.findings import Finding, Severity

Figures = dict[str, float | None]
"""Figures in 0-1 by name (map, map50, …); None where one cannot be had."""


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


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run ended in Error.

    Attributes:
        code: `refused.…`, `out_of_memory`, `diverged`, `crashed.…`, `lost`, …
        log_tail: the last lines of the run's log.
    """

    code: str
    message: str
    hint: str
    log_tail: list[str] = field(default_factory=list[str])

    def describe(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": clean_text(self.message),
            "hint": clean_text(self.hint),
            "log_tail": [clean_text(line) for line in self.log_tail],
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
    number: int
    worker: str
    device: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    end: AttemptEnd | None
    reason: str


@dataclass(frozen=True, slots=True)
class NamedReference:
    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class TrainingRunView:
    """A training run as users see it."""

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
    attempts: list[RunAttempt]
    created_by: str
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preflight:
    """All findings; the run can be scheduled where none is an error."""

    findings: list[Finding]

    @property
    def is_passed(self) -> bool:
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of a metric (`loss`, `learning_rate`, `valid/map50`, …) after an optimiser step."""

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
    """

    text: str
    offset: int
    next_offset: int
    size_bytes: int
