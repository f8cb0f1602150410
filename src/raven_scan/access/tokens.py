"""The use cases of API tokens."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access import errors
from raven_scan.access.audit import Target, record
from raven_scan.access.granting import (
    find_token_of,
    has_account,
    require_account,
    require_claims,
    require_whole_account,
)
from raven_scan.access.models import ApiToken, User
from raven_scan.access.repository import tokens, users
from raven_scan.access.secret_text import get_shown_prefix, hash_secret, make_api_token
from raven_scan.access.types import GRANTABLE_CLAIMS, Actor, Claim, MintedToken, TokenView
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest

LONGEST_VALIDITY = timedelta(days=3660)


class TokenService:
    """API tokens: for programs, and for the command line."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        actor: Actor,
        *,
        name: str,
        user: str | None = None,
        claims: Collection[Claim] | None = None,
        expires_in: timedelta | None = None,
    ) -> MintedToken:
        """Makes a token; it is shown this one time.

        Args:
            actor: for another's account, needs `user:edit`, and every claim that the token may come to have.
            name: tells it from the account's other tokens.
            user: name or id; None for the actor's own account.
            claims: that it has at most; None for all that the user has at any time.
            expires_in: how long it is valid; None for ever, or as long as the token that makes it.

        Raises:
            NotFound: the user.
            Forbidden: it would get more than who makes it has, or the actor is a token of limited claims.
            Conflict: the account is disabled.
            Invalid: the name, the claims, or the time.
        """
        actor.require_lasting_password()
        check_name("token", name)
        if claims is not None and not claims:
            raise Invalid("token.no_claims", "A token without a claim opens nothing.", hint="Name a claim.")
        now = self._clock.now()
        expires_at = self._choose_end(actor, now, expires_in)
        secret = make_api_token()
        with self._database.transaction() as session:
            owner = self._get_owner(session, actor, user)
            owned = users.get_view(session, owner.id).claims
            self._check_claims(actor, owner, owned, claims)
            token_id = make_id()
            tokens.insert_token(
                session,
                {
                    "id": token_id,
                    "user_id": owner.id,
                    "name": name,
                    "prefix": get_shown_prefix(secret),
                    "secret_hash": hash_secret(secret.get_secret_value()),
                    "claims": None if claims is None else sorted(set(claims)),
                    "created_at": now,
                    "created_by": actor.name,
                    "expires_at": expires_at,
                },
            )
            view = _get_view(session, token_id)
            record(
                session,
                actor,
                "token.created",
                Target("token", token_id, name),
                user=owner.name,
                claims=None if claims is None else sorted(set(claims)),
                expires_at=None if expires_at is None else expires_at.isoformat(),
            )
            return MintedToken(view, secret)

    def list_tokens(
        self, actor: Actor, page: PageRequest, *, user: str | None = None, with_ended: bool = False
    ) -> Page[TokenView]:
        """Newest first, unless the page says another order.

        Args:
            actor: sees their own; those of others with `user:view`.
            page: which.
            user: only this one's; None for all that the actor may see.
            with_ended: those that have expired or were revoked too.

        Raises:
            NotFound: the user, also for who may not see their tokens.
        """
        actor.require_lasting_password()
        with self._database.reading() as session:
            user_id = self._choose_user(session, actor, user)
            valid_at = None if with_ended else self._clock.now()
            return tokens.list_tokens(session, page, user_id=user_id, valid_at=valid_at)

    def get_token(self, actor: Actor, token_id: UUID) -> TokenView:
        """Raises NotFound, also for another's without `user:view`."""
        actor.require_lasting_password()
        with self._database.reading() as session:
            return tokens.make_view(*self._get_visible(session, actor, token_id))

    def revoke(self, actor: Actor, token_id: UUID) -> TokenView:
        """Ends a token at once and for good; one that has ended is no error.

        Args:
            actor: ends their own; those of others with `user:edit` and every claim of the user. A token of limited
                claims ends itself alone.
            token_id: of the token.

        Raises:
            NotFound: also for another's without `user:view`.
        """
        actor.require_lasting_password()
        with self._database.transaction() as session:
            token, owner = self._get_visible(session, actor, token_id, lock=True)
            if owner.id != actor.id:
                actor.require(Claim.USER_EDIT)
                require_claims(actor, users.get_view(session, owner.id).claims)
            elif not _is_itself(actor, token.id):
                require_whole_account(actor)
            if token.revoked_at is None:
                token.revoked_at = self._clock.now()
                session.flush()
                record(
                    session, actor, "token.revoked", Target("token", token.id, token.name), user=owner.name
                )
            return tokens.make_view(token, owner)

    def _choose_end(self, actor: Actor, now: datetime, expires_in: timedelta | None) -> datetime | None:
        if expires_in is not None and not timedelta(0) < expires_in <= LONGEST_VALIDITY:
            raise Invalid(
                "token.bad_expiry",
                "A token is valid for a time between now and ten years.",
                hint="Say how long, as 30d or 12h; or leave it out for a token that does not expire.",
            )
        expires_at = None if expires_in is None else now + expires_in
        making = find_token_of(actor)
        if making is None or making.expires_at is None:
            return expires_at
        if expires_at is not None and expires_at > making.expires_at:
            raise errors.outlives_token()
        return expires_at or making.expires_at

    def _get_owner(self, session: Session, actor: Actor, ref: str | None) -> User:
        if ref is None:
            owner = users.find_user(session, str(require_whole_account(actor)), lock=True)
            if owner is None:
                raise errors.no_account(actor.name)
        else:
            owner = users.find_user(session, ref, lock=True)
            if owner is None or not (owner.id == actor.id or actor.may(Claim.USER_VIEW)):
                raise errors.user_not_found(ref)
            if owner.id == actor.id:
                require_whole_account(actor)
            else:
                actor.require(Claim.USER_EDIT)
        if owner.disabled_at is not None:
            raise Conflict(
                "user.disabled",
                f"The account of {owner.name} is disabled.",
                hint=f"Enable it first: `raven users enable {owner.name}`.",
                parameters={"name": owner.name},
            )
        return owner

    def _check_claims(
        self, actor: Actor, owner: User, owned: frozenset[Claim], claims: Collection[Claim] | None
    ) -> None:
        if claims is None:
            # It may come to have whatever the user is given later.
            if owner.id != actor.id and not actor.claims >= GRANTABLE_CLAIMS:
                raise Forbidden(
                    "access.unlimited_token",
                    f"A token with all claims that {owner.name} may ever have takes an administrator.",
                    hint="Name its claims: --claim dataset:view …",
                )
            return
        beyond = set(claims) - owned
        if beyond:
            named = ", ".join(sorted(beyond))
            raise Invalid(
                "token.claims_beyond_user",
                f"{owner.name} does not have these claims: {named}.",
                hint="Leave them out, or give the user a role that has them.",
                parameters={"claims": sorted(beyond)},
            )
        require_claims(actor, claims)

    def _choose_user(self, session: Session, actor: Actor, ref: str | None) -> UUID | None:
        """Whose tokens are listed; None for everybody's."""
        if ref is None:
            return None if actor.may(Claim.USER_VIEW) else require_account(actor)
        user = users.find_user(session, ref)
        if user is None or not (actor.may(Claim.USER_VIEW) or user.id == actor.id):
            raise errors.user_not_found(ref)
        return user.id

    def _get_visible(
        self, session: Session, actor: Actor, token_id: UUID, *, lock: bool = False
    ) -> tuple[ApiToken, User]:
        found = tokens.find_token(session, token_id, lock=lock)
        is_own = found is not None and has_account(actor) and found[1].id == actor.id
        if found is None or not (is_own or actor.may(Claim.USER_VIEW)):
            raise errors.token_not_found(token_id)
        return found


def _get_view(session: Session, token_id: UUID) -> TokenView:
    found = tokens.find_token(session, token_id)
    assert found is not None, "it was just inserted"  # noqa: S101
    session.refresh(found[0])
    return tokens.make_view(*found)


def _is_itself(actor: Actor, token_id: UUID) -> bool:
    making = find_token_of(actor)
    return making is not None and making.id == token_id
