"""What the doctor says of one thing it looked at."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CheckState(StrEnum):
    """An `error` keeps the platform from working, a `warning` may."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and how it is.

    Attributes:
        name: stable, such as `disk`; several checks may have one name.
        message: one sentence for the user.
        hint: what to do about it, or empty.
        repaired: it was not well, and is now; the message says what was done.
    """

    name: str
    state: CheckState
    message: str
    hint: str = ""
    repaired: bool = False

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": str(self.state),
            "message": self.message,
            "hint": self.hint,
            "repaired": self.repaired,
        }


def make_ok(name: str, message: str) -> Check:
    return Check(name, CheckState.OK, message)


def make_warning(name: str, message: str, hint: str) -> Check:
    return Check(name, CheckState.WARNING, message, hint)


def make_error(name: str, message: str, hint: str) -> Check:
    return Check(name, CheckState.ERROR, message, hint)


def make_repaired(name: str, message: str) -> Check:
    return Check(name, CheckState.OK, message, repaired=True)


def format_size(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"
