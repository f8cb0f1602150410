"""What a failed run says of itself: which failure it was, a sentence, what to do next, and the evidence."""

import errno
from typing import Any

from raven_scan.kernel.errors import RavenError
from raven_scan.training_runs.types import RunError

_NOUN = "training_run."

_OF_SETTINGS = {"diverged", "out_of_memory", "refused"}
_OF_SURROUNDINGS = {
    "out_of_memory.shared_memory",
    "refused.checkpoint_of_other_run",  # from the start it goes on
    "refused.no_such_device",
}
"""Of those families, what is mended beside the run."""

_FROM_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}


def describe_failure(error: Exception, *, memory_kills: int = 0) -> RunError:
    """The cause as users see it. What nobody foresaw is `crashed.internal`, without its insides.

    Args:
        error: what ended the attempt.
        memory_kills: processes that the system has killed for want of memory since the attempt began.
    """
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
    if code == "crashed.killed" and memory_kills > 0:
        return RunError(
            code="out_of_memory.host",
            message="The system killed the trainer, because the machine ran out of memory.",
            hint="Lower the batch size or the image size in a clone of this run, or end what else uses the memory.",
            evidence={"signal": "SIGKILL", "memory_kills": memory_kills},
        )
    return RunError(code=code, message=message, hint=hint, evidence=evidence)


def is_transient(failure: RunError) -> bool:
    """Whether the same run may well succeed at the next try: something from outside ended it."""
    if failure.code.startswith("out_of_memory."):
        return False
    return failure.code in {"hung", "stopped"} or failure.evidence.get("signal") in _FROM_OUTSIDE


def needs_other_settings(failure: RunError) -> bool:
    """Whether the same run would end so again: its parameters, its dataset or its base model made it."""
    return failure.code.partition(".")[0] in _OF_SETTINGS and failure.code not in _OF_SURROUNDINGS
