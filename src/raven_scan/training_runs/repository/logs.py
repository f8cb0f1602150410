"""SQL of the logs of runs: pieces in the order of their bytes.

Bytes are counted from the log's beginning for good. Of one that grew too long, a part in the middle is dropped: the
run's row says from where to where, and nobody counts anew.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt, TrainingRunLogPart

LARGEST_PART_BYTES = 1 << 18

_KEPT_OF_BEGINNING = 0.25
"""How a run was set up is told first, and how it ended last: of the rest, the newest is worth most."""


@dataclass(frozen=True, slots=True)
class LogBytes:
    """A piece of a log.

    Attributes:
        start: of the first byte; later than what was asked for where bytes in between were dropped.
        missing_bytes: how many were dropped just before it.
    """

    content: bytes
    start: int
    missing_bytes: int = 0


def append(session: Session, run_id: UUID, content: bytes) -> int:
    """Adds to the end, and returns the new size. Locks the run's row, so that two writers take turns."""
    size_bytes = 0
    for first in range(0, len(content), LARGEST_PART_BYTES):
        part = content[first : first + LARGEST_PART_BYTES]
        grown = session.scalar(
            update(TrainingRun)
            .where(TrainingRun.id == run_id)
            .values(log_size_bytes=TrainingRun.log_size_bytes + len(part))
            .returning(TrainingRun.log_size_bytes)
        )
        if grown is not None:
            session.add(TrainingRunLogPart(run_id=run_id, start=grown - len(part), content=part))
            size_bytes = grown
    session.flush()
    return size_bytes


def append_told(session: Session, run_id: UUID, fence: int, position: int, content: bytes) -> int | None:
    """Adds what an attempt told from its byte `position` on, but for what is there already.

    A commit whose answer was lost is sent again: nothing is written twice.

    Returns:
        The log's new size; None where nothing is new.
    """
    of_attempt = (TrainingRunAttempt.run_id == run_id, TrainingRunAttempt.number == fence)
    written = session.scalar(select(TrainingRunAttempt.log_position).where(*of_attempt)) or 0
    content = content[max(0, written - position) :]
    if not content:
        return None
    session.execute(
        update(TrainingRunAttempt)
        .where(*of_attempt)
        .values(log_position=max(written, position) + len(content)),
        execution_options={"synchronize_session": False},
    )
    return append(session, run_id, content)


def drop_middle(session: Session, run_id: UUID, *, size_bytes: int, largest_bytes: int) -> None:
    """Of a log that is longer than `largest_bytes`, keeps its beginning and its end."""
    if size_bytes <= largest_bytes:
        return
    first_kept = int(largest_bytes * _KEPT_OF_BEGINNING)
    last_kept = size_bytes - (largest_bytes - first_kept)
    length = func.length(TrainingRunLogPart.content)
    dropped = session.execute(
        delete(TrainingRunLogPart)
        .where(
            TrainingRunLogPart.run_id == run_id,
            TrainingRunLogPart.start >= first_kept,
            TrainingRunLogPart.start + length <= last_kept,
        )
        .returning(TrainingRunLogPart.start, TrainingRunLogPart.start + length),
        execution_options={"synchronize_session": False},
    ).all()
    if not dropped:
        return
    missing_from = min(start for start, _ in dropped)
    session.execute(
        update(TrainingRun)
        .where(TrainingRun.id == run_id)
        .values(
            log_missing_from=case(
                (TrainingRun.log_missing_from.is_(None), missing_from), else_=TrainingRun.log_missing_from
            ),
            log_missing_to=max(end for _, end in dropped),
        ),
        execution_options={"synchronize_session": False},
    )


def read(session: Session, run: TrainingRun, offset: int, limit_bytes: int) -> LogBytes:
    """At most `limit_bytes` bytes from `offset`, or from behind what is missing there."""
    missing = 0
    missing_from, missing_to = run.log_missing_from, run.log_missing_to
    if missing_from is not None and missing_to is not None:
        if missing_from <= offset < missing_to:
            missing, offset = missing_to - offset, missing_to
        elif offset < missing_from:
            limit_bytes = min(limit_bytes, missing_from - offset)
    return LogBytes(_read(session, run.id, offset, limit_bytes), offset, missing)


def _read(session: Session, run_id: UUID, offset: int, limit_bytes: int) -> bytes:
    length = func.length(TrainingRunLogPart.content)
    query = (
        select(TrainingRunLogPart.start, TrainingRunLogPart.content)
        .where(
            TrainingRunLogPart.run_id == run_id,
            # By the index: a part is never longer than this.
            TrainingRunLogPart.start > offset - LARGEST_PART_BYTES,
            TrainingRunLogPart.start + length > offset,
            TrainingRunLogPart.start < offset + limit_bytes,
        )
        .order_by(TrainingRunLogPart.start)
    )
    found = [(start, bytes(content)) for start, content in session.execute(query)]
    if not found:
        return b""
    skipped = max(0, offset - found[0][0])
    return b"".join(content for _, content in found)[skipped : skipped + limit_bytes]
