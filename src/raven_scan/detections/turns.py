"""Those who want the same thing have it one after another, in the order in which they came."""

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager


class LineFull(Exception):  # noqa: N818 - it names the finding
    """So many wait already that nobody else may."""


class NoTurn(Exception):  # noqa: N818 - it names the finding
    """The turn did not come in time."""


class Turns:
    """Args:
    most_waiting: how many may wait, beside the one whose turn it is.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._line: deque[object] = deque()
        self._moved = threading.Condition()

    @property
    def length(self) -> int:
        """How many have it, or wait."""
        return len(self._line)

    @contextmanager
    def take(self, deadline: float) -> Generator[None]:
        """Waits for its turn, and has it while the context lasts.

        Args:
            deadline: until when it waits, by the monotonic clock.

        Raises:
            LineFull: there is no place in the line.
            NoTurn: it came to the deadline first.
        """
        ticket = object()
        with self._moved:
            if len(self._line) > self._most_waiting:
                raise LineFull
            self._line.append(ticket)
            if not self._moved.wait_for(lambda: self._line[0] is ticket, deadline - time.monotonic()):
                self._line.remove(ticket)
                raise NoTurn
        try:
            yield
        finally:
            with self._moved:
                self._line.popleft()
                self._moved.notify_all()
