"""What other slices may know of accounts, to act for those who asked for it while they were signed in."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from raven_scan.access.models import User
from raven_scan.access.repository.users import read_claims, select_claims
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    name: str
    email: str | None


class AccountDirectory:
    """Looks accounts up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_name(self, session: Session, user_id: UUID) -> str:
        """Whose it is that something belongs to that is there."""
        return session.scalars(select(User.name).where(User.id == user_id)).one()

    def list_able(self, actor: Actor, user_ids: Collection[UUID], claim: Claim) -> dict[UUID, Account]:
        """Of these, whose account is not disabled and has the claim; by id.

        Args:
            actor: needs `notification:send`: it is for telling people what they asked to hear.
            user_ids: of whom.
            claim: that they need.
        """
        actor.require(Claim.NOTIFICATION_SEND)
        if not user_ids:
            return {}
        query = select(User.id, User.name, User.email, select_claims()).where(
            User.id.in_(user_ids), User.disabled_at.is_(None)
        )
        with self._database.reading() as session:
            rows = session.execute(query).all()
        return {row[0]: Account(*row[:3]) for row in rows if claim in read_claims(row[3])}
