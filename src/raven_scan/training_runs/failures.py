"""What a failed run says of itself: which failure it was, a sentence, what to do next, and the evidence."""

import errno
from typing import Any

from raven_scan.kernel.errors import RavenError
from raven_scan.training_runs.types import RunError

_NOUN = "training_run."

_FROM_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}


def describe_failure(error: Exception) -> RunError:
    """The cause as users see it. What nobody foresaw is `crashed.internal`, without its insides."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return RunError(
            code="crashed.disk_full",
            message="The disk of the data folder is full.",
            hint="Free some space, then `raven runs retry` goes on from the last checkpoint.",
        )
    if not isinstance(error, RavenError):
        return RunError(
            code="crashed.internal",
            message=f"Something went wrong inside the worker ({type(error).__name__}).",
            hint="This is a fault of the platform: report it with the worker's log, which has the details.",
        )
    code = error.code.removeprefix(_NOUN)
    evidence: dict[str, Any] = dict(error.parameters.get("evidence") or {})
    message, hint = error.message, error.hint
    if code == "crashed":
        evidence |= {
            name: error.parameters[name] for name in ("exit_code", "signal") if error.parameters.get(name)
        }
        signal = error.parameters.get("signal")
        if signal is not None:
            code = "crashed.killed" if signal == "SIGKILL" else "crashed.signal"
    return RunError(code=code, message=message, hint=hint, evidence=evidence)


def is_transient(failure: RunError) -> bool:
    """Whether the same run may well succeed at the next try: something from outside ended it."""
    return failure.code in {"hung", "stopped"} or failure.evidence.get("signal") in _FROM_OUTSIDE
