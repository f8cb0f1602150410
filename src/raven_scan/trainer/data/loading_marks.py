"""Which image each loader process is at, so that it can be named when one of them dies."""

import mmap
from typing import Any

from torch.utils.data import get_worker_info

_MOST_PROCESSES = 128
_NUMBER_BYTES = 8
_NOTHING = 0


class LoadingMarks:
    """A number for each loader process, in memory that it shares with the process that forked it."""

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, _MOST_PROCESSES * _NUMBER_BYTES)).cast("q")

    def set(self, index: int) -> None:
        """This process is at a sample."""
        self._write(index + 1)

    def clear(self) -> None:
        """This process is done with it."""
        self._write(_NOTHING)

    def list_indices(self) -> list[int]:
        """Samples that processes are at, or were at when they ended."""
        return sorted({number - 1 for number in self._numbers if number != _NOTHING})

    def _write(self, number: int) -> None:
        worker = get_worker_info()
        place = 0 if worker is None else worker.id
        if place < _MOST_PROCESSES:
            self._numbers[place] = number

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in a process that was not forked shares nothing.
        return LoadingMarks, ()
