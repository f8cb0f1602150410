"""The audit trail: who did what to which object, from where."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.types import Actor

_PENDING = "raven_audit_entries"


@dataclass(frozen=True, slots=True)
class Target:
    """What something was done to: `kind` is the noun of codes, such as `training_run`."""

    kind: str
    id: UUID | None
    name: str


def record(session: Session, actor: Actor, action: str, target: Target, **details: Any) -> None:
    """Notes what is being done; it is in the trail if and only if the transaction commits.

    Args:
        session: the transaction that does it.
        actor: who does it.
        action: `noun.verb_in_the_past`, such as `training_run.cancelled`.
        target: what it is done to.
        details: JSON-able, without secrets; what changed.
    """
    session.info.setdefault(_PENDING, []).append((actor, action, target, details))
