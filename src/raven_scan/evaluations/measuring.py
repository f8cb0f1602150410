"""One attempt at an evaluation: lay the part out, have a fresh process predict and measure, store what came out."""

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from raven_scan.access.types import WORKER
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import Part
from raven_scan.evaluations.execution import EvaluationExecution
from raven_scan.evaluations.failures import describe_failure, is_transient
from raven_scan.evaluations.types import EvaluationAttempt, EvaluationProgress, EvaluationResult
from raven_scan.figures.report import decode_report
from raven_scan.jobs.child_environment import LEASH_TIMEOUT_VARIABLE, LEASH_VARIABLE
from raven_scan.jobs.child_process import run_child
from raven_scan.jobs.lease import Lease, LeaseLost, get_leash_timeout_s
from raven_scan.jobs.patience import STORAGE_IS_AWAY, Patience
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.masking import TextMask
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.wire.events import AnyEvent, Evaluated, Phase
from raven_scan.wire.events import EvaluationProgress as ImagesDone
from raven_scan.wire.spec import EvaluateSpec

_NOUN = "evaluations"
_BATCH_SIZE = 8
_SEED = 0
_LONGEST_S = 7 * 24 * 3600.0
_GRACE_S = 3.0
_TELLING_INTERVAL_S = 1.0
_LOG_INTERVAL_S = 2.0
_SLOW_PHASE_FACTOR = 3.0
"""Building a model and reckoning figures may be silent for so much longer than a trainer otherwise may."""
_KEPT_LOG_BYTES = 64 * 1024
_TAIL_LINES = 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationTools:
    """What every evaluation of a worker works with.

    Attributes:
        worker: the worker's name.
        threads: of a process on the CPU.
        trainer_module: what is run as the trainer.
    """

    execution: EvaluationExecution
    datasets: DatasetService
    models: TrainedModelService
    blobs: BlobStore
    settings: Settings
    clock: Clock
    worker: str
    threads: int
    trainer_module: str


class Measuring:
    """One attempt on its way.

    Args:
        folder: empty, for this attempt alone.
        leash: the file that tells the child that its worker lives.
    """

    def __init__(
        self,
        tools: EvaluationTools,
        attempt: EvaluationAttempt,
        folder: Path,
        leash: Path,
        lease: Lease,
        stop: threading.Event,
    ) -> None:
        self._tools = tools
        self._attempt = attempt
        self._folder = folder
        self._leash = leash
        self._lease = lease
        self._stop = stop
        self._output = folder / "output.log"
        self._report = folder / "report.json"
        self._matches = folder / "matches.safetensors"
        self._patience = Patience(lease.is_lost, stop.is_set)
        self._mask = TextMask(tools.settings.list_secrets())
        self._progress = EvaluationProgress(phase="layout")
        self._told: tuple[EvaluationProgress, float] | None = None
        self._told_log_bytes = 0
        self._told_log_at = -_LOG_INTERVAL_S

    def run(self) -> None:
        """To the end that the attempt has earned. Raises LeaseLost."""
        try:
            self._measure()
        except LeaseLost:
            raise
        except Exception as error:
            if self._lease.is_lost.is_set():
                raise LeaseLost from error
            self._end(error)

    def _measure(self) -> None:
        self._tell_progress(force=True)
        spec = self._patience.do(self._prepare)
        evaluated = run_child(
            "evaluate",
            spec,
            expected=Evaluated,
            noun=_NOUN,
            folder=self._folder,
            log_path=self._output,
            timeout_s=_LONGEST_S,
            threads=self._tools.threads,
            on_event=self._take_event,
            find_stop=self._find_stop,
            find_silence_limit_s=self._find_silence_limit_s,
            extra_env={
                LEASH_VARIABLE: str(self._leash),
                LEASH_TIMEOUT_VARIABLE: f"{get_leash_timeout_s(self._tools.settings.lease_timeout_s):.2f}",
            },
            grace_s=_GRACE_S,
            module=self._tools.trainer_module,
        )
        self._progress = replace(self._progress, phase="storing")
        self._tell_progress(force=True)
        result = self._patience.do(
            partial(store_result, self._tools.blobs, evaluated, report=self._report, matches=self._matches)
        )
        self._patience.do(
            partial(self._tools.execution.succeed, WORKER, self._attempt, result, log=self._read_log())
        )

    def _prepare(self) -> EvaluateSpec:
        attempt, models = self._attempt, self._tools.models
        part = self._tools.datasets.lay_out_part(
            WORKER, attempt.dataset_version_id, Part(attempt.part), self._folder / "data"
        )
        model = models.get_model(WORKER, attempt.model_id)
        weights = models.open_weights(WORKER, attempt.model_id)
        if weights is None:
            raise RuntimeError("a model without weights was asked to be evaluated")
        self._progress = EvaluationProgress("build", 0, part.image_count)
        return EvaluateSpec(
            architecture=model.architecture,
            classes=model.classes,
            configuration=models.open_configuration(WORKER, attempt.model_id),
            weights=weights,
            part=part,
            predictions=self._folder / "predictions.json",
            report=self._report,
            matches=self._matches,
            events=self._folder / "events.jsonl",
            device=attempt.device,
            threads=self._tools.threads,
            batch_size=_BATCH_SIZE,
            seed=_SEED,
        )

    def _take_event(self, event: AnyEvent) -> None:
        if isinstance(event, Phase):
            self._progress = replace(self._progress, phase=event.phase)
            self._tell_progress(force=True)
        elif isinstance(event, ImagesDone):
            self._progress = replace(self._progress, done=event.done, total=event.total)

    def _tell_progress(self, *, force: bool = False) -> None:
        """Not each image: progress is for people."""
        now = time.monotonic()
        if self._told is not None:
            told, at = self._told
            if told == self._progress or (not force and now - at < _TELLING_INTERVAL_S):
                return
        self._told = (self._progress, now)
        self._patience.do(partial(self._tools.execution.tell_progress, WORKER, self._attempt, self._progress))

    def _tell_log(self) -> None:
        """What is new on the log; not each line, as all of its last part is written again."""
        now = time.monotonic()
        size_bytes = self._output.stat().st_size if self._output.exists() else 0
        if size_bytes == self._told_log_bytes or now - self._told_log_at < _LOG_INTERVAL_S:
            return
        self._told_log_bytes, self._told_log_at = size_bytes, now
        self._patience.do(
            partial(self._tools.execution.tell_log, WORKER, self._attempt, log=self._read_log())
        )

    def _find_stop(self) -> float | None:
        """How long the child has to end, where it must."""
        if self._lease.is_lost.is_set() or self._stop.is_set():
            return _GRACE_S
        self._tell_progress()
        self._tell_log()
        return None

    def _find_silence_limit_s(self) -> float:
        return self._tools.settings.hang_timeout_s * _SLOW_PHASE_FACTOR

    def _end(self, error: Exception) -> None:
        execution, attempt = self._tools.execution, self._attempt
        is_interrupted = isinstance(error, RavenError) and (
            error.code.endswith(".cancelled") or error.code == STORAGE_IS_AWAY
        )
        if is_interrupted and self._stop.is_set():
            self._patience.do(partial(execution.hand_back, WORKER, attempt))
            return
        if not isinstance(error, RavenError):
            _log.exception("evaluation.failed_inside", evaluation=str(attempt.id))
        log = self._read_log()
        failure = describe_failure(error, log_tail=log.splitlines()[-_TAIL_LINES:])
        failure = replace(failure, message=self._mask(failure.message), hint=self._mask(failure.hint))
        end = execution.lose if is_transient(error) else execution.fail
        self._patience.do(partial(end, WORKER, attempt, failure, log=log))

    def _read_log(self) -> str:
        """The last part of what the child printed, without secrets."""
        try:
            content = self._output.read_bytes()[-_KEPT_LOG_BYTES:]
        except FileNotFoundError:
            return ""
        # PostgreSQL's text takes no NUL.
        return self._mask(content.decode(errors="replace")).replace("\0", "")


def store_result(blobs: BlobStore, evaluated: Evaluated, *, report: Path, matches: Path) -> EvaluationResult:
    """Puts report and matches into the store, and tells what an evaluation's row needs of them.

    Raises:
        OSError, msgspec.MsgspecError: the trainer did not write what it told.
    """
    told = decode_report(report.read_bytes())
    return EvaluationResult(
        report_digest=blobs.put_file(report),
        matches_digest=blobs.put_file(matches),
        figures=told.figures,
        image_count=told.counts.images,
        box_count=told.counts.boxes,
        images_per_s=evaluated.images_per_s,
    )
