"""What a check found: told all at once, before anything is started."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An `error` keeps the thing from being done, a `warning` does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        code: stable dotted name.
        message: one sentence for the user.
        hint: what to do about it, or empty.
    """

    code: str
    severity: Severity
    message: str
    hint: str = ""
