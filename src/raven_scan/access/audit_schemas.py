"""The audit trail over REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from raven_scan.access.audit_types import AuditEntry, AuditFault, AuditVerification, Head

_HEAD = r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$"


class AuditActor(BaseModel):
    """Who did it: how they were recognised (`via`), and from which network address, where from another process."""

    id: UUID
    name: str
    via: str
    address: str


class AuditTarget(BaseModel):
    """What it was done to: `kind` is a noun such as `training_run`."""

    kind: str
    id: UUID | None
    name: str


class AuditEntryOut(BaseModel):
    """Who did what to which object. `hash` is the sha256 of the entry with the hash of the one before."""

    number: int
    at: datetime
    actor: AuditActor
    action: str
    target: AuditTarget
    details: dict[str, Any]
    previous_hash: str
    hash: str


class AuditPage(BaseModel):
    items: list[AuditEntryOut]
    next: str | None


class AuditVerify(BaseModel):
    """`head`: what an earlier verification told, kept elsewhere, as NUMBER:HASH."""

    head: Annotated[str | None, Field(pattern=_HEAD)] = None

    def make_head(self) -> Head | None:
        if self.head is None:
            return None
        number, _, hash_ = self.head.partition(":")
        return Head(int(number), hash_)


class AuditProblemOut(BaseModel):
    """The first entry that does not fit, and how."""

    number: int
    fault: AuditFault
    message: str


class AuditVerificationOut(BaseModel):
    """What the trail was found to be. `checked`: entries that fit; `head`: the last of them, as NUMBER:HASH."""

    intact: bool
    checked: int
    head: str | None
    problem: AuditProblemOut | None


def describe_entry(entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut(
        number=entry.number,
        at=entry.at,
        actor=AuditActor(
            id=entry.actor_id, name=entry.actor_name, via=entry.actor_via, address=entry.actor_address
        ),
        action=entry.action,
        target=AuditTarget(kind=entry.target.kind, id=entry.target.id, name=entry.target.name),
        details=entry.details,
        previous_hash=entry.previous_hash,
        hash=entry.hash,
    )


def describe_verification(found: AuditVerification) -> AuditVerificationOut:
    problem = found.problem
    return AuditVerificationOut(
        intact=problem is None,
        checked=found.checked_count,
        head=None if found.head is None else str(found.head),
        problem=None
        if problem is None
        else AuditProblemOut(number=problem.number, fault=problem.fault, message=problem.message),
    )
