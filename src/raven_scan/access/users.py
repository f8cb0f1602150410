"""The use cases of users.

Who changes an account, or resets its password, gets what it may do into their hands: so they need all of its claims.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.access import errors
from raven_scan.access.audit import Target, record
from raven_scan.access.builtin_roles import ADMIN, VIEWER
from raven_scan.access.granting import require_claims
from raven_scan.access.models import Role, User
from raven_scan.access.names import check_email, check_user_name, make_name_key, make_searchable
from raven_scan.access.passwords import PasswordKeeper
from raven_scan.access.repository import roles, sessions, tokens, users
from raven_scan.access.repository.users import UserFilter
from raven_scan.access.secret_text import make_one_time_password
from raven_scan.access.throttling import SignInThrottling
from raven_scan.access.types import Actor, Claim, OidcIdentity, UserView, UserWithPassword
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision

FIRST_ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is None stays as it is; an empty `email` removes it; `roles` are all that the user is to have."""

    name: str | None = None
    email: str | None = None
    roles: Collection[str] | None = None


class UserService:
    """Accounts, as those look after them who may."""

    def __init__(
        self, database: Database, clock: Clock, passwords: PasswordKeeper, throttling: SignInThrottling
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._throttling = throttling

    def create_first_administrator(self, actor: Actor) -> UserWithPassword | None:
        """The account `admin` with a one-time password; None where there is a user already.

        Args:
            actor: needs `user:edit`, and every claim.
        """
        with self._database.transaction() as session:
            if users.is_there_a_user(session):
                return None
            # Of two servers that start at once, one creates it.
            roles.lock_role(session, ADMIN.key)
            if users.is_there_a_user(session):
                return None
            return self.create(actor, name=FIRST_ADMINISTRATOR, roles=[ADMIN.name])

    def create(
        self,
        actor: Actor,
        *,
        name: str,
        roles: Collection[str] = (),
        email: str | None = None,
        has_password: bool = True,
        oidc: OidcIdentity | None = None,
    ) -> UserWithPassword:
        """Creates an account with a one-time password, which has to be changed at the first sign-in.

        Args:
            actor: needs `user:edit`, and every claim of the roles.
            name: unique, upper and lower case being the same.
            roles: names or ids; none gives Viewer.
            email: where the user is reached.
            has_password: False for an account that signs in elsewhere, or with tokens alone.
            oidc: who it is at an identity provider.

        Raises:
            Invalid: the name or the e-mail address.
            NotFound: a role.
            Conflict: there is a user of that name, or identity.
        """
        actor.require(Claim.USER_VIEW)
        actor.require(Claim.USER_EDIT)
        check_user_name(name)
        if email:
            check_email(email)
        password = make_one_time_password() if has_password else None
        user = User(
            id=make_id(),
            name=name,
            name_key=make_name_key(name),
            email=email or None,
            password_hash=None if password is None else self._passwords.hash(password),
            must_change_password=has_password,
            oidc_issuer=None if oidc is None else oidc.issuer,
            oidc_subject=None if oidc is None else oidc.subject,
            created_by=actor.name,
        )
        try:
            with self._database.transaction() as session:
                given = _get_roles(session, roles or [VIEWER.name])
                require_claims(actor, _list_claims(given))
                session.add(user)
                session.flush()
                users.set_roles(session, user.id, [role.id for role in given])
                names = sorted(role.name for role in given)
                record(session, actor, "user.created", _target(user), roles=names)
                return UserWithPassword(users.get_view(session, user.id), password)
        except IntegrityError as error:
            if "oidc" in str(error.orig):
                raise errors.identity_taken() from error
            raise errors.name_taken("user", name) from error

    def list_users(
        self,
        actor: Actor,
        page: PageRequest,
        *,
        q: str | None = None,
        role: str | None = None,
        is_disabled: bool | None = None,
    ) -> Page[UserView]:
        """By name, unless the page says another order.

        Args:
            actor: needs `user:view`.
            page: which.
            q: part of the name or the e-mail address.
            role: name of a role that they have.
            is_disabled: only those that are, or are not.
        """
        actor.require(Claim.USER_VIEW)
        chosen = UserFilter(
            q=None if q is None else make_searchable(q),
            role=None if role is None else make_searchable(make_name_key(role)),
            is_disabled=is_disabled,
        )
        with self._database.reading() as session:
            return users.list_users(session, page, chosen)

    def get_user(self, actor: Actor, ref: str) -> UserView:
        """Raises NotFound, also for who lacks `user:view`, unless it is their own account."""
        actor.require_lasting_password()
        with self._database.reading() as session:
            user = users.find_user(session, ref)
            if user is None or not (actor.may(Claim.USER_VIEW) or user.id == actor.id):
                raise errors.user_not_found(ref)
            return users.get_view(session, user.id)

    def edit(
        self, actor: Actor, ref: str, changes: UserChanges, *, expected_revision: int | None = None
    ) -> UserView:
        """Changes name, e-mail address and roles; roles count from the next request on.

        Args:
            actor: needs `user:edit`, and every claim of the user, before and after.
            ref: name or id.
            changes: to make.
            expected_revision: that the caller saw.

        Raises:
            Invalid: the name or the e-mail address.
            NotFound: the user, or a role.
            Conflict: the name is taken, or the last administrator would be none any more.
            Stale: somebody else has changed the user.
        """
        if changes.name is not None:
            check_user_name(changes.name)
        if changes.email:
            check_email(changes.email)
        try:
            with self._database.transaction() as session:
                user = self._get_user_to_change(session, actor, ref)
                check_revision("user", user.name, user.revision, expected_revision)
                before = _describe(users.get_view(session, user.id))
                if changes.name is not None:
                    user.name, user.name_key = changes.name, make_name_key(changes.name)
                if changes.email is not None:
                    user.email = changes.email or None
                if changes.roles is not None:
                    given = _get_roles(session, changes.roles)
                    require_claims(actor, _list_claims(given))
                    if all(role.name_key != ADMIN.key for role in given):
                        _require_other_administrator(session, user)
                    users.set_roles(session, user.id, [role.id for role in given])
                session.flush()
                after = _describe(users.get_view(session, user.id))
                changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
                if changed:
                    user.revision += 1
                    session.flush()
                    record(session, actor, "user.edited", _target(user), changes=changed)
                return users.get_view(session, user.id)
        except IntegrityError as error:
            raise errors.name_taken("user", changes.name or ref) from error

    def disable(self, actor: Actor, ref: str) -> UserView:
        """Ends the user's sessions and tokens for good; nobody signs in to the account until it is enabled.

        Args:
            actor: needs `user:edit`, and every claim of the user.
            ref: name or id; one that is disabled already is no error.

        Raises:
            Conflict: it is the actor's own account, or the last administrator's.
        """
        with self._database.transaction() as session:
            user = self._get_user_to_change(session, actor, ref)
            if user.id == actor.id:
                raise errors.own_account("disable")
            if user.disabled_at is None:
                _require_other_administrator(session, user)
                user.disabled_at = self._clock.now()
                user.revision += 1
                session.flush()
                ended = self._end_credentials(session, user)
                record(session, actor, "user.disabled", _target(user), **ended)
            return users.get_view(session, user.id)

    def enable(self, actor: Actor, ref: str) -> UserView:
        """Lets the user sign in again; sessions and tokens of before stay ended.

        Args:
            actor: needs `user:edit`, and every claim of the user.
            ref: name or id; one that is enabled already is no error.
        """
        with self._database.transaction() as session:
            user = self._get_user_to_change(session, actor, ref)
            if user.disabled_at is not None:
                user.disabled_at = None
                user.revision += 1
                session.flush()
                self._throttling.forget_account(session, user.name_key)
                record(session, actor, "user.enabled", _target(user))
            return users.get_view(session, user.id)

    def reset_password(self, actor: Actor, ref: str, *, revoke_tokens: bool = False) -> UserWithPassword:
        """Gives the account a one-time password and ends its sessions; waits after failed sign-ins end too.

        Args:
            actor: needs `user:edit`, and every claim of the user.
            ref: name or id.
            revoke_tokens: ends the account's tokens too.
        """
        password = make_one_time_password()
        # Before the transaction, which is to be short; nobody else's tries cost the time.
        password_hash = self._passwords.hash(password) if actor.may(Claim.USER_EDIT) else None
        with self._database.transaction() as session:
            user = self._get_user_to_change(session, actor, ref)
            user.password_hash = password_hash
            user.must_change_password = True
            user.revision += 1
            session.flush()
            details = {"sessions": sessions.end_sessions(session, user.id)}
            if revoke_tokens:
                details["tokens"] = tokens.revoke_all(session, user.id, self._clock.now())
            self._throttling.forget_account(session, user.name_key)
            record(session, actor, "user.password_reset", _target(user), **details)
            return UserWithPassword(users.get_view(session, user.id), password)

    def delete(self, actor: Actor, ref: str, *, expected_revision: int | None = None) -> UserView:
        """Deletes an account for good, with its sessions and tokens; what it has made stays, under its name.

        Args:
            actor: needs `user:edit`, and every claim of the user.
            ref: name or id.
            expected_revision: that the caller saw.

        Returns:
            What it was.

        Raises:
            Conflict: it is the actor's own account, or the last administrator's.
        """
        with self._database.transaction() as session:
            user = self._get_user_to_change(session, actor, ref)
            check_revision("user", user.name, user.revision, expected_revision)
            if user.id == actor.id:
                raise errors.own_account("delete")
            _require_other_administrator(session, user)
            view = users.get_view(session, user.id)
            session.delete(user)
            session.flush()
            record(session, actor, "user.deleted", _target(user), roles=list(view.roles))
            return view

    def _get_user_to_change(self, session: Session, actor: Actor, ref: str) -> User:
        actor.require_lasting_password()
        if not actor.may(Claim.USER_VIEW):
            raise errors.user_not_found(ref)
        # Two that take the role from each other take turns; always locked before the user.
        roles.lock_role(session, ADMIN.key)
        user = users.find_user(session, ref, lock=True)
        if user is None:
            raise errors.user_not_found(ref)
        actor.require(Claim.USER_EDIT)
        require_claims(actor, users.get_view(session, user.id).claims)
        return user

    def _end_credentials(self, session: Session, user: User) -> dict[str, int]:
        return {
            "sessions": sessions.end_sessions(session, user.id),
            "tokens": tokens.revoke_all(session, user.id, self._clock.now()),
        }


def _get_roles(session: Session, refs: Collection[str]) -> list[Role]:
    found: dict[str, Role] = {}
    for ref in refs:
        role = roles.find_role_to_give(session, ref)
        if role is None:
            raise errors.role_not_found(ref)
        found[role.name_key] = role
    return list(found.values())


def _list_claims(given: Collection[Role]) -> frozenset[Claim]:
    return users.read_claims([claim for role in given for claim in role.claims])


def _require_other_administrator(session: Session, user: User) -> None:
    """Refuses to take the last active administrator away."""
    is_administrator = ADMIN.name in users.get_view(session, user.id).roles and user.disabled_at is None
    if is_administrator and not users.has_other_active_user(session, ADMIN.key, user.id):
        raise errors.last_administrator(user.name)


def _describe(view: UserView) -> dict[str, object]:
    return {"name": view.name, "email": view.email, "roles": list(view.roles)}


def _target(user: User) -> Target:
    return Target("user", user.id, user.name)
