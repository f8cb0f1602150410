"""Values of the queue: runs that wait, what is at work, and the workers with their slots."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from raven_scan.evaluations.types import EvaluationProgress
from raven_scan.evaluations.types import NamedReference as EvaluatedReference
from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import WorkerLoad
from raven_scan.training_runs.types import DeviceKind, NamedReference


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A run that waits.

    Attributes:
        place: from 1.
        reason: why it still waits: a code and a sentence.
        expected_start_at: None where nothing is there to tell it from.
    """

    place: int
    run: NamedReference
    priority: int
    device_kind: DeviceKind
    device_count: int
    scheduled_at: datetime | None
    reason_code: str
    reason: str
    expected_start_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedEvaluation:
    """An evaluation of a model that waits, before all runs, or is at work.

    Attributes:
        reason: why it still waits: a code and a sentence; None of one that is at work.
        worker, device: that it is at work on.
    """

    id: UUID
    model: EvaluatedReference
    dataset_version: EvaluatedReference
    part: str
    status: str
    progress: EvaluationProgress
    worker: str | None
    device: str | None
    created_by: str
    created_at: datetime
    reason_code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """What the queue's order, and the time of a start, follow from; `takes_s` is None where no dry run told it."""

    id: UUID
    name: str
    priority: int
    queue_position: int
    device_kind: str
    device_count: int
    scheduled_at: datetime | None
    start_at: datetime | None
    takes_s: float | None


@dataclass(frozen=True, slots=True)
class RunAtWork:
    """What occupies devices of a worker: a run, or an evaluation of a model.

    `time_left_s` is None where nobody knows it yet.
    """

    run: NamedReference
    worker: str
    devices: tuple[str, ...]
    time_left_s: float | None
    is_evaluation: bool = False


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """A device of a worker, and the run or evaluation that it computes; both are None where it is free.

    `load`: of a GPU, None where it is not known; a CPU's is the worker's.
    """

    device: str
    run: NamedReference | None
    evaluation: NamedReference | None = None
    load: DeviceLoad | None = None


@dataclass(frozen=True, slots=True)
class RunWorker:
    """A worker that lives. `is_draining`: it ends what it does and takes nothing more.

    `load`: of its machine; None where it does not tell.
    """

    name: str
    version: str
    slots: list[WorkerSlot]
    is_draining: bool
    started_at: datetime
    heartbeat_at: datetime
    load: WorkerLoad | None = None
