"""UsersController and RolesController."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from raven_scan.access.roles import RoleService
from raven_scan.access.schemas import (
    PasswordReset,
    RoleCreate,
    RoleEdit,
    RoleOut,
    RolePage,
    UserCreate,
    UserEdit,
    UserOut,
    UserPage,
    UserWithPasswordOut,
)
from raven_scan.access.types import Actor, ActorDependency, RoleView, UserView, UserWithPassword
from raven_scan.access.users import UserChanges, UserService
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.revisions import format_etag, parse_if_match

IfMatch = Annotated[str | None, Header(description="The ETag that was read; refuses what was changed since.")]


def build_users_router(service: UserService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/users", tags=["users"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: str | None = None,
        q: str | None = None,
        role: str | None = None,
        disabled: bool | None = None,  # noqa: FBT001 - a parameter of the query
    ) -> UserPage:
        """List users by name; `q` looks into names and e-mail addresses."""
        page = service.list_users(
            actor, PageRequest.parse(limit, cursor, sort), q=q, role=role, is_disabled=disabled
        )
        return UserPage(items=[describe_user(each) for each in page.items], next=page.next)

    @router.post("", status_code=201)
    def create(
        actor: Annotated[Actor, Depends(get_actor)], body: UserCreate, response: Response
    ) -> UserWithPasswordOut:
        """Create an account; answers its one-time password, this once."""
        created = service.create(
            actor, name=body.name, roles=body.roles, email=body.email, has_password=body.has_password
        )
        return _describe_with_password(response, created)

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str, response: Response) -> UserOut:
        """Read a user, by name or id."""
        return _tag_user(response, service.get_user(actor, ref))

    @router.patch("/{ref}")
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: UserEdit,
        response: Response,
        if_match: IfMatch = None,
    ) -> UserOut:
        """Change name, e-mail address or roles; roles count from the user's next request on."""
        changes = UserChanges(name=body.name, email=body.email, roles=body.roles)
        user = service.edit(actor, ref, changes, expected_revision=parse_if_match(if_match))
        return _tag_user(response, user)

    @router.delete("/{ref}", status_code=204)
    def delete(actor: Annotated[Actor, Depends(get_actor)], ref: str, if_match: IfMatch = None) -> None:
        """Delete an account for good; what it has made stays."""
        service.delete(actor, ref, expected_revision=parse_if_match(if_match))

    @router.post("/{ref}/disable")
    def disable(actor: Annotated[Actor, Depends(get_actor)], ref: str, response: Response) -> UserOut:
        """Disable an account; its sessions and tokens end at once, and for good."""
        return _tag_user(response, service.disable(actor, ref))

    @router.post("/{ref}/enable")
    def enable(actor: Annotated[Actor, Depends(get_actor)], ref: str, response: Response) -> UserOut:
        """Let a disabled user sign in again."""
        return _tag_user(response, service.enable(actor, ref))

    @router.post("/{ref}/reset-password")
    def reset_password(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        response: Response,
        body: PasswordReset | None = None,
    ) -> UserWithPasswordOut:
        """Give an account a one-time password, and end its sessions."""
        revoke_tokens = body is not None and body.revoke_tokens
        return _describe_with_password(
            response, service.reset_password(actor, ref, revoke_tokens=revoke_tokens)
        )

    return router


def build_roles_router(service: RoleService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/roles", tags=["roles"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: str | None = None,
        q: str | None = None,
    ) -> RolePage:
        """List roles by name, with their claims."""
        page = service.list_roles(actor, PageRequest.parse(limit, cursor, sort), q=q)
        return RolePage(items=[RoleOut.model_validate(each) for each in page.items], next=page.next)

    @router.post("", status_code=201)
    def create(actor: Annotated[Actor, Depends(get_actor)], body: RoleCreate, response: Response) -> RoleOut:
        """Create a role of claims that you have yourself."""
        role = service.create(actor, name=body.name, claims=body.claims, description=body.description)
        return _tag_role(response, role)

    @router.get("/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str, response: Response) -> RoleOut:
        """Read a role, by name or id."""
        return _tag_role(response, service.get_role(actor, ref))

    @router.patch("/{ref}")
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        body: RoleEdit,
        response: Response,
        if_match: IfMatch = None,
    ) -> RoleOut:
        """Change a role that is not built in; it counts from its users' next requests on."""
        role = service.edit(
            actor,
            ref,
            name=body.name,
            claims=body.claims,
            description=body.description,
            expected_revision=parse_if_match(if_match),
        )
        return _tag_role(response, role)

    @router.delete("/{ref}", status_code=204)
    def delete(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        force: bool = False,  # noqa: FBT001, FBT002 - a parameter of the query
        if_match: IfMatch = None,
    ) -> None:
        """Delete a role that is not built in; with `force` also one that users have, who lose it."""
        service.delete(actor, ref, even_if_in_use=force, expected_revision=parse_if_match(if_match))

    return router


def describe_user(user: UserView) -> UserOut:
    described = UserOut.model_validate(user)
    described.claims.sort()
    return described


def _describe_with_password(response: Response, created: UserWithPassword) -> UserWithPasswordOut:
    response.headers["Cache-Control"] = "no-store"
    password = created.one_time_password
    return UserWithPasswordOut(
        user=describe_user(created.user),
        one_time_password=None if password is None else password.get_secret_value(),
    )


def _tag_user(response: Response, user: UserView) -> UserOut:
    response.headers["ETag"] = format_etag(user.revision)
    return describe_user(user)


def _tag_role(response: Response, role: RoleView) -> RoleOut:
    response.headers["ETag"] = format_etag(role.revision)
    return RoleOut.model_validate(role)
