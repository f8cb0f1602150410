"""The use cases of the quality requirements."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision
from raven_scan.publishing import repository
from raven_scan.publishing.models import PolicyVersion
from raven_scan.publishing.policy import DEFAULTS, change_policy, complete_policy
from raven_scan.publishing.types import PolicyChange, PolicyView

_NAME = "The policy"


class PolicyService:
    """What models have to meet before they are published; one policy for all names."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get_policy(self, actor: Actor) -> PolicyView:
        """Needs `trained_model:view`."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return view_policy(repository.find_policy(session))

    def change(
        self,
        actor: Actor,
        changes: Mapping[str, Any],
        *,
        unset: Collection[str] = (),
        expected: int | None = None,
    ) -> PolicyView:
        """Changes requirements; models that are published already stay so.

        Args:
            actor: needs `policy:edit`.
            changes: new values by key; None or False asks for nothing.
            unset: keys that get their default again.
            expected: the version that the caller saw.

        Raises:
            Invalid: a key is not known, or a value is out of its bounds.
            Stale: it was changed since.
        """
        actor.require(Claim.TRAINED_MODEL_VIEW)
        actor.require(Claim.POLICY_EDIT)
        with self._database.transaction() as session:
            current = view_policy(repository.hold_policy(session, alone=True))
            check_revision("policy", _NAME, current.version, expected)
            after = change_policy(current.requirements, changes, unset)
            before = current.requirements
            changed = {
                key: [before.get(key), after.get(key)]
                for key in {**before, **after}
                if before.get(key) != after.get(key)
            }
            if not changed:
                return current
            version = current.version + 1
            repository.insert_policy(
                session,
                {
                    "version": version,
                    "requirements": after,
                    "changes": changed,
                    "changed_by": actor.name,
                    "changed_by_id": actor.id,
                    "changed_at": self._clock.now(),
                },
            )
            record(
                session,
                actor,
                "policy.changed",
                Target("policy", None, "policy"),
                version=version,
                changes=changed,
            )
            return view_policy(repository.find_policy(session))

    def list_changes(self, actor: Actor, page: PageRequest) -> Page[PolicyChange]:
        """Newest first; needs `trained_model:view`."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_policy_changes(session, page)


def hold_policy(session: Session) -> PolicyView:
    """The policy as it stays until the transaction ends."""
    return view_policy(repository.hold_policy(session, alone=False))


def view_policy(row: PolicyVersion | None) -> PolicyView:
    """As users see it; None: nobody has changed anything."""
    return PolicyView(
        version=0 if row is None else row.version,
        requirements=complete_policy({} if row is None else row.requirements),
        defaults=dict(DEFAULTS),
        changed_by=None if row is None else row.changed_by,
        changed_at=None if row is None else row.changed_at,
    )
