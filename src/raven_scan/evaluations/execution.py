"""What a worker does to an evaluation: it begins an attempt, tells progress, and ends it.

Every write carries the attempt's number. A worker that was away for long finds that its number is no longer the
evaluation's: the write changes nothing and raises LeaseLost.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.evaluations import repository
from raven_scan.evaluations.models import ModelEvaluation
from raven_scan.evaluations.types import (
    EvaluationAttempt,
    EvaluationAtWork,
    EvaluationError,
    EvaluationProgress,
    EvaluationResult,
    EvaluationStatus,
    EvaluationView,
)
from raven_scan.jobs.devices import CPU
from raven_scan.jobs.held_attempts import hold_attempt, release_attempt
from raven_scan.jobs.lease import LeaseLost
from raven_scan.jobs.lost_leases import LostLeases
from raven_scan.kernel.database import Database
from raven_scan.trained_models.service import TrainedModelService

_SILENT_S = 3.0
_MOST_LOST_ATTEMPTS = 3
_MOST_LISTED = 100

_log = structlog.get_logger(__name__)


class EvaluationExecution:
    """The use cases of a worker; all but the first and the last write in the name of one attempt.

    Args:
        lease_timeout_s: a worker that is silent for longer has lost its evaluation.
    """

    def __init__(self, database: Database, models: TrainedModelService, *, lease_timeout_s: float) -> None:
        self._database = database
        self._models = models
        self._lease_timeout_s = lease_timeout_s
        self._lost = LostLeases[repository.SilentEvaluation]()

    def begin_next(self, actor: Actor, *, worker: str, free: Sequence[str]) -> EvaluationAttempt | None:
        """Takes the evaluation that waits for longest: status Processing, a new fence, a lease. None: none waits.

        Args:
            actor: needs `training_run:execute`.
            worker: the worker's name.
            free: devices that it has to give; a GPU is taken rather than a CPU.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        # It is asked often, and there is seldom one.
        with self._database.reading() as session:
            if not free or not repository.has_waiting(session):
                return None
        device = next((each for each in free if each != CPU), free[0])
        attempt = None
        try:
            with self._database.transaction() as session:
                row = repository.lock_next(session, self._models.select_ids(actor))
                if row is not None:
                    attempt = _begin(session, row, worker, device)
                    # Before the commit: from then on somebody may find it open, and worked on by nobody.
                    hold_attempt(attempt.id, attempt.fence)
        except BaseException:
            if attempt is not None:
                release_attempt(attempt.id, attempt.fence)
            raise
        return attempt

    def beat(self, actor: Actor, attempt: EvaluationAttempt) -> None:
        """Renews the lease. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        self._write(attempt, urgent=True, heartbeat_at=func.now())

    def tell_progress(self, actor: Actor, attempt: EvaluationAttempt, progress: EvaluationProgress) -> None:
        """Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        self._write(attempt, progress=asdict(progress))

    def tell_log(self, actor: Actor, attempt: EvaluationAttempt, *, log: str) -> None:
        """What it has told so far. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        self._write(attempt, log=log)

    def succeed(
        self, actor: Actor, attempt: EvaluationAttempt, result: EvaluationResult, *, log: str
    ) -> None:
        """Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        done = EvaluationProgress(done=result.image_count, total=result.image_count)
        self._write(
            attempt,
            status=EvaluationStatus.SUCCESS,
            progress=asdict(done),
            ended_at=func.now(),
            log=log,
            **repository.describe_result(result),
        )

    def fail(self, actor: Actor, attempt: EvaluationAttempt, error: EvaluationError, *, log: str) -> None:
        """It ends in Error. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        self._write(
            attempt,
            status=EvaluationStatus.ERROR,
            error=asdict(error),
            ended_at=func.now(),
            log=log,
        )

    def hand_back(self, actor: Actor, attempt: EvaluationAttempt) -> None:
        """It waits again: its worker is stopped. Raises LeaseLost."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            if not repository.write_fenced(
                session, attempt.id, attempt.fence, status=EvaluationStatus.WAITING
            ):
                raise LeaseLost
            repository.notify_workers(session)

    def lose(self, actor: Actor, attempt: EvaluationAttempt, error: EvaluationError, *, log: str) -> None:
        """Something from outside ended the attempt, such as a process that was killed: try again, not for ever.

        Raises LeaseLost.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.transaction() as session:
            row = repository.lock_held(session, attempt.id, attempt.fence)
            if row is None:
                raise LeaseLost
            row.log = log
            self._try_again(row, error)
            repository.notify_workers(session)

    def list_at_work(self, actor: Actor) -> list[EvaluationAtWork]:
        """Those that occupy devices of workers."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_at_work(session)

    def list_open(self, actor: Actor) -> list[EvaluationView]:
        """Those that are at work, and behind them those that wait, the next first; the first hundred.

        Args:
            actor: needs `trained_model:view`.
        """
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_open(session, self._models.select_ids(actor), _MOST_LISTED)

    def recover_lost(self, actor: Actor) -> int:
        """Evaluations whose worker died wait again; returns how many. One that has lost too many ends in Error."""
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        with self._database.reading() as session:
            silent = repository.list_silent(session, _SILENT_S, self._lease_timeout_s)
        return sum(self._recover(each) for each in self._lost.find(silent))

    def _recover(self, silent: repository.SilentEvaluation) -> bool:
        """In a transaction of its own: one that cannot be recovered keeps no other from it."""
        try:
            with self._database.transaction() as session:
                row = repository.lock_silent(session, silent)
                if row is None:
                    return False
                _log.warning("evaluation.worker_lost", evaluation=str(row.id), worker=row.worker)
                message = (
                    f"Workers were lost {_MOST_LOST_ATTEMPTS} times while they worked on this evaluation."
                )
                hint = "Their memory may be too small for the model: look at the machine's log, then evaluate again."
                self._try_again(row, EvaluationError("lost", message, hint))
                repository.notify_workers(session)
        except SQLAlchemyError:
            _log.exception("evaluation.not_recovered", evaluation=str(silent.id))
            return False
        return True

    def _try_again(self, row: ModelEvaluation, error: EvaluationError) -> None:
        row.lost_count += 1
        if row.lost_count < _MOST_LOST_ATTEMPTS:
            row.status = EvaluationStatus.WAITING
            return
        row.status = EvaluationStatus.ERROR
        row.error = asdict(error)
        row.ended_at = func.now()

    def _write(self, attempt: EvaluationAttempt, *, urgent: bool = False, **values: Any) -> None:
        with self._database.transaction(urgent=urgent) as session:
            if not repository.write_fenced(session, attempt.id, attempt.fence, **values):
                raise LeaseLost


def _begin(session: Session, row: ModelEvaluation, worker: str, device: str) -> EvaluationAttempt:
    row.status = EvaluationStatus.PROCESSING
    row.fence += 1
    row.worker = worker
    row.device = device
    row.progress = asdict(EvaluationProgress())
    row.log = ""
    row.heartbeat_at = func.now()
    row.started_at = func.now()
    session.flush()
    return EvaluationAttempt(
        id=row.id,
        fence=row.fence,
        model_id=row.model_id,
        model_name=row.model_name,
        dataset_version_id=row.dataset_version_id,
        dataset_version_name=row.dataset_version_name,
        part=row.part,
        device=device,
    )
