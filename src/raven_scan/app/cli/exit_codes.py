"""What a command's exit code says."""

from raven_scan.kernel.errors import ErrorKind

RUN_FAILED = 1
"""A run that was waited for ended in Error or Cancelled; also an error that nobody foresaw."""
RUN_PAUSED = 7
"""A run that was waited for was paused."""
DAMAGED = 8
"""What was looked at is not what was stored."""
INTERRUPTED = 130

EXIT_CODE_OF_KIND: dict[ErrorKind, int] = {
    ErrorKind.INVALID: 2,
    ErrorKind.NOT_FOUND: 3,
    ErrorKind.UNAUTHENTICATED: 4,
    ErrorKind.FORBIDDEN: 4,
    ErrorKind.CONFLICT: 5,
    ErrorKind.STALE: 5,
    ErrorKind.BUSY: 6,
    ErrorKind.THROTTLED: 6,
    ErrorKind.UNAVAILABLE: 6,
    ErrorKind.DAMAGED: DAMAGED,
}

MEANINGS = {
    0: "done",
    1: "a run that was waited for did not end in Success, or did not reproduce another; `raven doctor` found an error; "
    "`raven audit verify` found an entry that was changed; or one that nobody foresaw",
    2: "the arguments, or what they name, are not valid",
    3: "not found",
    4: "not signed in, or not allowed",
    5: "conflict: a name is taken, a run cannot be scheduled, …",
    6: "busy or not available: no server, no database, …",
    7: "a run that was waited for was paused",
    8: "damaged: a backup, or a file of a model or its dataset, is not what it was",
    130: "interrupted",
}
