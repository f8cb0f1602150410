"""What a run's log gets: the platform's own lines, and the output of its trainer, whole lines, secrets masked."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from raven_scan.kernel.masking import TextMask

_LONGEST_LINE_BYTES = 64 << 10
_MOST_AT_ONCE_BYTES = 4 << 20
_LINES_REMEMBERED = 50


def format_line(now: datetime, line: str) -> bytes:
    """A line of the platform's own."""
    return f"{now:%Y-%m-%d %H:%M:%S} - platform - {line}\n".encode()


class RunLogCollector:
    """Gathers what is new since the last time.

    Args:
        output: the file that the trainer's output goes to; may be missing.
        size_bytes: of the run's log so far.
        largest_bytes: what goes beyond it is left out, with one line that says so.
    """

    def __init__(
        self, output: Path, *, secrets: Iterable[SecretStr], size_bytes: int, largest_bytes: int
    ) -> None:
        self._output = output
        self._mask = TextMask(secrets)
        self._offset = 0
        self._left_bytes = largest_bytes - size_bytes
        self._largest_bytes = largest_bytes
        self._pending = bytearray()
        self._tail: deque[str] = deque(maxlen=_LINES_REMEMBERED)

    def tell(self, now: datetime, line: str) -> None:
        """A line of the platform's own, after what the trainer has said so far."""
        self.collect(is_final=True)
        # However much the trainer had to say: why and how a run ended is kept.
        self._add(format_line(now, line), always=True)

    def collect(self, *, is_final: bool = False) -> None:
        """Takes in whole lines of the output; a last one without its end too, where it is final."""
        try:
            with self._output.open("rb") as file:
                file.seek(self._offset)
                content = file.read(_MOST_AT_ONCE_BYTES)
        except FileNotFoundError:
            return
        has_more = len(content) == _MOST_AT_ONCE_BYTES
        end = content.rfind(b"\n") + 1
        if (is_final and not has_more) or len(content) - end > _LONGEST_LINE_BYTES:
            end = len(content)
        self._offset += end
        if end:
            self._add(content[:end])
        if is_final and has_more:
            self.collect(is_final=True)

    @property
    def pending(self) -> bytes:
        """What is to be written, until `forget` says that it was."""
        return bytes(self._pending)

    def forget(self, size_bytes: int) -> None:
        """So many bytes of what was pending are written."""
        del self._pending[:size_bytes]

    def list_last_lines(self, count: int) -> list[str]:
        return list(self._tail)[-count:]

    def _add(self, content: bytes, *, always: bool = False) -> None:
        text = self._mask(content.decode(errors="replace"))
        self._tail.extend(text.splitlines())
        if always:
            self._pending += text.encode()
            return
        if self._left_bytes <= 0:
            return
        encoded = text.encode()
        self._left_bytes -= len(encoded)
        self._pending += encoded
        if self._left_bytes <= 0:
            self._pending += (
                f"The log is longer than {self._largest_bytes} bytes: the rest is left out.\n".encode()
            )
