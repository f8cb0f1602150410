"""The attempts at runs and evaluations that this process works on, whichever of its workers does.

The lease tells other processes; this one knows for itself: an open attempt in its name that it does not work on was
begun, or is to be ended, by a statement whose answer was lost with the connection.
"""

import threading
from uuid import UUID

_lock = threading.Lock()
_held: set[tuple[UUID, int]] = set()


def hold_attempt(work_id: UUID, fence: int) -> None:
    with _lock:
        _held.add((work_id, fence))


def release_attempt(work_id: UUID, fence: int) -> None:
    with _lock:
        _held.discard((work_id, fence))


def is_attempt_held(work_id: UUID, fence: int) -> bool:
    with _lock:
        return (work_id, fence) in _held
