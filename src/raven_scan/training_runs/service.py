"""The use cases of training runs."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.decisions import decide_parameters
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.service import DatasetService
from raven_scan.jobs.queue import JobQueue
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest, cut_page
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.training_runs import repository
from raven_scan.training_runs.errors import name_taken, not_schedulable, preflight_failed, run_not_found
from raven_scan.training_runs.execution import EXECUTE_TASK
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.preflight import PreflightChecks, get_starting_weights
from raven_scan.training_runs.run_folder import RunFolder
from raven_scan.training_runs.types import (
    AttemptEnd,
    LogRange,
    MetricPoint,
    NamedReference,
    Preflight,
    RunAttempt,
    RunError,
    RunProgress,
    RunStatus,
    TrainingRunView,
)


class TrainingRunService:
    """Training runs, as users work with them."""

    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        datasets: DatasetService,
        models: TrainedModelService,
        checks: PreflightChecks,
        settings: Settings,
    ) -> None:
        self._database = database
        self._queue = queue
        self._datasets = datasets
        self._models = models
        self._checks = checks
        self._settings = settings

    def create(
        self, actor: Actor, *, name: str, dataset: str, base_model: str, parameters: TrainingParameters
    ) -> TrainingRunView:
        """Stores a Draft; parameters that were left open are decided here, and kept with the run.

        Args:
            actor: needs `training_run:create`.
            name: unique among runs and models, since the model takes its run's name.
            dataset: name, name@version, or id.
            base_model: name or id.
            parameters: within their bounds; whether they go together is said by the preflight.

        Raises:
            Invalid: the name cannot be one.
            Conflict: a run or a model has the name already.
            NotFound: the dataset or the base model.
        """
        actor.require(Claim.TRAINING_RUN_CREATE)
        check_name("training_run", name)
        version = self._datasets.get_version(actor, dataset)
        model = self._models.get_model(actor, base_model)
        self._models.check_name_free(actor, name)
        decided = decide_parameters(
            get_architecture(model.architecture),
            parameters,
            starting_weights=get_starting_weights(model),
            train_image_count=version.parts["train"].image_count,
        )
        run = TrainingRun(
            id=make_id(),
            name=name,
            status=RunStatus.DRAFT,
            dataset_version_id=version.id,
            dataset_version_name=version.full_name,
            base_model_id=model.id,
            base_model_name=model.name,
            architecture=model.architecture,
            parameters=decided.model_dump(mode="json"),
            created_by=actor.name,
        )
        try:
            with self._database.transaction() as session:
                session.add(run)
                session.flush()
                session.refresh(run)
                return _make_view(run, [])
        except IntegrityError as error:
            raise name_taken(name) from error

    def check(self, actor: Actor, ref: str) -> Preflight:
        """The preflight alone: what scheduling would find. Raises NotFound."""
        actor.require(Claim.TRAINING_RUN_SCHEDULE)
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref)
        return self._check(actor, run)

    def schedule(self, actor: Actor, ref: str) -> tuple[TrainingRunView, Preflight]:
        """After a preflight without errors, in one transaction: status Waiting and the job enqueued.

        Raises:
            NotFound: there is no such run.
            Conflict: it is no Draft, or the preflight failed; its findings are in the parameters.
        """
        actor.require(Claim.TRAINING_RUN_SCHEDULE)
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref)
            _check_is_draft(run)
        preflight = self._check(actor, run)
        if not preflight.is_passed:
            raise preflight_failed(run.name, preflight.findings)
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref, lock=True)
            _check_is_draft(run)
            run.status = RunStatus.WAITING
            run.scheduled_at = func.now()
            run.warnings = [
                finding.message for finding in preflight.findings if finding.severity == "warning"
            ]
            run.job_id = self._queue.enqueue(session, EXECUTE_TASK, {"run_id": str(run.id)})
            session.flush()
            session.refresh(run)
            return _make_view(run, []), preflight

    def get_run(self, actor: Actor, ref: str) -> TrainingRunView:
        """The run of that name or id. Raises NotFound."""
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref)
            return _make_view(run, repository.list_attempts(session, [run.id])[run.id])

    def list_runs(
        self, actor: Actor, page: PageRequest, status: RunStatus | None = None
    ) -> Page[TrainingRunView]:
        """Newest first."""
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.transaction() as session:
            runs = repository.list_runs(session, page, status)
            ids = [run.id for run in runs]
            attempts = repository.list_attempts(session, ids)
            return cut_page([_make_view(run, attempts[run.id]) for run in runs], page, ids)

    def list_metrics(self, actor: Actor, ref: str, names: list[str]) -> list[MetricPoint]:
        """Metrics by name and step; all of them where no names are given. Raises NotFound."""
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref)
            return [
                MetricPoint(name=row.name, step=row.step, epoch=row.epoch, value=row.value)
                for row in repository.list_metrics(session, run.id, names)
            ]

    def read_log(self, actor: Actor, ref: str, offset: int, limit_bytes: int) -> LogRange:
        """A part of the run's log, in bytes from `offset`. Raises NotFound."""
        with self._database.transaction() as session:
            run = _get_run(session, actor, ref)
        return RunFolder(self._settings, run.id).read_log(offset, limit_bytes)

    def _check(self, actor: Actor, run: TrainingRun) -> Preflight:
        return Preflight(
            self._checks.find_all(
                actor,
                self._datasets.get_version(actor, str(run.dataset_version_id)),
                self._models.get_model(actor, run.base_model_id),
                TrainingParameters.model_validate(run.parameters),
            )
        )


def _get_run(session: Session, actor: Actor, ref: str, *, lock: bool = False) -> TrainingRun:
    actor.require(Claim.TRAINING_RUN_VIEW)
    run = repository.find_run(session, ref, lock=lock)
    if run is None:
        raise run_not_found(ref)
    return run


def _check_is_draft(run: TrainingRun) -> None:
    if run.status != RunStatus.DRAFT:
        raise not_schedulable(run.name, RunStatus(run.status))


def _make_view(run: TrainingRun, attempts: Sequence[TrainingRunAttempt]) -> TrainingRunView:
    parameters = TrainingParameters.model_validate(run.parameters)
    return TrainingRunView(
        id=run.id,
        name=run.name,
        status=RunStatus(run.status),
        dataset_version=NamedReference(run.dataset_version_id, run.dataset_version_name),
        base_model=NamedReference(run.base_model_id, run.base_model_name),
        architecture=run.architecture,
        parameters=parameters,
        progress=_make_progress(run.progress, parameters),
        error=RunError(**run.error) if run.error else None,
        warnings=list(run.warnings),
        best=run.best,
        model=NamedReference(run.model_id, run.model_name) if run.model_id and run.model_name else None,
        attempts=[
            RunAttempt(
                number=attempt.number,
                worker=attempt.worker,
                device=attempt.device,
                started_at=attempt.started_at,
                heartbeat_at=attempt.heartbeat_at,
                ended_at=attempt.ended_at,
                end=AttemptEnd(attempt.end) if attempt.end else None,
                reason=attempt.reason,
            )
            for attempt in attempts
        ],
        created_by=run.created_by,
        created_at=run.created_at,
        scheduled_at=run.scheduled_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _make_progress(stored: dict[str, Any], parameters: TrainingParameters) -> RunProgress:
    fields: dict[str, Any] = {"epochs": parameters.epochs, **stored}
    return RunProgress(**fields)
