"""What SIGTERM asks of the trainer: to end soon, and well.

While it trains, the step that is being done is finished and a checkpoint is written; at any other time there is
nothing to keep, and the process ends at once.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from raven_scan.trainer.event_log import EventLog
from raven_scan.wire.events import Stopped

Result = TypeVar("Result")


class StopRequested(BaseException):
    """The trainer was asked to end, and is at a place where it can. No `except Exception` is to take it."""


class StopRequest:
    """Whether the process was asked to end.

    Attributes:
        requested: set once, by the signal.
        epoch, step: how far the run is, for the event that tells of the end.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._keeps_progress = False
        self._interruptible = False
        self._ask: Callable[[], bool] | None = None
        self.requested = False
        self.epoch = 0
        self.step = 0

    def listen(self, number: signal.Signals) -> None:
        """Take the signal from here on. To be called from the main thread."""
        signal.signal(number, self._receive)

    def forward_to(self, ask: Callable[[], bool]) -> None:
        """Leave it to others: `ask` passes the request on, or says that nobody took it."""
        self._ask = ask

    def begin_training(self) -> None:
        """From here on there is progress to keep: the loop of the training asks `check` and `wait_for`."""
        self._keeps_progress = True

    def end_training(self) -> None:
        """From here on the process ends at once again, as it does where it was asked before."""
        self._keeps_progress = False
        if self.requested:
            self._end_now()

    def check(self) -> None:
        """Raises StopRequested where the process was asked to end."""
        if self.requested:
            raise StopRequested

    def wait_for(self, get: Callable[[], Result]) -> Result:
        """Call `get`, which may take long and may be given up in the middle, as waiting for images may.

        Raises:
            StopRequested: the process was asked to end, before or meanwhile.
        """
        self._interruptible = True
        try:
            self.check()
            return get()
        finally:
            self._interruptible = False

    def tell(self) -> None:
        self._log.emit(Stopped(time=time.time(), epoch=self.epoch, step=self.step))

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if self._ask is not None and self._ask():
            return
        if not self._keeps_progress:
            self._end_now()
        if self._interruptible:
            self._interruptible = False
            raise StopRequested

    def _end_now(self) -> None:
        self.tell()
        sys.stderr.flush()
        os._exit(0)
