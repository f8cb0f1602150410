"""What a worker does to a run: it begins an attempt, tells progress, and ends it.

Every write carries the attempt's fencing number. A worker that was away for long finds that its number is no longer
the run's: the write changes nothing and raises LeaseLost.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.evaluations.service import EvaluationService
from raven_scan.evaluations.types import RunEvaluation
from raven_scan.jobs.held_attempts import hold_attempt
from raven_scan.jobs.lease import LeaseLost
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.names import LONGEST_NAME
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import NewTrainedModel, TrainedModelView
from raven_scan.training_runs.announcements import RunAnnouncer
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.blob_removal import BlobRemover
from raven_scan.training_runs.device_choice import choose_kind, get_kind, list_kinds
from raven_scan.training_runs.energy import EnergyTally, describe_energy, parse_energy
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt, TrainingRunCheckpoint
from raven_scan.training_runs.records import describe_figures, describe_result
from raven_scan.training_runs.repository import attempts, checkpoints, logs, metrics, runs
from raven_scan.training_runs.smaller_batch import halve_batch, may_halve_batch
from raven_scan.training_runs.transitions import (
    be_draft_again,
    end_fruitlessly,
    end_in_error,
    put_in_queue,
    take_out_of_queue,
)
from raven_scan.training_runs.types import (
    AttemptEnd,
    DeviceKind,
    Figures,
    MetricPoint,
    RunError,
    RunEstimate,
    RunProgress,
    RunStatus,
)

CHECKPOINTS_KEPT = 2
"""The last so many; each holds the best weights so far, so that one is enough to go on from."""


class TrainingRunExecution:
    """The use cases of a worker; all but the first write in the name of one attempt."""

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        evaluations: EvaluationService,
        blobs: BlobStore,
        announcer: RunAnnouncer,
        *,
        largest_log_bytes: int,
    ) -> None:
        self._database = database
        self._largest_log_bytes = largest_log_bytes
        self._announcer = announcer
        self._models = models
        self._evaluations = evaluations
        self._remover = BlobRemover(database, blobs)

    def begin_next(
        self, actor: Actor, *, worker: str, free: Sequence[str], capacity: Sequence[str]
    ) -> Attempt | None:
        """Takes the next run that fits: status Processing, a new fence, a lease. None where none does.

        A run that needs more devices than are free just now keeps them for itself: runs behind it do not overtake it
        on the kind of device that it waits for.

        Args:
            actor: needs `training_run:execute`.
            worker: the worker's name.
            free: devices that this worker has to give, such as `["cpu"]` or `["cuda:1", "cuda:3"]`.
            capacity: all of its devices.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        attempt = None
        with self._database.transaction() as session:
            for kind in list_kinds(free):
                attempt = self._begin_next_on(session, actor, worker, kind, free, capacity)
                if attempt is not None:
                    # Before the commit: from then on somebody may find it open, and worked on by nobody.
                    hold_attempt(attempt.run_id, attempt.fence)
                    break
        return attempt

    def _begin_next_on(
        self,
        session: Session,
        actor: Actor,
        worker: str,
        kind: DeviceKind,
        free: Sequence[str],
        capacity: Sequence[str],
    ) -> Attempt | None:
        fitting = [device for device in free if get_kind(device) is kind]
        asked = [each for each in (kind, DeviceKind.AUTO) if choose_kind(each, capacity) is kind]
        most = sum(get_kind(device) is kind for device in capacity)
        for run_id, needed in runs.list_next(session, asked, most):
            if needed > len(fitting):
                return None
            run = runs.lock_if_waiting(session, run_id)
            if run is None:
                continue
            try:
                return _begin(session, run, worker, fitting[:needed])
            except ValidationError as error:
                # It must not keep all others waiting.
                if end_in_error(run, _describe_unreadable(error)):
                    self._announcer.announce_end(actor, session, run)
        return None

    def beat(self, actor: Actor, attempt: Attempt) -> bool:
        """Renews the lease; tells whether the run is to pause. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction(urgent=True) as session:
            held = attempts.write_heartbeat(session, attempt.run_id, attempt.fence)
        if held is None or held[:2] != (RunStatus.PROCESSING, attempt.fence):
            raise LeaseLost
        return held[2]

    def go_on_from(self, actor: Actor, attempt: Attempt, checkpoint: Checkpoint | None) -> None:
        """What was told after the checkpoint will be told again, and later checkpoints are of no use: both go.

        None: the run starts from its base model. Raises LeaseLost.
        """
        step = checkpoint.step if checkpoint else -1
        with self._write(actor, attempt) as session:
            metrics.remove_after(session, attempt.run_id, step)
            removed = checkpoints.remove(session, attempt.run_id, after_step=step)
        self._remove_blobs(removed)

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
        log: bytes,
        log_position: int,
        environment: dict[str, str] | None = None,
        energy: EnergyTally | None = None,
    ) -> None:
        """Writes what the trainer told since the last time, all or nothing. Raises LeaseLost.

        What was written already, by a commit whose answer was lost, is not written again. `log_position`: so many
        bytes of the attempt's log came before `log`. `environment`: what the trainer computes with, once it has told.
        `energy`: where something new was told of it.
        """
        values: dict[str, Any] = {"progress": asdict(progress)}
        if warnings:
            values["warnings"] = runs.add_warnings(warnings)
        if best is not None:
            values["best"] = best
        if energy is not None and energy.run is not None and not attempt.is_dry_run:
            values["energy"] = describe_energy(energy.run)
        removed: list[str] = []
        with self._write(actor, attempt, **values) as session:
            metrics.write(session, attempt.run_id, points)
            if environment is not None:
                attempts.write_environment(session, attempt.run_id, attempt.fence, environment)
            if energy is not None and energy.attempt is not None:
                attempts.write_energy(session, attempt.run_id, attempt.fence, describe_energy(energy.attempt))
            size_bytes = logs.append_told(session, attempt.run_id, attempt.fence, log_position, log)
            if size_bytes is not None:
                logs.drop_middle(
                    session, attempt.run_id, size_bytes=size_bytes, largest_bytes=self._largest_log_bytes
                )
            if checkpoint is not None:
                row = TrainingRunCheckpoint(
                    run_id=attempt.run_id, attempt=attempt.fence, **asdict(checkpoint)
                )
                removed = checkpoints.write(session, row)
                removed += checkpoints.remove(session, attempt.run_id, keep=CHECKPOINTS_KEPT)
        self._remove_blobs(removed)

    def succeed(
        self,
        actor: Actor,
        attempt: Attempt,
        model: NewTrainedModel,
        progress: RunProgress,
        *,
        evaluation: RunEvaluation | None = None,
    ) -> UUID:
        """In one transaction: the model is made with its evaluation, and the run ends in Success. Raises LeaseLost."""
        with self._hold(actor, attempt) as (session, run):
            # It may have been renamed since the attempt began.
            made = replace(model, name=run.name, training_run_name=run.name, created_by=run.created_by)
            created = self._create_model(actor, made)
            if evaluation is not None:
                self._evaluations.record_of_run(actor, created, evaluation)
            if created.name != run.name:
                run.warnings = [
                    *run.warnings,
                    f"A model named {run.name!r} was imported meanwhile: this run's model is {created.name!r}.",
                ]
            take_out_of_queue(run, RunStatus.SUCCESS)
            run.record = {**(run.record or {}), **describe_result(model)}
            run.model_id = created.id
            run.model_name = created.name
            run.progress = asdict(progress)
            run.ended_at = func.now()
            attempts.end_attempt(session, run.id, attempt.fence, AttemptEnd.SUCCESS, "")
            removed = checkpoints.remove(session, run.id)
            self._announcer.announce_end(actor, session, run, describe_figures(model.test))
        self._remove_blobs(removed)
        return created.id

    def finish_dry_run(self, actor: Actor, attempt: Attempt, estimate: RunEstimate) -> None:
        """The run is a Draft again, with what it will probably cost. Raises LeaseLost."""
        with self._hold(actor, attempt) as (session, run):
            be_draft_again(run)
            run.estimate = asdict(estimate)
            attempts.end_attempt(session, run.id, attempt.fence, AttemptEnd.DRY_RUN, "")

    def fail(self, actor: Actor, attempt: Attempt, error: RunError) -> None:
        """The run ends in Error, and its last checkpoint is kept; after a dry run it is a Draft again.

        Raises LeaseLost.

        Out of memory for the first time, a run whose user allowed it waits again with half the batch.
        """
        removed: list[str] = []
        with self._hold(actor, attempt) as (session, run):
            if may_halve_batch(session, run, error):
                attempts.end_attempt(session, run.id, run.fence, AttemptEnd.RETRIED_SMALLER, error.code)
                removed = halve_batch(session, run, error)
            else:
                attempts.end_attempt(session, run.id, run.fence, AttemptEnd.ERROR, error.code)
                if end_in_error(run, error):
                    self._announcer.announce_end(actor, session, run)
        self._remove_blobs(removed)

    def lose(self, actor: Actor, attempt: Attempt, error: RunError) -> None:
        """The attempt came to nothing through no fault of the run, such as a trainer that was killed: try again.

        Raises LeaseLost.
        """
        with self._hold(actor, attempt) as (session, run):
            if end_fruitlessly(session, run, error.message, error):
                self._announcer.announce_end(actor, session, run)

    def hand_back(self, actor: Actor, attempt: Attempt, reason: str) -> None:
        """The run goes on later from its checkpoint: it pauses where that was asked, else it waits.

        Raises LeaseLost.
        """
        with self._hold(actor, attempt) as (session, run):
            if run.is_pausing:
                attempts.end_attempt(session, run.id, run.fence, AttemptEnd.PAUSED, "")
                take_out_of_queue(run, RunStatus.PAUSED)
            else:
                attempts.end_attempt(session, run.id, run.fence, AttemptEnd.WORKER_STOPPED, reason)
                put_in_queue(session, run, is_returned=True)

    def end_void_attempt(self, actor: Actor, attempt: Attempt) -> None:
        """After LeaseLost, when the trainer is gone: nothing of this attempt is at work any more."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            runs.find_run(session, str(attempt.run_id), lock=True)
            # Whatever else takes a run from its attempt ends the attempt too. It may wait again already.
            attempts.end_attempt(session, attempt.run_id, attempt.fence, AttemptEnd.CANCELLED, "")
            runs.notify_workers(session)

    def _remove_blobs(self, digests: list[str]) -> None:
        """After the commit: a row names its blob as long as it is there."""
        self._remover.remove(digests)

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
        """One statement that locks the row, where the whole of it is not needed."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            if not runs.write_fenced(session, attempt.run_id, attempt.fence, **values):
                raise LeaseLost
            yield session

    @contextmanager
    def _hold(self, actor: Actor, attempt: Attempt) -> Generator[tuple[Session, TrainingRun]]:
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            run = runs.find_run(session, str(attempt.run_id), lock=True)
            if run is None or run.fence != attempt.fence or run.status != RunStatus.PROCESSING:
                raise LeaseLost
            yield session, run


def _begin(session: Session, run: TrainingRun, worker: str, devices: list[str]) -> Attempt:
    parameters = TrainingParameters.model_validate(run.parameters)
    kept = checkpoints.list_of_runs(session, [run.id])[run.id]
    take_out_of_queue(run, RunStatus.PROCESSING)
    run.fence += 1
    run.started_at = run.started_at or func.now()
    session.add(TrainingRunAttempt(run_id=run.id, number=run.fence, worker=worker, device=",".join(devices)))
    session.flush()
    return Attempt(
        run_id=run.id,
        run_name=run.name,
        fence=run.fence,
        devices=devices,
        is_dry_run=run.is_dry_run,
        dataset_version_id=run.dataset_version_id,
        base_model_id=run.base_model_id,
        architecture=run.architecture,
        parameters=parameters,
        checkpoints=[
            Checkpoint(
                step=each.step,
                epoch=each.epoch,
                position=each.position,
                digest=each.digest,
                size_bytes=each.size_bytes,
            )
            for each in kept
        ],
        warnings=list(run.warnings),
        time_limit_s=run.time_limit_s,
        spent_s=attempts.measure_spent_s(session, run.id),
        log_size_bytes=run.log_size_bytes,
        energy=parse_energy(run.energy),
    )


def _describe_unreadable(error: ValidationError) -> RunError:
    problem = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in problem["loc"])
    return RunError(
        code="refused.parameters",
        message=f"The run's parameters are not within their bounds any more; {name}: {problem['msg']}.",
        hint="Clone it with others.",
    )
