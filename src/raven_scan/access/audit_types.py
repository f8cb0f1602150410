"""What the audit trail speaks of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Target:
    """What something was done to: `kind` is the noun of codes, such as `training_run`."""

    kind: str
    id: UUID | None
    name: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which object, from where.

    Attributes:
        number: from 1, without gaps.
        at: when it was appended, by the database's clock.
        action: `noun.verb_in_the_past`.
        details: what changed.
        previous_hash, hash: sha256 in hexadecimal digits.
    """

    number: int
    at: datetime
    actor_id: UUID
    actor_name: str
    actor_via: str
    actor_address: str
    action: str
    target: Target
    details: dict[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries; what is None chooses nothing.

    Attributes:
        actor: name or id.
        action: how it begins, such as `training_run.`.
        search: words, each of which begins one in a name, an address, the action or a detail.
    """

    actor: str | UUID | None = None
    action: str | None = None
    target_kind: str | None = None
    target_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: who knows it can tell whether what comes before is what it was."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class AuditFault(StrEnum):
    """What does not fit.

    `changed`: the entry is not what it was. `missing`: it was taken out. `unlinked`: it does not name the hash of the
    one before. `cut_off`: the end is gone that the known head was. `replaced`: the known head is another entry now.
    """

    CHANGED = "changed"
    MISSING = "missing"
    UNLINKED = "unlinked"
    CUT_OFF = "cut_off"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """The first entry that does not fit.

    Attributes:
        number: of the entry; of the first that is missing, where some are.
        message: a sentence for the user.
    """

    number: int
    fault: AuditFault
    message: str


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What the trail was found to be.

    Attributes:
        checked_count: entries that fit.
        head: the last one that fits; None where there is none. Kept elsewhere, it tells later whether the end was cut
            off or everything written anew.
        problem: None where all fit.
    """

    checked_count: int
    head: Head | None
    problem: AuditProblem | None
