"""Turns what the trainer tells into progress, metrics, log and kept checkpoints, written in batches."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from raven_scan.jobs.machine_load import LoadMeter
from raven_scan.jobs.patience import DATABASE_IS_AWAY
from raven_scan.kernel.errors import RavenError
from raven_scan.storage.blob_store import BlobStore
from raven_scan.training_runs.attempt import Checkpoint
from raven_scan.training_runs.energy import EnergyTally
from raven_scan.training_runs.run_log import RunLogCollector
from raven_scan.training_runs.types import CLASS_METRICS, Figures, MetricPoint, RunProgress, clean_text
from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    Configured,
    EnergyUsed,
    EpochEnded,
    Message,
    Phase,
    Started,
    Step,
    TrainingDone,
    Validated,
)

_WRITE_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 2.0
_SILENT_STEPS = 20.0
"""A trainer that tells nothing for so many steps' time hangs."""
_SLOW_PHASE_FACTOR = 3.0
"""Phases without steps, such as building a model, may be silent for so many times longer."""

_log = structlog.get_logger(__name__)


class EventRecorder:
    """Collects what one attempt says, and hands it on a few times a second.

    A checkpoint goes to the blob store in a thread of its own: a large one may take long, and to a store far away
    longer still. It is recorded once it is there.

    Args:
        write: `TrainingRunExecution.record` for this attempt.
        log: the run's log.
        load: measures how busy the attempt's devices are; it is stopped with this.
        work_folder: what paths in events are relative to.
        progress: where the run stands now.
        warnings: what earlier attempts have told already.
        energy: adds up what the attempt's processes use.
    """

    def __init__(
        self,
        write: Callable[..., None],
        *,
        blobs: BlobStore,
        log: RunLogCollector,
        load: LoadMeter,
        work_folder: Path,
        progress: RunProgress,
        warnings: list[str],
        energy: EnergyTally,
    ) -> None:
        self._write = write
        self._blobs = blobs
        self._run_log = log
        self._load = load
        self._work_folder = work_folder
        self._points: list[MetricPoint] = []
        self._warnings: list[str] = []
        self._told_warnings = set(warnings)
        self._best: Figures | None = None
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-keeper")
        self._keeping: list[tuple[CheckpointWritten, Future[tuple[str, int]]]] = []
        self._keeps_checkpoints = True
        self._checkpoint: Checkpoint | None = None
        self._written_at = 0.0
        self._log_collected_at = 0.0
        self._changed = False
        self._first_step: tuple[int, float] | None = None
        self.progress = progress
        self.configuration: Path | None = None
        self.parameter_count: int | None = None
        self.environment: dict[str, str] = {}
        self._is_environment_new = False
        self.energy = energy
        self._is_energy_new = False

    def close(self) -> None:
        self._load.stop()
        self._keeper.shutdown(wait=True, cancel_futures=True)

    def tell(self, now: datetime, line: str) -> None:
        """A line of the platform's own for the run's log."""
        self._run_log.tell(now, line)
        self._changed = True

    def list_last_lines(self, count: int) -> list[str]:
        return self._run_log.list_last_lines(count)

    def find_silence_limit_s(self, shortest_s: float) -> float:
        """How long a trainer that is well may tell nothing, from the step time that was measured."""
        if self.progress.phase != "training" or self.progress.step_time_s is None:
            return shortest_s * _SLOW_PHASE_FACTOR
        return max(shortest_s, self.progress.step_time_s * _SILENT_STEPS)

    def add(self, event: AnyEvent) -> None:
        """Takes an event in; nothing is written yet."""
        self._changed = True
        match event:
            case Phase():
                self.progress = replace(self.progress, phase=event.phase)
            case Configured():
                self.configuration = self._work_folder / event.configuration
                self.parameter_count = event.parameter_count
                self.progress = replace(
                    self.progress, epochs=event.epochs, steps=event.epochs * event.steps_per_epoch
                )
            case Step():
                self._add_step(event)
            case Validated():
                self._add_figures(event)
            case EpochEnded():
                self.progress = replace(self.progress, epoch=event.epoch, step=event.step)
            case CheckpointWritten():
                self._keep_checkpoint(event)
            case Message():
                self._add_message(event)
            case TrainingDone():
                # The weights are what counts now.
                self._keeps_checkpoints = False
                self.progress = replace(self.progress, epoch=event.epochs, step=event.steps, time_left_s=None)
            case Started() | EnergyUsed():
                self._note_process(event)
            case _:
                pass

    def flush_if_due(self) -> None:
        """Writes what has come in, a few times a second; keeps it where the database is away.

        Raises:
            LeaseLost: the run is no longer this attempt's.
        """
        now = time.monotonic()
        if now - self._written_at < _WRITE_INTERVAL_S:
            return
        self._written_at = now
        try:
            self.flush()
        except DATABASE_IS_AWAY as error:
            _log.warning("training_run.database_away", error=type(error).__name__)

    def flush(self, *, is_final: bool = False) -> None:
        """Writes what has come in; the last time, waits for checkpoints that are still on their way to the store.

        Raises:
            LeaseLost: the run is no longer this attempt's.
            OperationalError, InterfaceError: the database is away; nothing is forgotten.
        """
        now = time.monotonic()
        if is_final or now - self._log_collected_at > _LOG_INTERVAL_S:
            self._log_collected_at = now
            self._run_log.collect(is_final=is_final)
        self._collect_checkpoint(wait=is_final and self._keeps_checkpoints)
        log = self._run_log.pending
        if not (self._changed or log or self._checkpoint):
            return
        self._write(
            progress=self.progress,
            points=self._points,
            warnings=self._warnings,
            best=self._best,
            checkpoint=self._checkpoint,
            log=log,
            log_position=self._run_log.position,
            environment=self.environment if self._is_environment_new else None,
            energy=self.energy if self._is_energy_new else None,
        )
        self._run_log.forget(len(log))
        self._points, self._warnings, self._best, self._checkpoint = [], [], None, None
        self._changed = self._is_environment_new = self._is_energy_new = False

    def _collect_checkpoint(self, *, wait: bool) -> None:
        while self._keeping and (wait or self._keeping[0][1].done()):
            event, future = self._keeping.pop(0)
            try:
                digest, size_bytes = future.result()
            except (OSError, RavenError) as error:
                # The run goes on: the checkpoint before is still there, and the next one may find room.
                _log.warning("training_run.checkpoint_not_kept", step=event.step, error=str(error))
                self._warn(f"The checkpoint of step {event.step} could not be kept: {error}")
                continue
            self._checkpoint = Checkpoint(
                step=event.step,
                epoch=event.epoch,
                position=event.position,
                digest=digest,
                size_bytes=size_bytes,
            )

    def _note_process(self, event: Started | EnergyUsed) -> None:
        if isinstance(event, EnergyUsed):
            self._add_energy(event)
        elif not self.environment:  # what trains is what counts; the evaluation's process comes later
            self.environment = {**event.versions, **event.environment}
            self._is_environment_new = True

    def _add_energy(self, event: EnergyUsed) -> None:
        self.energy.take(event)
        self._is_energy_new = True
        used, step = self.energy.run, self.progress.step
        if used is not None and step:
            self._points += [
                MetricPoint("energy_wh", step, self.progress.epoch, used.energy_wh),
                MetricPoint("co2_g", step, self.progress.epoch, used.co2_g),
            ]

    def _add_message(self, event: Message) -> None:
        if event.level == "warning":
            self._warn(event.text)

    def _warn(self, text: str) -> None:
        text = clean_text(text)
        if text not in self._told_warnings:
            self._told_warnings.add(text)
            self._warnings.append(text)
            self._changed = True

    def _add_step(self, event: Step) -> None:
        values = {
            "learning_rate": event.learning_rate,
            "step_time_s": event.step_time_s,
            "memory_mb": event.memory_mb,
            **self._measure_load(),
            **{name if name == "loss" else f"loss/{name}": value for name, value in event.losses.items()},
        }
        self._points += [MetricPoint(name, event.step, event.epoch, value) for name, value in values.items()]
        now = time.monotonic()
        if self._first_step is None:
            self._first_step = (event.step, now)
        first_step, first_at = self._first_step
        time_left_s = None
        if event.step > first_step and self.progress.steps:
            # Wall time over steps: what validations and checkpoints cost is in it, spread evenly.
            time_left_s = (now - first_at) / (event.step - first_step) * (self.progress.steps - event.step)
        self.progress = replace(
            self.progress,
            epoch=event.epoch,
            step=event.step,
            loss=event.losses.get("loss"),
            learning_rate=event.learning_rate,
            step_time_s=event.step_time_s,
            memory_mb=event.memory_mb,
            time_left_s=time_left_s,
        )

    def _measure_load(self) -> dict[str, float]:
        percent = self._load.measure_percent()
        return {} if percent is None else {"device_load_percent": percent}

    def _add_figures(self, event: Validated) -> None:
        self._points += [
            MetricPoint(f"valid/{name}", event.step, event.epoch, value)
            for name, value in event.figures.items()
        ]
        self._points += [
            MetricPoint(f"{CLASS_METRICS}{clean_text(name)}", event.step, event.epoch, value)
            for name, value in event.map_by_class.items()
        ]
        self.progress = replace(self.progress, map=event.figures.get("map"), map50=event.figures.get("map50"))
        if event.best:
            self._best = {**event.figures, "epoch": float(event.epoch)}

    def _keep_checkpoint(self, event: CheckpointWritten) -> None:
        kept = self._name_kept(event)
        try:
            kept.unlink(missing_ok=True)
            kept.hardlink_to(self._work_folder / event.path)
        except OSError as error:
            self._warn(f"The checkpoint of step {event.step} could not be kept: {error.strerror}")
            return
        if self._keeping and self._keeping[-1][1].cancel():
            # One that has not begun to go to a slow store: this one is worth more.
            self._name_kept(self._keeping.pop()[0]).unlink(missing_ok=True)
        self._keeping.append((event, self._keeper.submit(self._put_into_store, kept)))

    def _name_kept(self, event: CheckpointWritten) -> Path:
        """A second name for the file, since the trainer removes its older checkpoints."""
        return (self._work_folder / event.path).with_name(f"kept-{event.step:08d}.pt")

    def _put_into_store(self, path: Path) -> tuple[str, int]:
        try:
            return self._blobs.adopt_file(path), path.stat().st_size
        finally:
            path.unlink(missing_ok=True)
