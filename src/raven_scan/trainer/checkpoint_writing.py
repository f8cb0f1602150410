"""When the run's checkpoints are written, and what is told of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raven_scan.trainer.checkpoint_files import (
    FOLDER,
    UnreadableCheckpointError,
    identify_run,
    name_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.wire.events import CheckpointWritten
from raven_scan.wire.spec import TrainSpec


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run is.

    Attributes:
        epoch: epochs completed, validation included.
        step: steps done in all.
        position: steps done of the epoch that was begun; all of an epoch's where its validation is due.
    """

    epoch: int
    step: int
    position: int


class CheckpointWriter:
    """Writes a run's checkpoints into its work folder, and keeps the last two.

    One that cannot be written, as on a full disk, does not end the run: the next is tried when it is due. Where that
    fails too, the run ends.
    """

    def __init__(
        self,
        spec: TrainSpec,
        log: EventLog,
        *,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identify_run(spec)
        self._work_folder = spec.work_folder
        self._log = log
        self._interval_s = interval_s
        self._clock = clock
        self._tried_at = clock()
        self._failed = False

    def start_clock(self) -> None:
        """The interval begins here."""
        self._tried_at = self._clock()

    def is_due(self) -> bool:
        """Whether the last one was tried as long ago as the interval says."""
        return self._clock() - self._tried_at >= self._interval_s

    def write(self, place: Place, content: dict[str, Any], *, best: bool) -> bool:
        """Write a checkpoint and tell of it; where that fails for the first time, tell a warning.

        Args:
            place: goes into the file.
            content: what the run needs to go on, beside its place.
            best: told with it.

        Returns:
            Whether it was written.

        Raises:
            OSError: the second time in a row that the disk does not take it.
            TrainerError: `crashed.checkpoint`, the second time in a row that it is damaged when read back.
        """
        path = self._work_folder / FOLDER / name_checkpoint(place.step, place.epoch)
        whole = {**content, "epoch": place.epoch, "step": place.step, "position": place.position}
        try:
            write_checkpoint(path, whole, self._identity)
        except (OSError, UnreadableCheckpointError) as error:
            if self._failed:
                raise _explain(error, path) from error
            self._failed = True
            self._log.tell(
                f"The checkpoint of step {place.step} could not be written ({error}); it is tried once more.",
                level="warning",
                code="checkpoint_not_written",
            )
            return False
        finally:
            self._tried_at = self._clock()
        self._failed = False
        self._log.emit(
            CheckpointWritten(
                time=time.time(),
                path=str(path.relative_to(self._work_folder)),
                epoch=place.epoch,
                step=place.step,
                position=place.position,
                best=best,
            )
        )
        remove_old_checkpoints(path.parent)
        return True


class SilentWriter(CheckpointWriter):
    """Of a process that leaves the writing to another."""

    def is_due(self) -> bool:
        return False

    def write(self, place: Place, content: dict[str, Any], *, best: bool) -> bool:
        del place, content, best
        return True


def _explain(error: Exception, path: Path) -> Exception:
    if isinstance(error, OSError):
        return error
    return TrainerError(
        "crashed.checkpoint",
        f"Checkpoints are damaged on their way to the disk: {path.name} was read back as something else.",
        hint="Check the disk of the work folder, and the machine's memory, before the run goes on.",
        detail=str(error),
    )
