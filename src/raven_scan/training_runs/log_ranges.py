"""Parts of a run's log as text, cut where a line ends."""

from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import logs
from raven_scan.training_runs.types import LogRange

LARGEST_LOG_RANGE_BYTES = 1 << 20


def read_log_range(session: Session, run: TrainingRun, offset: int, limit_bytes: int) -> LogRange:
    """A part of the log from byte `offset`, cut at the end of a line where there is one.

    Where bytes were dropped, the text begins with a line that says how many, and the range goes on behind them.
    """
    offset = min(offset, run.log_size_bytes)
    piece = logs.read(session, run, offset, min(limit_bytes, LARGEST_LOG_RANGE_BYTES))
    content = piece.content[: piece.content.rfind(b"\n") + 1 or _find_character_end(piece.content)]
    text = content.decode(errors="replace")
    return LogRange(
        text=format_missing(piece.missing_bytes) + text if piece.missing_bytes else text,
        offset=offset,
        next_offset=piece.start + len(content),
        size_bytes=run.log_size_bytes,
        missing_bytes=piece.missing_bytes,
    )


def format_missing(size_bytes: int) -> str:
    """The line that stands for what was dropped."""
    return f"[… {size_bytes} bytes of the log were dropped here: it grew too long …]\n"


def _find_character_end(content: bytes) -> int:
    """Where the last whole character of UTF-8 ends."""
    start = len(content) - 1
    while start > 0 and content[start] & 0xC0 == 0x80:
        start -= 1
    try:
        content[start:].decode()
    except UnicodeDecodeError:
        return start or len(content)
    return len(content)
