"""What a failed run says of itself: which failure it was, a sentence, and what to do next."""

from raven_scan.kernel.errors import RavenError
from raven_scan.training_runs.types import RunError

_NOUN = "training_run."


def describe_failure(error: Exception) -> RunError:
    """The cause as users see it. What nobody foresaw is `crashed.internal`, without its insides."""
    if not isinstance(error, RavenError):
        return RunError(
            code="crashed.internal",
            message=f"Something went wrong inside the worker ({type(error).__name__}).",
            hint="This is a fault of the platform: report it with the worker's log, which has the details.",
        )
    code = error.code.removeprefix(_NOUN)
    message, hint = error.message, error.hint
    if code == "crashed" and error.parameters.get("signal") == "SIGKILL":
        code = "crashed.killed"
    return RunError(code=code, message=message, hint=hint)
