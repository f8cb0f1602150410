"""Turns the trainer's events into progress, metrics and kept checkpoints, written in batches."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from raven_scan.training_runs.execution import Checkpoint
from raven_scan.training_runs.types import Figures, MetricPoint, RunProgress, clean_text
from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    Configured,
    EpochEnded,
    Message,
    Phase,
    Started,
    Step,
    TrainingDone,
    Validated,
)

CHECKPOINTS_KEPT = 2
"""The last so many; each holds the best weights so far, so that one is enough to go on from."""

_WRITE_INTERVAL_S = 0.5

DATABASE_IS_AWAY = (OperationalError, InterfaceError)
"""What SQLAlchemy raises while PostgreSQL is restarted; the work goes on and is written down afterwards."""

_log = structlog.get_logger(__name__)


class EventRecorder:
    """Collects what the events of one attempt say, and hands it on a few times a second.

    Args:
        write: `TrainingRunExecution.record` for this attempt.
        run_folder: where checkpoints are kept.
        warnings: what earlier attempts have told already.
        work_folder: what paths in events are relative to.
        progress: where the run stands now.
    """

    def __init__(
        self,
        write: Callable[..., None],
        *,
        run_folder: Path,
        work_folder: Path,
        progress: RunProgress,
        warnings: list[str],
    ) -> None:
        self._write = write
        self._checkpoints_folder = run_folder / "checkpoints"
        self._work_folder = work_folder
        self._points: list[MetricPoint] = []
        self._warnings: list[str] = []
        self._told_warnings = set(warnings)
        self._best: Figures | None = None
        self._checkpoint: Checkpoint | None = None
        self._written_at = 0.0
        self._changed = False
        self._first_step: tuple[int, float] | None = None
        self.progress = progress
        self.configuration: Path | None = None
        self.parameter_count: int | None = None
        self.versions: dict[str, str] = {}

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
                self.progress = replace(self.progress, epoch=event.epochs, step=event.steps, time_left_s=None)
            case Started():
                self.versions = event.versions
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
            _log.warning("training_run.database_away", error=str(error.orig))

    def flush(self) -> None:
        """Writes what has come in.

        Raises:
            LeaseLost: the run is no longer this attempt's.
            OperationalError, InterfaceError: the database is away; nothing is forgotten.
        """
        if not self._changed:
            return
        self._write(
            progress=self.progress,
            points=self._points,
            warnings=self._warnings,
            best=self._best,
            checkpoint=self._checkpoint,
        )
        if self._checkpoint is not None:
            # Only now: until it is written which one is the last, the run goes on from the one before.
            for old in sorted(self._checkpoints_folder.glob("step_*.pt"))[:-CHECKPOINTS_KEPT]:
                old.unlink(missing_ok=True)
        self._points, self._warnings, self._best, self._checkpoint = [], [], None, None
        self._changed = False

    def _add_message(self, event: Message) -> None:
        text = clean_text(event.text)
        if event.level == "warning" and text not in self._told_warnings:
            self._told_warnings.add(text)
            self._warnings.append(text)

    def _add_step(self, event: Step) -> None:
        values = {
            "learning_rate": event.learning_rate,
            "step_time_s": event.step_time_s,
            "memory_mb": event.memory_mb,
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

    def _add_figures(self, event: Validated) -> None:
        self._points += [
            MetricPoint(f"valid/{name}", event.step, event.epoch, value)
            for name, value in event.figures.items()
        ]
        self.progress = replace(self.progress, map=event.figures.get("map"), map50=event.figures.get("map50"))
        if event.best:
            self._best = {**event.figures, "epoch": float(event.epoch)}

    def _keep_checkpoint(self, event: CheckpointWritten) -> None:
        """Links the checkpoint into the run's folder, where it outlives the attempt."""
        self._checkpoints_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = self._checkpoints_folder / f"step_{event.step:08d}.pt"
        _link(self._work_folder / event.path, kept)
        self._checkpoint = Checkpoint(path=kept, epoch=event.epoch, step=event.step)


def _link(source: Path, destination: Path) -> None:
    """A second name for the same file, put in place of what was there in one step."""
    temporary = destination.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    os.link(source, temporary)
    temporary.replace(destination)
