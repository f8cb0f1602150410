"""Waiting for SIGTERM or Ctrl-C, and ending in time once it came."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Self

LONGEST_STOP_S = 9.0
"""Who sends SIGTERM waits 10 s before it kills."""


class StopSignal:
    """While it is entered, SIGTERM and SIGINT ask for the end instead of ending; the second one ends at once.

    The process ends within `longest_s` of the first.

    Only for the main thread.
    """

    def __init__(self, longest_s: float = LONGEST_STOP_S) -> None:
        self._longest_s = longest_s

    def __enter__(self) -> Self:
        # A pipe, for a handler may write to it wherever the main thread is; locks could be held by it.
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._count = 0
        # Handlers run in this thread, but the kernel may give the signal to another one: the byte is what wakes `wait`.
        self._waked_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._waked_before)

    @property
    def is_asked(self) -> bool:
        """Whether a signal has asked."""
        return self._count > 0

    def wait(self) -> None:
        os.read(self._read_end, 1)

    def ask(self) -> None:
        """Asks for the end from inside, from any thread."""
        os.write(self._write_end, b"x")

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._count += 1
        if self._count > 1:
            os._exit(128 + number)
        # From the signal on, not from where it is heard: a start that hangs is to end in time too.
        end_within(self._longest_s)
        self.ask()


def end_within(longest_s: float = LONGEST_STOP_S) -> threading.Timer:
    """Ends the process after so long whatever still holds it up; everything here bears being killed."""

    def end() -> None:
        print("The end took too long and was forced.", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(0)

    timer = threading.Timer(longest_s, end)
    timer.daemon = True
    timer.start()
    return timer


def end_now(code: int) -> None:
    """Ends the process without waiting for threads that a cancelled request left at work."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
