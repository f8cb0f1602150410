"""What a worker does to a run: it begins an attempt, tells progress, and ends it.

Every write carries the attempt's fencing number. A worker that was away for long finds that its number is no longer
the run's: the write changes nothing and raises LeaseLost.
"""

import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import cast, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.jobs.queue import JobQueue
from raven_scan.jobs.worker import is_worker_gone, make_worker_name
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.names import LONGEST_NAME
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import NewTrainedModel, TrainedModelView
from raven_scan.training_runs import repository
from raven_scan.training_runs.errors import LeaseLost
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.run_folder import RunFolder
from raven_scan.training_runs.types import (
    AttemptEnd,
    Figures,
    MetricPoint,
    RunError,
    RunProgress,
    RunStatus,
)

EXECUTE_TASK = "training_runs.execute"
"""The job's name in the queue."""

MOST_LOST_ATTEMPTS = 3
"""A run that took so many workers down with it ends in Error instead of taking the next."""

_SILENT_S = 3.0
_CONFIRMATION_S = 5.0
_TAKEN_FOR_S = 10.0
_FIRST_IN_LINE = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last good checkpoint of a run; `path` is a file in the run's folder."""

    path: Path
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that holds the run, with all that its worker needs to know."""

    run_id: UUID
    run_name: str
    fence: int
    dataset_version_id: UUID
    base_model_id: UUID
    architecture: str
    parameters: TrainingParameters
    checkpoint: Checkpoint | None
    warnings: list[str]


class TrainingRunExecution:
    """The use cases of a worker; all but the recovery write in the name of one attempt.

    Args:
        confirmation_s: a lease that has run out is looked at again after so long: after a suspend, or when the
            database was away, every worker's lease has run out, and each renews its own.
    """

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        models: TrainedModelService,
        settings: Settings,
        *,
        confirmation_s: float = _CONFIRMATION_S,
    ) -> None:
        self._confirmation_s = confirmation_s
        self._suspects: dict[tuple[UUID, int, datetime], float] = {}
        self._database = database
        self._queue = queue
        self._models = models
        self._settings = settings

    def begin_attempt(self, actor: Actor, run_id: UUID, *, worker: str, device: str) -> Attempt | None:
        """Takes a waiting run: status Processing, a new fence, a lease. None where it does not wait (any more)."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            run = repository.find_run(session, str(run_id), lock=True)
            if run is None or run.status != RunStatus.WAITING:
                return None
            run.status = RunStatus.PROCESSING
            run.fence += 1
            run.started_at = run.started_at or func.now()
            checkpoint = _read_checkpoint(run)
            repository.remove_metrics_after(session, run.id, checkpoint.step if checkpoint else 0)
            session.add(TrainingRunAttempt(run_id=run.id, number=run.fence, worker=worker, device=device))
            return Attempt(
                run_id=run.id,
                run_name=run.name,
                fence=run.fence,
                dataset_version_id=run.dataset_version_id,
                base_model_id=run.base_model_id,
                architecture=run.architecture,
                parameters=TrainingParameters.model_validate(run.parameters),
                checkpoint=checkpoint,
                warnings=list(run.warnings),
            )

    def beat(self, actor: Actor, attempt: Attempt) -> None:
        """Renews the lease. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            if not repository.write_heartbeat(session, attempt.run_id, attempt.fence):
                raise LeaseLost

    def record(
        self,
        actor: Actor,
        attempt: Attempt,
        *,
        progress: RunProgress,
        points: list[MetricPoint],
        warnings: list[str],
        best: Figures | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Writes what the trainer told since the last time, all or nothing. Raises LeaseLost."""
        values: dict[str, Any] = {"progress": asdict(progress)}
        if warnings:
            values["warnings"] = TrainingRun.warnings.op("||")(cast(warnings, JSONB))
        if best is not None:
            values["best"] = best
        if checkpoint is not None:
            values["checkpoint"] = {
                "path": str(checkpoint.path),
                "epoch": checkpoint.epoch,
                "step": checkpoint.step,
            }
        with self._write(actor, attempt, **values) as session:
            repository.write_metrics(session, attempt.run_id, points)

    def succeed(self, actor: Actor, attempt: Attempt, model: NewTrainedModel, progress: RunProgress) -> UUID:
        """In one transaction: the model is made, and the run ends in Success. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            run = repository.find_run(session, str(attempt.run_id), lock=True)
            if run is None or run.fence != attempt.fence or run.status != RunStatus.PROCESSING:
                raise LeaseLost
            created = self._create_model(actor, model)
            if created.name != run.name:
                run.warnings = [
                    *run.warnings,
                    f"A model named {run.name!r} was imported meanwhile: this run's model is {created.name!r}.",
                ]
            run.status = RunStatus.SUCCESS
            run.model_id = created.id
            run.model_name = created.name
            run.progress = asdict(progress)
            run.checkpoint = None
            run.ended_at = func.now()
            repository.end_attempt(session, run.id, attempt.fence, AttemptEnd.SUCCESS, "")
            return created.id

    def fail(self, actor: Actor, attempt: Attempt, error: RunError) -> None:
        """The run ends in Error; its last checkpoint is kept. Raises LeaseLost."""
        with self._write(
            actor, attempt, status=RunStatus.ERROR, error=error.describe(), ended_at=func.now()
        ) as session:
            repository.end_attempt(session, attempt.run_id, attempt.fence, AttemptEnd.ERROR, error.code)

    def hand_back(self, actor: Actor, attempt: Attempt, reason: str) -> None:
        """The worker stops: the run waits again, first in line, and goes on from its checkpoint. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            run = repository.find_run(session, str(attempt.run_id), lock=True)
            if run is None or run.fence != attempt.fence or run.status != RunStatus.PROCESSING:
                raise LeaseLost
            self._wait_again(session, run, AttemptEnd.WORKER_STOPPED, reason)

    def recover_lost_runs(self, actor: Actor) -> int:
        """Runs whose worker died wait again, and go on from their checkpoint; returns how many there were.

        A worker of this machine whose process is gone is dead at once; any other when its lease has run out, and
        it has not renewed it `confirmation_s` later. A run that has lost too many workers ends in Error. A run that
        waits without a job, because its job was taken by a worker that died before it began, gets a new one.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            silent = repository.lock_silent_runs(session, _SILENT_S, self._settings.lease_timeout_s)
            confirmed = self._confirm_suspects(
                {
                    (run.id, attempt.number, attempt.heartbeat_at)
                    for run, attempt, is_expired in silent
                    # Whoever looks is alive, and about to renew its own.
                    if is_expired and attempt.worker != make_worker_name()
                }
            )
            lost = [
                (run, attempt)
                for run, attempt, _ in silent
                if (run.id, attempt.number, attempt.heartbeat_at) in confirmed
                or is_worker_gone(attempt.worker)
            ]
            for run, attempt in lost:
                self._recover(session, run, attempt)
            self._enqueue_forgotten_runs(session)
        return len(lost)

    def remove_leftovers(self, actor: Actor) -> None:
        """Removes working folders and checkpoints whose run needs them no more; their worker was killed."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        folders = [
            RunFolder(self._settings, run_id)
            for parent in (self._settings.work_folder, self._settings.runs_folder)
            if parent.is_dir()
            for entry in parent.iterdir()
            if (run_id := parse_id(entry.name)) is not None
        ]
        with self._database.transaction() as session:
            statuses = repository.list_statuses(session, [folder.run_id for folder in folders])
        for folder in folders:
            status = statuses.get(folder.run_id)
            if status is not RunStatus.PROCESSING:
                shutil.rmtree(folder.work, ignore_errors=True)
            if status is RunStatus.SUCCESS:
                shutil.rmtree(folder.checkpoints, ignore_errors=True)

    def _confirm_suspects(self, expired: set[tuple[UUID, int, datetime]]) -> set[tuple[UUID, int, datetime]]:
        """Those that were seen with the very same last heartbeat long enough ago."""
        now = time.monotonic()
        self._suspects = {suspect: self._suspects.get(suspect, now) for suspect in expired}
        return {
            suspect for suspect, seen_at in self._suspects.items() if now - seen_at >= self._confirmation_s
        }

    def _recover(self, session: Session, run: TrainingRun, attempt: TrainingRunAttempt) -> None:
        reason = f"The worker {attempt.worker} was lost."
        _log.warning("training_run.worker_lost", run=run.name, worker=attempt.worker)
        if run.job_id is not None:
            self._queue.discard(session, run.job_id)
            run.job_id = None
        attempts = repository.list_attempts(session, [run.id])[run.id]
        lost = 1 + sum(earlier.end == AttemptEnd.LOST for earlier in attempts)
        if lost < MOST_LOST_ATTEMPTS:
            self._wait_again(session, run, AttemptEnd.LOST, reason)
            return
        run.status = RunStatus.ERROR
        run.ended_at = func.now()
        run.error = RunError(
            code="lost",
            message=f"{lost} workers were lost while they worked on this run.",
            hint="Its memory may be too small for the batch size or the image size: lower them in a new run, "
            "and look at the machine's log.",
            log_tail=RunFolder(self._settings, run.id).read_log_tail(20),
        ).describe()
        repository.end_attempt(session, run.id, run.fence, AttemptEnd.LOST, reason)

    def _enqueue_forgotten_runs(self, session: Session) -> None:
        waiting = {run.job_id or 0: run for run in repository.lock_waiting_runs(session)}
        for job_id in self._queue.find_dead_jobs(session, list(waiting), taken_for_s=_TAKEN_FOR_S):
            run = waiting[job_id]
            _log.warning("training_run.job_lost", run=run.name)
            self._queue.discard(session, job_id)
            run.job_id = self._enqueue(session, run)

    def _create_model(self, actor: Actor, model: NewTrainedModel) -> TrainedModelView:
        """Makes the model, under its run's name, or under the next free one: a run is not lost over a name."""
        name = model.name
        for number in count(2):
            try:
                return self._models.create_from_run(actor, model)
            except Conflict as error:
                if error.code != "trained_model.name_taken":
                    raise
            suffix = f"-{number}"
            model = replace(model, name=name[: LONGEST_NAME - len(suffix)] + suffix)
        raise AssertionError

    @contextmanager
    def _write(self, actor: Actor, attempt: Attempt, **values: Any) -> Generator[Session]:
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            if not repository.write_fenced(session, attempt.run_id, attempt.fence, **values):
                raise LeaseLost
            yield session

    def _wait_again(self, session: Session, run: TrainingRun, end: AttemptEnd, reason: str) -> None:
        repository.end_attempt(session, run.id, run.fence, end, reason)
        run.status = RunStatus.WAITING
        run.progress = {**run.progress, "phase": "", "time_left_s": None}
        run.job_id = self._enqueue(session, run)

    def _enqueue(self, session: Session, run: TrainingRun) -> int:
        return self._queue.enqueue(session, EXECUTE_TASK, {"run_id": str(run.id)}, priority=_FIRST_IN_LINE)


def _read_checkpoint(run: TrainingRun) -> Checkpoint | None:
    """The run's checkpoint, where its file is still there."""
    if run.checkpoint is None:
        return None
    checkpoint = Checkpoint(
        path=Path(run.checkpoint["path"]), epoch=run.checkpoint["epoch"], step=run.checkpoint["step"]
    )
    return checkpoint if checkpoint.path.exists() else None
