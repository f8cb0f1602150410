"""One attempt at a training run, through its phases: lay out, train, evaluate a fresh copy, register."""

import threading
import time
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from raven_scan.access.types import WORKER
from raven_scan.datasets.types import Part
from raven_scan.evaluations.measuring import store_result
from raven_scan.evaluations.types import RunEvaluation
from raven_scan.jobs.child_environment import KEEPING_MEMORY, LEASH_TIMEOUT_VARIABLE, LEASH_VARIABLE
from raven_scan.jobs.child_process import run_child
from raven_scan.jobs.lease import Lease, LeaseLost, get_leash_timeout_s
from raven_scan.jobs.machine_load import LoadMeter
from raven_scan.jobs.memory_killer import count_memory_kills
from raven_scan.jobs.patience import STORAGE_IS_AWAY, Patience
from raven_scan.kernel.errors import RavenError, Unavailable
from raven_scan.kernel.findings import Severity
from raven_scan.kernel.masking import TextMask
from raven_scan.trained_models.types import Figures, NewTrainedModel
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.attempt_inputs import (
    AttemptInputs,
    AttemptTools,
    find_good_checkpoints,
    prepare_inputs,
)
from raven_scan.training_runs.energy import EnergyTally
from raven_scan.training_runs.estimates import estimate_run
from raven_scan.training_runs.failures import describe_failure, is_transient
from raven_scan.training_runs.recording import EventRecorder
from raven_scan.training_runs.run_folder import AttemptFolder
from raven_scan.training_runs.run_log import RunLogCollector
from raven_scan.training_runs.types import RunProgress
from raven_scan.wire.events import DryRunDone, Evaluated, TrainingDone
from raven_scan.wire.spec import EnergySpec, EvaluateSpec, TrainSpec

_GRACE_S = 3.0
"""For a trainer that is done, or whose run is not this attempt's any more."""
_CHECKPOINT_GRACE_S = 60.0
"""For a trainer that is to finish its step and write a checkpoint."""
_LONGEST_S = 100 * 24 * 3600.0
_LARGEST_EVALUATION_BATCH = 8
_REPORT, _MATCHES = "report.json", "matches.safetensors"

EventType = TypeVar("EventType", TrainingDone, Evaluated, DryRunDone)

_log = structlog.get_logger(__name__)


class AttemptWork:
    """One attempt on its way through its phases."""

    def __init__(
        self,
        tools: AttemptTools,
        attempt: Attempt,
        folder: AttemptFolder,
        lease: Lease,
        stop: threading.Event,
    ) -> None:
        self._tools = tools
        self._attempt = attempt
        self._folder = folder
        self._lease = lease
        self._stop = stop
        self._patience = Patience(lease.is_lost, lambda: stop.is_set() or lease.is_pausing.is_set())
        self._memory_kills = count_memory_kills()
        limit_s = attempt.time_limit_s
        self._ends_at = None if limit_s is None else time.monotonic() + limit_s - attempt.spent_s
        last = attempt.checkpoints[0] if attempt.checkpoints else None
        load = LoadMeter(attempt.devices)
        load.start()
        self._recorder = EventRecorder(
            partial(self._tools.execution.record, WORKER, attempt),
            blobs=self._tools.blobs,
            log=RunLogCollector(folder.output, secrets=self._tools.settings.list_secrets()),
            load=load,
            work_folder=folder.path,
            warnings=attempt.warnings,
            energy=EnergyTally(attempt.energy),
            progress=RunProgress(
                phase="layout",
                epochs=attempt.parameters.epochs,
                epoch=last.epoch if last else 0,
                step=last.step if last else 0,
            ),
        )

    def run(self) -> None:
        """To the end that the attempt has earned. Raises LeaseLost."""
        try:
            self._execute()
        except LeaseLost:
            raise
        except Exception as error:
            if self._lease.is_lost.is_set():
                raise LeaseLost from error
            self._end(error)
        finally:
            self._recorder.close()

    def _end(self, error: Exception) -> None:
        is_paused = self._lease.is_pausing.is_set()
        is_out_of_time = self._ends_at is not None and time.monotonic() > self._ends_at
        is_interruption = isinstance(error, RavenError) and (
            error.code.endswith(".cancelled") or error.code == STORAGE_IS_AWAY
        )
        if is_interruption and (self._stop.is_set() or is_paused):
            reason = f"The worker {self._tools.worker} was stopped."
            self._say_last("Paused." if is_paused else f"{reason} The run waits for the next.")
            self._patience.do(partial(self._tools.execution.hand_back, WORKER, self._attempt, reason))
            return
        if is_interruption and is_out_of_time:
            error = Unavailable(
                "training_run.time_limit",
                f"The run took longer than its limit of {self._attempt.time_limit_s} s.",
                hint="Its checkpoint is kept: `raven runs retry` gives it as much time again.",
                parameters={"evidence": {"time_limit_s": self._attempt.time_limit_s}},
            )
        if not isinstance(error, RavenError):
            _log.exception("training_run.failed_inside", run=self._attempt.run_name)
        failure = describe_failure(error, memory_kills=count_memory_kills() - self._memory_kills)
        mask = TextMask(self._tools.settings.list_secrets())
        failure = replace(failure, message=mask(failure.message), hint=mask(failure.hint))
        self._say_last(f"{failure.code}: {failure.message} {failure.hint}")
        failure.log_tail.extend(self._recorder.list_last_lines(20))
        end = self._tools.execution.lose if is_transient(failure) else self._tools.execution.fail
        self._patience.do(partial(end, WORKER, self._attempt, failure))

    def _say_last(self, line: str) -> None:
        """What cannot be written must not keep the attempt from ending."""
        try:
            self._tell(line)
            self._flush()
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - it may be the very thing that went wrong
            _log.exception("training_run.last_words_lost", run=self._attempt.run_name)

    def _execute(self) -> None:
        attempt, folder = self._attempt, self._folder
        folder.create()
        self._tell(f"Attempt {attempt.fence} on {self._tools.worker}, {', '.join(attempt.devices)}.")
        self._flush(is_final=False)
        inputs = self._patience.do(partial(prepare_inputs, self._tools, attempt, folder.path / "data"))
        self._check_stop()
        self._check_machine(inputs)
        good = (
            []
            if attempt.is_dry_run
            else self._patience.do(
                partial(find_good_checkpoints, self._tools.blobs, attempt.checkpoints, self._tell)
            )
        )
        self._check_stop()
        if not attempt.is_dry_run:
            self._go_on_from(good[0] if good else None)
        spec = TrainSpec(
            run_id=str(attempt.run_id),
            attempt=attempt.fence,
            architecture=attempt.architecture,
            classes=list(inputs.version.classes),
            parameters=attempt.parameters.model_dump(mode="json"),
            train=inputs.layout.train,
            valid=inputs.layout.valid,
            test=inputs.layout.test,
            weights=inputs.weights,
            weights_classes=inputs.base_model.classes if inputs.weights else None,
            resume_from=self._patience.do(partial(self._link_checkpoints, good)),
            work_folder=folder.path,
            events=folder.path / "train.events.jsonl",
            devices=attempt.devices,
            threads=self._tools.threads,
            energy=EnergySpec(country=self._tools.settings.country),
            cache_folder=self._tools.settings.training_cache_folder,
            cache_bytes=self._tools.settings.training_cache_bytes,
        )
        if attempt.is_dry_run:
            self._finish_dry_run(inputs, self._run_trainer("dry-run", spec, DryRunDone))
            return
        done = self._run_trainer("train", spec, TrainingDone)
        self._tell("Evaluating a fresh copy of the best weights on the test part.")
        configuration = self._recorder.configuration
        if configuration is None:
            raise RuntimeError("the trainer ended without telling its configuration")
        evaluation_began_at = self._tools.clock.now()
        evaluated = self._run_trainer(
            "evaluate",
            EvaluateSpec(
                architecture=attempt.architecture,
                classes=list(inputs.version.classes),
                configuration=configuration,
                weights=folder.path / done.weights,
                part=inputs.layout.test,
                predictions=folder.path / "predictions.json",
                report=folder.path / _REPORT,
                matches=folder.path / _MATCHES,
                seed=attempt.parameters.seed,
                events=folder.path / "evaluate.events.jsonl",
                device=attempt.devices[0],
                threads=self._tools.threads,
                batch_size=min(_LARGEST_EVALUATION_BATCH, attempt.parameters.batch_size),
                energy=spec.energy,
            ),
            Evaluated,
        )
        self._register(inputs, configuration, done, evaluated, evaluation_began_at)

    def _register(
        self,
        inputs: AttemptInputs,
        configuration: Path,
        done: TrainingDone,
        evaluated: Evaluated,
        evaluation_began_at: datetime,
    ) -> None:
        attempt = self._attempt
        model = NewTrainedModel(
            name=attempt.run_name,
            architecture=attempt.architecture,
            classes=list(inputs.version.classes),
            starting_weights=inputs.base_model.starting_weights,
            weights_digest=self._store(self._folder.path / done.weights),
            configuration_digest=self._store(configuration),
            parameter_count=self._recorder.parameter_count or 0,
            valid=Figures.collect(done.figures),
            test=Figures.collect(
                evaluated.figures,
                by_class=evaluated.by_class,
                image_count=evaluated.image_count,
                box_count=evaluated.box_count,
            ),
            leak_allowed=inputs.version.leaked_image_count > 0,
            base_model_id=attempt.base_model_id,
            dataset_version_id=attempt.dataset_version_id,
            dataset_version_name=inputs.version.full_name,
            dataset_version_digest=inputs.version.digest,
            training_run_id=attempt.run_id,
            training_run_name=attempt.run_name,
            parameters=attempt.parameters.model_dump(mode="json"),
            environment=self._recorder.environment,
        )
        evaluation = self._keep_evaluation(inputs, evaluated, evaluation_began_at)
        self._tell(f"Success: test {_format_figures(evaluated.figures)}.")
        self._flush()
        self._patience.do(
            partial(
                self._tools.execution.succeed,
                WORKER,
                attempt,
                model,
                self._recorder.progress,
                evaluation=evaluation,
            )
        )

    def _keep_evaluation(
        self, inputs: AttemptInputs, evaluated: Evaluated, began_at: datetime
    ) -> RunEvaluation:
        """The test as an evaluation like any other, so that the model can be compared and looked into."""
        report, matches = self._folder.path / _REPORT, self._folder.path / _MATCHES
        result = self._patience.do(
            partial(store_result, self._tools.blobs, evaluated, report=report, matches=matches)
        )
        return RunEvaluation(
            dataset_version_id=self._attempt.dataset_version_id,
            dataset_version_name=inputs.version.full_name,
            part=Part.TEST,
            training_run_id=self._attempt.run_id,
            worker=self._tools.worker,
            device=self._attempt.devices[0],
            started_at=began_at,
            result=result,
        )

    def _store(self, path: Path) -> str:
        return self._patience.do(partial(self._tools.blobs.put_file, path))

    def _check_stop(self) -> None:
        if self._find_stop() is not None:
            raise Unavailable("training_run.cancelled", "It was cancelled.")

    def _finish_dry_run(self, inputs: AttemptInputs, measured: DryRunDone) -> None:
        estimate = estimate_run(
            measured,
            self._attempt.parameters,
            valid_image_count=inputs.layout.valid.image_count,
            test_image_count=inputs.layout.test.image_count,
            device=", ".join(self._attempt.devices),
            mean_power=self._recorder.energy.mean_power,
        )
        self._tell(
            f"Dry run: about {estimate.time_s / 60:.1f} min and {estimate.memory_mb:.0f} MB for the whole run."
        )
        self._flush()
        self._patience.do(partial(self._tools.execution.finish_dry_run, WORKER, self._attempt, estimate))

    def _check_machine(self, inputs: AttemptInputs) -> None:
        """Days may have passed since the preflight, and this may be another machine."""
        findings = self._tools.checks.check_machine(
            inputs.base_model, self._attempt.parameters, self._attempt.devices[0]
        )
        for finding in findings:
            if finding.severity is Severity.ERROR:
                raise Unavailable(f"training_run.{finding.code}", finding.message, hint=finding.hint)
            self._tell(f"{finding.message} {finding.hint}")

    def _link_checkpoints(self, good: list[Checkpoint]) -> list[Path]:
        blobs, folder = self._tools.blobs, self._folder
        return [folder.link_checkpoint(blobs.get_path(each.digest), each.step) for each in good]

    def _go_on_from(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self._tell(f"Going on from the checkpoint of step {checkpoint.step}, epoch {checkpoint.epoch}.")
        if self._attempt.fence > 1:
            self._patience.do(partial(self._tools.execution.go_on_from, WORKER, self._attempt, checkpoint))

    def _run_trainer(self, command: str, spec: msgspec.Struct, expected: type[EventType]) -> EventType:
        try:
            return run_child(
                command,
                spec,
                expected=expected,
                noun="training_run",
                folder=self._folder.path,
                log_path=self._folder.output,
                timeout_s=_LONGEST_S,
                threads=self._tools.threads,
                on_event=self._recorder.add,
                find_stop=self._find_stop,
                find_silence_limit_s=partial(
                    self._recorder.find_silence_limit_s, self._tools.settings.hang_timeout_s
                ),
                extra_env={
                    **KEEPING_MEMORY,
                    LEASH_VARIABLE: str(self._folder.leash),
                    LEASH_TIMEOUT_VARIABLE: f"{get_leash_timeout_s(self._tools.settings.lease_timeout_s):.2f}",
                },
                grace_s=_GRACE_S,
                module=self._tools.trainer_module,
            )
        finally:
            # However it ended, nothing that it told is lost.
            self._flush()

    def _find_stop(self) -> float | None:
        """How long the trainer has to end, where it must."""
        self._recorder.flush_if_due()
        if self._lease.is_lost.is_set():
            return _GRACE_S
        if self._stop.is_set():
            return self._tools.drain_s
        is_out_of_time = self._ends_at is not None and time.monotonic() > self._ends_at
        return _CHECKPOINT_GRACE_S if is_out_of_time or self._lease.is_pausing.is_set() else None

    def _tell(self, line: str) -> None:
        self._recorder.tell(self._tools.clock.now(), line)

    def _flush(self, *, is_final: bool = True) -> None:
        self._patience.do(partial(self._recorder.flush, is_final=is_final))


def _format_figures(figures: dict[str, float | None]) -> str:
    return ", ".join(
        f"{name} {value:.3f}" for name in ("map", "map50") if (value := figures.get(name)) is not None
    )
