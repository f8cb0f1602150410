"""What a failed evaluation says of itself: which failure it was, a sentence, and what to do next."""

import errno
from collections.abc import Sequence

from raven_scan.evaluations.types import EvaluationError
from raven_scan.kernel.errors import RavenError

_NOUN = "evaluations."
_FROM_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}


def describe_failure(error: Exception, *, log_tail: Sequence[str]) -> EvaluationError:
    """The cause as users see it. What nobody foresaw is `crashed.internal`, without its insides."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        code, message, hint = (
            "crashed.disk_full",
            "The disk of the data folder is full.",
            "Free some space, then evaluate the model again.",
        )
    elif isinstance(error, RavenError):
        code, message, hint = error.code.removeprefix(_NOUN), error.message, error.hint
        signal = error.parameters.get("signal")
        if code == "crashed" and signal is not None:
            code = "crashed.killed" if signal == "SIGKILL" else "crashed.signal"
    else:
        code, message, hint = (
            "crashed.internal",
            f"Something went wrong inside the worker ({type(error).__name__}).",
            "This is a fault of the platform: report it with the worker's log, which has the details.",
        )
    return EvaluationError(code, message, hint, list(log_tail))


def is_transient(error: Exception) -> bool:
    """Whether the same evaluation may well succeed at the next try: something from outside ended it."""
    if not isinstance(error, RavenError):
        return False
    return error.code.removeprefix(_NOUN) in {"hung", "stopped"} or (
        error.parameters.get("signal") in _FROM_OUTSIDE
    )
