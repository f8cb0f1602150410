"""What a run's log gets: the platform's own lines, and the output of its trainer, whole lines, secrets masked."""

import ctypes
import os
import re
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from raven_scan.kernel.masking import TextMask

_LONGEST_LINE_BYTES = 64 << 10
_MOST_AT_ONCE_BYTES = 4 << 20
_LARGEST_BACKLOG_BYTES = 16 << 20
"""A trainer that prints faster than its output is taken in is not waited for: what is beyond this is left out."""
_MOST_PENDING_BYTES = 8 << 20
_LINES_REMEMBERED = 50
_KEPT_ON_DISK_BYTES = 1 << 20
"""Errors quote the end of the output file."""
_FREED_AT_ONCE_BYTES = 1 << 20
_BLOCK_BYTES = 4096
_PUNCH_HOLE_AND_KEEP_SIZE = 0x03

_NOISE = re.compile(
    r"^.*(?:Could not import OneDL\.|is duplicate\. It is skipped since bypass_duplicate=).*(?:\n|$)",
    re.MULTILINE,
)
_NOISE_MARKS = ("import OneDL", "bypass_duplicate=")
"""What MMDetection says in every process, of data sets that nobody uses and of parameters that two layers share."""


def format_line(now: datetime, line: str) -> bytes:
    """A line of the platform's own."""
    return f"{now:%Y-%m-%d %H:%M:%S} - platform - {line}\n".encode()


class RunLogCollector:
    """Gathers what is new since the last time; what was taken in leaves the disk.

    Args:
        output: the file that the trainer's output goes to; may be missing.
    """

    def __init__(self, output: Path, *, secrets: Iterable[SecretStr]) -> None:
        self._output = output
        self._mask = TextMask(secrets)
        self._offset = 0
        self._freed_bytes = 0
        self._pending = bytearray()
        self._tail: deque[str] = deque(maxlen=_LINES_REMEMBERED)
        self.position = 0

    def tell(self, now: datetime, line: str) -> None:
        """A line of the platform's own, after what the trainer has said so far."""
        self.collect(is_final=True)
        self._add(format_line(now, line))

    def collect(self, *, is_final: bool = False) -> None:
        """Takes in whole lines of the output; a last one without its end too, where it is final."""
        if len(self._pending) > _MOST_PENDING_BYTES and not is_final:
            return  # the database is away
        try:
            with self._output.open("rb") as file:
                self._skip_backlog(file.seek(0, os.SEEK_END))
                file.seek(self._offset)
                while self._take(file.read(_MOST_AT_ONCE_BYTES), is_final=is_final) and is_final:
                    file.seek(self._offset)
        except FileNotFoundError:
            return
        self._free_disk()

    @property
    def pending(self) -> bytes:
        """What is to be written, from byte `position` of all that this collector gathers, until `forget`."""
        return bytes(self._pending)

    def forget(self, size_bytes: int) -> None:
        """So many bytes of what was pending are written."""
        del self._pending[:size_bytes]
        self.position += size_bytes

    def list_last_lines(self, count: int) -> list[str]:
        return list(self._tail)[-count:]

    def _take(self, content: bytes, *, is_final: bool) -> bool:
        """Tells whether there may be more."""
        has_more = len(content) == _MOST_AT_ONCE_BYTES
        end = content.rfind(b"\n") + 1
        if (is_final and not has_more) or len(content) - end > _LONGEST_LINE_BYTES:
            end = len(content)
        self._offset += end
        if end:
            self._add(content[:end])
        return has_more

    def _add(self, content: bytes) -> None:
        text = self._mask(content.decode(errors="replace"))
        if any(mark in text for mark in _NOISE_MARKS):
            text = _NOISE.sub("", text)
        self._tail.extend(text.splitlines())
        self._pending += text.encode()

    def _skip_backlog(self, size_bytes: int) -> None:
        left_out = size_bytes - self._offset - _LARGEST_BACKLOG_BYTES
        if left_out > 0:
            left_out += _LARGEST_BACKLOG_BYTES - _MOST_AT_ONCE_BYTES
            self._offset += left_out
            self._add(
                f"[… {left_out} bytes were left out here: they came faster than they are kept …]\n".encode()
            )

    def _free_disk(self) -> None:
        """The file keeps its length, for whoever writes to it, but what was taken in takes no room any more."""
        until = (self._offset - _KEPT_ON_DISK_BYTES) // _BLOCK_BYTES * _BLOCK_BYTES
        if until - self._freed_bytes < _FREED_AT_ONCE_BYTES:
            return
        # A file system that cannot do it keeps it all until the attempt's end.
        with suppress(OSError, AttributeError), self._output.open("r+b") as file:
            ctypes.CDLL(None).fallocate(
                file.fileno(),
                _PUNCH_HOLE_AND_KEEP_SIZE,
                ctypes.c_longlong(self._freed_bytes),
                ctypes.c_longlong(until - self._freed_bytes),
            )
        self._freed_bytes = until
