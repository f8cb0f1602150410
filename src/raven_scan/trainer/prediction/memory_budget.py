"""How much memory may be in use at once."""

import threading
from collections.abc import Generator
from contextlib import contextmanager


class MemoryBudget:
    """Lets work of threads begin when there is room for it.

    Args:
        limit_bytes: what all of it may take together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._changed = threading.Condition()

    def admits(self, size_bytes: int) -> bool:
        """Whether there would be room for it alone."""
        return size_bytes <= self._limit_bytes

    @contextmanager
    def hold(self, size_bytes: int) -> Generator[None]:
        """Waits until there is room, and holds it. Who holds some must not ask for more.

        Raises:
            MemoryError: there never will be.
        """
        if not self.admits(size_bytes):
            raise MemoryError
        with self._changed:
            self._changed.wait_for(lambda: self._used_bytes + size_bytes <= self._limit_bytes)
            self._used_bytes += size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._used_bytes -= size_bytes
                self._changed.notify_all()
