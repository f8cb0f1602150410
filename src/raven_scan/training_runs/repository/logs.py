"""SQL of the logs of runs: pieces in the order of their bytes, without gaps."""

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from raven_scan.training_runs.models import TrainingRun, TrainingRunLogPart

LARGEST_PART_BYTES = 1 << 18


def append(session: Session, run_id: UUID, content: bytes) -> None:
    """Adds to the end. Locks the run's row, so that two writers take turns."""
    for first in range(0, len(content), LARGEST_PART_BYTES):
        part = content[first : first + LARGEST_PART_BYTES]
        size_bytes = session.scalar(
            update(TrainingRun)
            .where(TrainingRun.id == run_id)
            .values(log_size_bytes=TrainingRun.log_size_bytes + len(part))
            .returning(TrainingRun.log_size_bytes)
        )
        if size_bytes is not None:
            session.add(TrainingRunLogPart(run_id=run_id, start=size_bytes - len(part), content=part))
    session.flush()


def read(session: Session, run_id: UUID, offset: int, limit_bytes: int) -> bytes:
    """At most `limit_bytes` bytes from `offset`."""
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
