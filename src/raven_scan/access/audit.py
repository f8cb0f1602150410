"""The audit trail: who did what to which object, from where.

Whoever changes something calls `record` in the transaction that does. What was recorded is written at the very end
of that transaction, so that it is in the trail if and only if the change is made.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from raven_scan.access import audit_repository
from raven_scan.access.audit_entry import make_storable
from raven_scan.access.audit_types import Target
from raven_scan.access.types import Actor

__all__ = ["Target", "record"]

_PENDING = "raven_audit_entries"


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What waits for the commit, with the savepoints that it was recorded under."""

    what: audit_repository.NewEntry
    savepoints: frozenset[SessionTransaction]


def record(session: Session, actor: Actor, action: str, target: Target, **details: Any) -> None:
    """Notes what is being done; it is in the trail if and only if the transaction commits.

    Args:
        session: the transaction that does it.
        actor: who does it.
        action: `noun.verb_in_the_past`, such as `training_run.cancelled`.
        target: what it is done to.
        details: JSON-able, without secrets; what changed.
    """
    new = audit_repository.NewEntry(actor, action, target, make_storable(details))
    pending: list[_Recorded] = session.info.setdefault(_PENDING, [])
    pending.append(_Recorded(new, frozenset(_list_savepoints(session.get_nested_transaction()))))


@event.listens_for(Session, "before_commit")
def _append_recorded(session: Session) -> None:  # pyright: ignore[reportUnusedFunction]
    if session.in_nested_transaction():
        return  # the end of a savepoint is not yet the end
    recorded: list[_Recorded] = session.info.pop(_PENDING, [])
    if not recorded:
        return
    # Every other statement comes first: whoever holds the trail's lock waits for nobody, so there is no deadlock.
    session.flush()
    audit_repository.append_entries(session, [each.what for each in recorded])


@event.listens_for(Session, "after_soft_rollback")
def _forget_recorded(session: Session, ended: SessionTransaction) -> None:  # pyright: ignore[reportUnusedFunction]
    recorded: list[_Recorded] = session.info.pop(_PENDING, [])
    if ended.nested and recorded:
        session.info[_PENDING] = [each for each in recorded if ended not in each.savepoints]


def _list_savepoints(innermost: SessionTransaction | None) -> list[SessionTransaction]:
    found: list[SessionTransaction] = []
    while innermost is not None and innermost.nested:
        found.append(innermost)
        innermost = innermost.parent
    return found
