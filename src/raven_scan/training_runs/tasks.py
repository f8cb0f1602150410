"""The job that executes a training run: lay out, train, evaluate a fresh copy, register."""

import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec
import psutil
import structlog

from raven_scan.access.types import WORKER
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, Layout
from raven_scan.jobs.child_process import TRAINER_MODULE, run_child
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView
from raven_scan.training_runs.errors import LeaseLost
from raven_scan.training_runs.execution import Attempt, TrainingRunExecution
from raven_scan.training_runs.failures import describe_failure
from raven_scan.training_runs.recording import DATABASE_IS_AWAY, EventRecorder
from raven_scan.training_runs.run_folder import RunFolder
from raven_scan.training_runs.types import RunProgress
from raven_scan.wire.events import Evaluated, TrainingDone
from raven_scan.wire.spec import EvaluateSpec, TrainSpec

_BEAT_INTERVAL_S = 2.0
_RETRY_S = 0.5
_TERMINATION_GRACE_S = 3.0
_LONGEST_S = 100 * 24 * 3600.0

T = TypeVar("T")
EventType = TypeVar("EventType", TrainingDone, Evaluated)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a run trains on. `weights`: None for an architecture's own starting weights."""

    layout: Layout
    version: DatasetVersionView
    base_model: TrainedModelView
    weights: Path | None


class TrainingRunJob:
    """Executes training runs in the name of one worker.

    Args:
        worker: the worker's name, shown with the attempt.
        device: `cpu` or `cuda:N`.
        trainer_module: what is run as the trainer.
    """

    def __init__(
        self,
        execution: TrainingRunExecution,
        datasets: DatasetService,
        models: TrainedModelService,
        blobs: LocalBlobStore,
        settings: Settings,
        clock: Clock,
        *,
        worker: str,
        device: str,
        trainer_module: str = TRAINER_MODULE,
    ) -> None:
        self._execution = execution
        self._datasets = datasets
        self._models = models
        self._blobs = blobs
        self._settings = settings
        self._clock = clock
        self._worker = worker
        self._device = device
        self._trainer_module = trainer_module

    def __call__(self, stop: threading.Event, run_id: str) -> None:
        """Executes the run, unless it does not wait any more. Ends soon after `stop` is set."""
        attempt = self._execution.begin_attempt(
            WORKER, UUID(run_id), worker=self._worker, device=self._device
        )
        if attempt is None:
            return
        log = _log.bind(run=attempt.run_name, attempt=attempt.fence)
        log.info("training_run.attempt_began", worker=self._worker)
        folder = RunFolder(self._settings, attempt.run_id)
        try:
            with self._keep_lease(attempt) as lease_lost:
                self._try(attempt, folder, stop, lease_lost)
        except LeaseLost:
            log.warning("training_run.lease_lost")
        finally:
            # Only what is this attempt's own: another one may be at work beside it.
            shutil.rmtree(_work_folder(folder, attempt), ignore_errors=True)
            with suppress(OSError):
                folder.work.rmdir()

    def _try(
        self, attempt: Attempt, folder: RunFolder, stop: threading.Event, lease_lost: threading.Event
    ) -> None:
        try:
            self._execute(attempt, folder, stop, lease_lost)
        except LeaseLost:
            raise
        except Exception as error:
            if lease_lost.is_set():
                raise LeaseLost from error
            if stop.is_set():
                reason = f"The worker {self._worker} was stopped."
                folder.write_log(self._clock.now(), f"{reason} The run waits for the next one.")
                self._persist(partial(self._execution.hand_back, WORKER, attempt, reason), lease_lost)
                return
            if not isinstance(error, RavenError):
                _log.exception("training_run.failed_inside", run=attempt.run_name)
            failure = describe_failure(error)
            folder.write_log(self._clock.now(), f"{failure.code}: {failure.message} {failure.hint}")
            failure.log_tail.extend(folder.read_log_tail(20))
            self._persist(partial(self._execution.fail, WORKER, attempt, failure), lease_lost)

    def _execute(
        self, attempt: Attempt, folder: RunFolder, stop: threading.Event, lease_lost: threading.Event
    ) -> None:
        folder.create()
        work = _work_folder(folder, attempt)
        _remove_earlier_attempts(folder, attempt)
        work.mkdir(parents=True, mode=0o700)
        log = partial(self._log_line, folder)
        log(f"Attempt {attempt.fence} on {self._worker}, device {self._device}.")
        recorder = EventRecorder(
            partial(self._execution.record, WORKER, attempt),
            run_folder=folder.path,
            work_folder=work,
            warnings=attempt.warnings,
            progress=RunProgress(
                phase="layout",
                epochs=attempt.parameters.epochs,
                epoch=attempt.checkpoint.epoch if attempt.checkpoint else 0,
                step=attempt.checkpoint.step if attempt.checkpoint else 0,
            ),
        )

        def is_cancelled() -> bool:
            recorder.flush_if_due()
            return stop.is_set() or lease_lost.is_set()

        def run(command: str, spec: msgspec.Struct, expected: type[EventType]) -> EventType:
            try:
                return run_child(
                    command,
                    spec,
                    expected=expected,
                    noun="training_run",
                    folder=work,
                    log_path=folder.log_path,
                    timeout_s=_LONGEST_S,
                    threads=_count_threads(),
                    on_event=recorder.add,
                    is_cancelled=is_cancelled,
                    grace_s=_TERMINATION_GRACE_S,
                    module=self._trainer_module,
                )
            finally:
                # However it ended, nothing that it told is lost.
                self._persist(recorder.flush, lease_lost)

        inputs = self._persist(partial(self._prepare_inputs, attempt, work), lease_lost)
        layout, version, base_model = inputs.layout, inputs.version, inputs.base_model
        if attempt.checkpoint is not None:
            log(f"Going on from the checkpoint of epoch {attempt.checkpoint.epoch}.")
        done = run(
            "train",
            TrainSpec(
                run_id=str(attempt.run_id),
                attempt=attempt.fence,
                architecture=attempt.architecture,
                classes=list(version.classes),
                parameters=attempt.parameters.model_dump(mode="json"),
                train=layout.train,
                valid=layout.valid,
                test=layout.test,
                weights=inputs.weights,
                weights_classes=base_model.classes if inputs.weights else None,
                resume_from=attempt.checkpoint.path if attempt.checkpoint else None,
                work_folder=work,
                events=work / "train.events.jsonl",
                device=self._device,
                threads=_count_threads(),
            ),
            TrainingDone,
        )
        if recorder.configuration is None:
            raise RuntimeError("the trainer ended without telling its configuration")
        log("Evaluating a fresh copy of the best weights on the test part.")
        evaluated = run(
            "evaluate",
            EvaluateSpec(
                architecture=attempt.architecture,
                classes=list(version.classes),
                configuration=recorder.configuration,
                weights=work / done.weights,
                part=layout.test,
                predictions=work / "predictions.json",
                events=work / "evaluate.events.jsonl",
                device=self._device,
                threads=_count_threads(),
                batch_size=min(8, attempt.parameters.batch_size),
            ),
            Evaluated,
        )
        model = NewTrainedModel(
            name=attempt.run_name,
            architecture=attempt.architecture,
            classes=list(version.classes),
            starting_weights=base_model.starting_weights,
            weights_digest=self._blobs.put_file(work / done.weights),
            configuration_digest=self._blobs.put_file(recorder.configuration),
            parameter_count=recorder.parameter_count or 0,
            valid=Figures.collect(done.figures),
            test=Figures.collect(
                evaluated.figures,
                by_class=evaluated.by_class,
                image_count=evaluated.image_count,
                box_count=evaluated.box_count,
            ),
            leak_allowed=version.leaked_image_count > 0,
            base_model_id=attempt.base_model_id,
            dataset_version_id=attempt.dataset_version_id,
            training_run_id=attempt.run_id,
            parameters=attempt.parameters.model_dump(mode="json"),
            environment=recorder.versions,
        )
        log(f"Success: test {_format_figures(evaluated.figures)}.")
        self._persist(partial(self._execution.succeed, WORKER, attempt, model, recorder.progress), lease_lost)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)

    def _prepare_inputs(self, attempt: Attempt, work: Path) -> "_Inputs":
        return _Inputs(
            layout=self._datasets.lay_out(WORKER, attempt.dataset_version_id, work / "data"),
            version=self._datasets.get_version(WORKER, str(attempt.dataset_version_id)),
            base_model=self._models.get_model(WORKER, attempt.base_model_id),
            weights=self._models.open_weights(WORKER, attempt.base_model_id),
        )

    def _log_line(self, folder: RunFolder, line: str) -> None:
        folder.write_log(self._clock.now(), line)

    @contextmanager
    def _keep_lease(self, attempt: Attempt) -> Generator[threading.Event]:
        """Renews the lease from a thread; the event tells that it is lost."""
        lost = threading.Event()
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(_BEAT_INTERVAL_S):
                try:
                    self._execution.beat(WORKER, attempt)
                except LeaseLost:
                    lost.set()
                    return
                except Exception as error:  # noqa: BLE001 - whatever it is, the next beat tries again
                    _log.warning("training_run.heartbeat_failed", error=type(error).__name__)

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            ended.set()
            thread.join()

    def _persist(self, write: Callable[[], T], lease_lost: threading.Event) -> T:
        """Does it again and again while the database is away: hours of work hang on it."""
        while True:
            try:
                return write()
            except DATABASE_IS_AWAY as error:
                _log.warning("training_run.database_away", error=str(error.orig))
            if lease_lost.wait(_RETRY_S):
                raise LeaseLost


def _work_folder(folder: RunFolder, attempt: Attempt) -> Path:
    return folder.work / f"attempt-{attempt.fence}"


def _remove_earlier_attempts(folder: RunFolder, attempt: Attempt) -> None:
    """What attempts left whose worker was killed; their trainers died with them."""
    for left in folder.work.glob("attempt-*"):
        if left != _work_folder(folder, attempt):
            shutil.rmtree(left, ignore_errors=True)


def _count_threads() -> int:
    return psutil.cpu_count(logical=False) or 1


def _format_figures(figures: dict[str, float | None]) -> str:
    return ", ".join(
        f"{name} {value:.3f}" for name in ("map", "map50") if (value := figures.get(name)) is not None
    )
