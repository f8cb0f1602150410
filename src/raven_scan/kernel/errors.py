"""The one family of errors.

An error says what went wrong in a sentence for the user, and what to do next in a hint. Its code is stable and
dotted; its kind becomes an HTTP status or an exit code only in `app/`.
"""

from enum import StrEnum
from typing import Any, ClassVar


class ErrorKind(StrEnum):
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STALE = "stale"
    INVALID = "invalid"
    BUSY = "busy"
    THROTTLED = "throttled"
    DAMAGED = "damaged"
    UNAVAILABLE = "unavailable"


class RavenError(Exception):
    """What the platform says when it cannot do what was asked.

    Args:
        code: stable dotted name, such as `training_run.dataset_not_prepared`.
        message: one sentence for the user.
        hint: what to do next, or empty.
        parameters: JSON-able values of the sentence; `problems` holds a list where there are several.
    """

    kind: ClassVar[ErrorKind]

    def __init__(
        self, code: str, message: str, *, hint: str = "", parameters: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.parameters: dict[str, Any] = parameters or {}

    def describe(self) -> dict[str, Any]:
        """The error as JSON-able data; `make_error` turns it back."""
        return {
            "code": self.code,
            "kind": str(self.kind),
            "message": self.message,
            "hint": self.hint,
            "parameters": self.parameters,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.hint, self.parameters))


def _rebuild(
    error: type[RavenError], code: str, message: str, hint: str, parameters: dict[str, Any]
) -> RavenError:
    return error(code, message, hint=hint, parameters=parameters)


class Unauthenticated(RavenError):  # noqa: N818 - the names are the kinds
    kind = ErrorKind.UNAUTHENTICATED


class Forbidden(RavenError):  # noqa: N818
    kind = ErrorKind.FORBIDDEN


class NotFound(RavenError):  # noqa: N818
    kind = ErrorKind.NOT_FOUND


class Conflict(RavenError):  # noqa: N818
    kind = ErrorKind.CONFLICT


class Stale(RavenError):  # noqa: N818
    """Somebody else changed it since the caller read it."""

    kind = ErrorKind.STALE


class Invalid(RavenError):  # noqa: N818
    kind = ErrorKind.INVALID


class Busy(RavenError):  # noqa: N818
    kind = ErrorKind.BUSY


class Throttled(RavenError):  # noqa: N818
    """Too often; `retry_after_s` in the parameters says when it may be tried again."""

    kind = ErrorKind.THROTTLED


class Damaged(RavenError):  # noqa: N818
    """What was stored is not what it was."""

    kind = ErrorKind.DAMAGED


class Unavailable(RavenError):  # noqa: N818
    kind = ErrorKind.UNAVAILABLE


ERROR_OF_KIND: dict[ErrorKind, type[RavenError]] = {
    error.kind: error
    for error in (
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        Stale,
        Invalid,
        Busy,
        Throttled,
        Damaged,
        Unavailable,
    )
}


def make_error(description: dict[str, Any]) -> RavenError:
    """The error that `describe` described, for the client's side of a connection."""
    return ERROR_OF_KIND[ErrorKind(description["kind"])](
        description["code"],
        description["message"],
        hint=description.get("hint", ""),
        parameters=description.get("parameters"),
    )
