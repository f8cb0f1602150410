"""The use cases of roles."""

from collections.abc import Collection

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.access import errors
from raven_scan.access.audit import Target, record
from raven_scan.access.builtin_roles import BUILTIN_ROLES
from raven_scan.access.granting import require_claims
from raven_scan.access.models import Role
from raven_scan.access.names import check_role_name, make_name_key, make_searchable
from raven_scan.access.repository import roles
from raven_scan.access.repository.users import read_claims
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER_CLAIMS, Actor, Claim, RoleView
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision

LONGEST_DESCRIPTION = 500
_SHOWN_USERS = 10


class RoleService:
    """Roles: claims under a name. Who sees users sees roles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ensure_builtins(self) -> None:
        """Brings the built-in roles to what this release says."""
        with self._database.transaction() as session:
            there = roles.list_builtin_roles(session)
        wanted = {role.key: role for role in BUILTIN_ROLES}
        if wanted.keys() == there.keys() and all(
            (there[key].name, there[key].description, set(there[key].claims))
            == (role.name, role.description, set(role.claims))
            for key, role in wanted.items()
        ):
            return
        with self._database.transaction() as session:
            for role in BUILTIN_ROLES:
                roles.put_builtin_role(
                    session,
                    {
                        "id": make_id(),
                        "name": role.name,
                        "name_key": role.key,
                        "description": role.description,
                        "claims": sorted(role.claims),
                        "is_builtin": True,
                        "created_by": LOCAL_ADMINISTRATOR.name,
                    },
                )

    def list_roles(self, actor: Actor, page: PageRequest, *, q: str | None = None) -> Page[RoleView]:
        """By name, unless the page says another order.

        Args:
            actor: needs `user:view`.
            page: which.
            q: part of the name.
        """
        actor.require(Claim.USER_VIEW)
        with self._database.reading() as session:
            return roles.list_roles(session, page, None if q is None else make_searchable(q))

    def get_role(self, actor: Actor, ref: str) -> RoleView:
        """Raises NotFound, also for who lacks `user:view`."""
        with self._database.reading() as session:
            return roles.get_view(session, _get_role(session, actor, ref).id)

    def create(
        self, actor: Actor, *, name: str, claims: Collection[Claim], description: str = ""
    ) -> RoleView:
        """Creates a role.

        Args:
            actor: needs `role:edit`, and every one of the claims.
            name: unique, upper and lower case being the same.
            claims: at least one.
            description: for people.

        Raises:
            Invalid: the name, the description, or no claim.
            Conflict: there is a role of that name.
        """
        actor.require(Claim.USER_VIEW)
        actor.require(Claim.ROLE_EDIT)
        check_role_name(name)
        _check_claims(claims)
        _check_description(description)
        require_claims(actor, claims)
        role = Role(
            id=make_id(),
            name=name,
            name_key=make_name_key(name),
            description=description,
            claims=sorted(claims),
            created_by=actor.name,
        )
        try:
            with self._database.transaction() as session:
                session.add(role)
                session.flush()
                target = Target("role", role.id, role.name)
                record(session, actor, "role.created", target, claims=sorted(claims))
                return roles.get_view(session, role.id)
        except IntegrityError as error:
            raise errors.name_taken("role", name) from error

    def edit(
        self,
        actor: Actor,
        ref: str,
        *,
        name: str | None = None,
        claims: Collection[Claim] | None = None,
        description: str | None = None,
        expected_revision: int | None = None,
    ) -> RoleView:
        """Changes what is not None; who has the role has the new claims from the next request on.

        Args:
            actor: needs `role:edit`, and every claim of the role before and after.
            ref: name or id.
            name: the new one.
            claims: all of the new ones.
            description: the new one.
            expected_revision: that the caller saw.

        Raises:
            Conflict: the role is built in, or the name is taken.
            Stale: somebody else has changed it.
        """
        if name is not None:
            check_role_name(name)
        if claims is not None:
            _check_claims(claims)
        if description is not None:
            _check_description(description)
        try:
            with self._database.transaction() as session:
                role = _get_own_role(session, actor, ref)
                check_revision("role", role.name, role.revision, expected_revision)
                before = {"name": role.name, "claims": role.claims, "description": role.description}
                require_claims(actor, read_claims(role.claims) | set(claims or ()))
                if name is not None:
                    role.name, role.name_key = name, make_name_key(name)
                if claims is not None:
                    role.claims = sorted(claims)
                if description is not None:
                    role.description = description
                after = {"name": role.name, "claims": role.claims, "description": role.description}
                changes = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
                if changes:
                    role.revision += 1
                    session.flush()
                    record(session, actor, "role.edited", Target("role", role.id, role.name), changes=changes)
                return roles.get_view(session, role.id)
        except IntegrityError as error:
            raise errors.name_taken("role", name or ref) from error

    def delete(
        self, actor: Actor, ref: str, *, even_if_in_use: bool = False, expected_revision: int | None = None
    ) -> RoleView:
        """Deletes a role, and returns what it was.

        Args:
            actor: needs `role:edit`, and every claim of the role.
            ref: name or id.
            even_if_in_use: takes it from those who have it.
            expected_revision: that the caller saw.

        Raises:
            Conflict: the role is built in, or users have it.
        """
        with self._database.transaction() as session:
            role = _get_own_role(session, actor, ref)
            check_revision("role", role.name, role.revision, expected_revision)
            require_claims(actor, read_claims(role.claims))
            view = roles.get_view(session, role.id)
            users = roles.list_user_names(session, role.id, limit=_SHOWN_USERS)
            if users and not even_if_in_use:
                raise errors.role_in_use(role.name, users, view.user_count)
            roles.take_from_users(session, role.id)
            session.delete(role)
            session.flush()
            record(session, actor, "role.deleted", Target("role", role.id, role.name), users=view.user_count)
            return view


def _get_role(session: Session, actor: Actor, ref: str, *, lock: bool = False) -> Role:
    actor.require_lasting_password()
    role = roles.find_role(session, ref, lock=lock) if actor.may(Claim.USER_VIEW) else None
    if role is None:
        raise errors.role_not_found(ref)
    return role


def _get_own_role(session: Session, actor: Actor, ref: str) -> Role:
    """One that may be changed."""
    role = _get_role(session, actor, ref, lock=True)
    actor.require(Claim.ROLE_EDIT)
    if role.is_builtin:
        raise errors.builtin_role(role.name)
    return role


def _check_claims(claims: Collection[Claim]) -> None:
    if not claims:
        raise Invalid(
            "role.no_claims", "A role without a claim lets nobody do anything.", hint="Name a claim."
        )
    refused = sorted(set(claims) & WORKER_CLAIMS)
    if refused:
        raise Invalid(
            "role.workers_claim",
            f"Only workers do this: {', '.join(refused)}.",
            hint="Leave it out.",
            parameters={"claims": refused},
        )


def _check_description(description: str) -> None:
    if len(description) > LONGEST_DESCRIPTION or not description.isprintable():
        raise Invalid(
            "role.bad_description",
            "The description is too long, or has a character that cannot be printed.",
            hint=f"Write at most {LONGEST_DESCRIPTION} characters in one line.",
        )
