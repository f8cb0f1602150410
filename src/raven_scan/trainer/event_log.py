"""The trainer's end of the events file."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from raven_scan.trainer.failures import Failure
from raven_scan.wire.events import (
    AnyEvent,
    DryRunDone,
    Evaluated,
    Failed,
    Message,
    Phase,
    Stopped,
    TrainingDone,
    encode_event,
)

_ENDS = (TrainingDone, DryRunDone, Evaluated, Stopped, Failed)
"""After one of these nobody listens any more."""


class EventLog:
    """Appends events to a file, each with a single write, so that a reader sees whole lines only.

    Several threads may tell events.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        # A handler of a signal may tell something in the middle of an event of the same thread.
        self._lock = threading.RLock()
        self._last_words: Callable[[], None] | None = None
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _ends_with_newline(path):
            # An earlier process was killed within a write: its half line must not swallow our first one.
            os.write(self._descriptor, b"\n")

    def emit(self, event: AnyEvent) -> None:
        """Raises OSError where the disk does not take the whole line; nothing of it is then left."""
        if isinstance(event, _ENDS) and self._last_words is not None:
            tell, self._last_words = self._last_words, None
            tell()
        line = encode_event(event)
        with self._lock:
            written = os.write(self._descriptor, line)
            if written < len(line):
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def before_end(self, tell: Callable[[], None]) -> None:
        """Have something told just before the event that is the last one to be listened to."""
        self._last_words = tell

    def tell_phase(self, phase: str) -> None:
        self.emit(Phase(time=time.time(), phase=phase))

    def tell(self, text: str, *, level: str = "info", code: str = "") -> None:
        """A line for the run's log."""
        self.emit(Message(time=time.time(), level=level, text=text, code=code))

    def tell_failure(self, failure: Failure) -> None:
        self.emit(
            Failed(
                time=time.time(),
                code=failure.code,
                message=failure.message,
                hint=failure.hint,
                detail=failure.detail,
                evidence=failure.evidence,
            )
        )

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
