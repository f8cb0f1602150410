"""The course of a training: steps, validations and checkpoints, and how it goes on in the middle of an epoch.

It knows nothing of the frameworks: what is trained is behind `Trainee`.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from raven_scan.trainer.checkpoint_writing import CheckpointWriter, Place
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.stop_request import StopRequest, StopRequested
from raven_scan.wire.events import EpochEnded


class Trainee(Protocol):
    """What is trained. It counts its own epochs and steps."""

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        ...

    @property
    def step(self) -> int:
        """Steps done in all."""
        ...

    @property
    def steps_per_epoch(self) -> int: ...

    def has_ended(self) -> bool:
        """Whether all epochs are done, or it stopped early."""
        ...

    def begin_epoch(self) -> None: ...

    def load_batches(self, position: int) -> Iterator[Any]:
        """The batches of this epoch from a position on. None is no batch."""
        ...

    def do_step(self, position: int, batch: Any) -> None: ...

    def can_stop(self) -> bool:
        """Whether a checkpoint of here would be complete."""
        ...

    def holds_gradients(self) -> bool:
        """Whether the gradients of several steps are summed up and not applied yet: a bad place for a checkpoint."""
        ...

    def end_epoch(self) -> None:
        """After its last step, before its validation: the epoch counts as completed from here on."""
        ...

    def validates_after(self, epoch: int) -> bool:
        """Whether a validation is due once so many epochs are completed."""
        ...

    def validate(self) -> None:
        """Raises StopRequested where it was asked to end meanwhile; `abandon_validation` is then called."""
        ...

    def abandon_validation(self) -> None:
        """Go back to before `end_epoch`."""
        ...

    def collect_checkpoint(self) -> dict[str, Any]:
        """What it takes to go on from here."""
        ...

    def is_best(self) -> bool:
        """Whether the validation of the last completed epoch was the best so far."""
        ...


class Course:
    """Leads a trainee through its epochs.

    Checkpoints are written at the end of every `checkpoint_interval`-th epoch and of the last one, after its
    validation; and within an epoch, and before a validation, where the writer's interval of time is over.
    """

    def __init__(
        self,
        trainee: Trainee,
        *,
        log: EventLog,
        stop: StopRequest,
        writer: CheckpointWriter,
        checkpoint_interval: int,
        position: int = 0,
    ) -> None:
        self._trainee = trainee
        self._log = log
        self._stop = stop
        self._writer = writer
        self._checkpoint_interval = checkpoint_interval
        self._position = position
        self._is_validating = False
        self._written = self._place()

    def run(self) -> None:
        """Train to the end.

        Raises:
            StopRequested: it was asked to end; there is a checkpoint of where it came to.
        """
        self._stop.begin_training()
        self._writer.start_clock()
        try:
            while not self._trainee.has_ended():
                self._go_through_epoch()
                self._stop.check()
        except StopRequested:
            if self._is_validating:
                self._trainee.abandon_validation()
            self._write_checkpoint()
            self._note_progress()
            raise
        self._stop.end_training()

    def _go_through_epoch(self) -> None:
        trainee = self._trainee
        trainee.begin_epoch()
        if self._position < trainee.steps_per_epoch:
            self._do_steps()
        validates = trainee.validates_after(trainee.epoch + 1)
        if validates and self._writer.is_due():
            self._write_checkpoint()
        if validates:
            # From here on, whoever ends it is to find the epoch as it is now: all its steps done.
            self._is_validating = True
            trainee.end_epoch()
            trainee.validate()
            self._is_validating = False
        else:
            trainee.end_epoch()
        self._position = 0
        self._note_progress()
        self._log.emit(EpochEnded(time=time.time(), epoch=trainee.epoch, step=trainee.step))
        is_due = trainee.epoch % self._checkpoint_interval == 0 or self._writer.is_due()
        if is_due or trainee.has_ended():
            self._write_checkpoint()

    def _do_steps(self) -> None:
        trainee = self._trainee
        batches = trainee.load_batches(self._position)
        load = partial(next, batches, None)
        while (batch := self._stop.wait_for(load) if trainee.can_stop() else load()) is not None:
            trainee.do_step(self._position, batch)
            self._position += 1
            self._note_progress()
            if trainee.can_stop():
                self._stop.check()
            is_last = self._position == trainee.steps_per_epoch
            if not is_last and self._writer.is_due() and not trainee.holds_gradients():
                self._write_checkpoint()
                self._log.tell_phase("training")

    def _write_checkpoint(self) -> None:
        place = self._place()
        if place == self._written:
            return
        self._log.tell_phase("checkpoint")
        trainee = self._trainee
        if self._writer.write(
            place, trainee.collect_checkpoint(), best=place.position == 0 and trainee.is_best()
        ):
            self._written = place

    def _place(self) -> Place:
        return Place(epoch=self._trainee.epoch, step=self._trainee.step, position=self._position)

    def _note_progress(self) -> None:
        self._stop.epoch = self._trainee.epoch
        self._stop.step = self._trainee.step
