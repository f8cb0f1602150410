"""SessionController: signing in and out, one's own password and sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from raven_scan.access.authentication import Authentication
from raven_scan.access.cookies import remove_cookie, set_cookie
from raven_scan.access.granting import has_account
from raven_scan.access.schemas import (
    EndedSessions,
    PasswordChange,
    SessionOut,
    SessionPage,
    SignIn,
    WhoAmI,
)
from raven_scan.access.sessions import SessionService, Visitor
from raven_scan.access.types import Actor, ActorDependency

SESSION_PATH = "/api/v1/session"


def build_session_router(
    service: SessionService, authentication: Authentication, get_actor: ActorDependency
) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["session"])

    @router.post("/session", status_code=201, summary="Sign in. Needs no sign-in.")
    def sign_in(body: SignIn, request: Request, response: Response) -> WhoAmI:
        """Sign in with name and password; sets the session's cookie."""
        opened = service.sign_in(body.name, body.password, get_visitor(request))
        set_cookie(request, response, opened)
        response.headers["Cache-Control"] = "no-store"
        return describe_actor(opened.actor, authentication)

    @router.get("/session")
    def who_am_i(actor: Annotated[Actor, Depends(get_actor)], response: Response) -> WhoAmI:
        """Tell who you are, and what you may do."""
        response.headers["Cache-Control"] = "no-store"
        return describe_actor(actor, authentication)

    @router.delete("/session", status_code=204)
    def sign_out(actor: Annotated[Actor, Depends(get_actor)], request: Request, response: Response) -> None:
        """Sign out: end the session, or the token, that this request came with."""
        service.sign_out(actor)
        remove_cookie(request, response)

    @router.put("/session/password", status_code=204)
    def change_password(actor: Annotated[Actor, Depends(get_actor)], body: PasswordChange) -> None:
        """Change your password; ends your other sessions."""
        service.change_password(actor, current=body.current_password, new=body.new_password)

    @router.get("/sessions")
    def list_sessions(actor: Annotated[Actor, Depends(get_actor)], user: str | None = None) -> SessionPage:
        """List where you are signed in, or with `user:view` where a user is."""
        found = service.list_sessions(actor, user)
        return SessionPage(items=[SessionOut.model_validate(each) for each in found], next=None)

    @router.delete("/sessions")
    def end_sessions(actor: Annotated[Actor, Depends(get_actor)], user: str | None = None) -> EndedSessions:
        """Sign out everywhere but here; with `user` and the claims for it, somebody else."""
        return EndedSessions(ended=service.end_other_sessions(actor, user))

    @router.delete("/sessions/{session_id}", status_code=204)
    def end_session(actor: Annotated[Actor, Depends(get_actor)], session_id: UUID) -> None:
        """Sign out one place."""
        service.end_session(actor, session_id)

    return router


def describe_actor(actor: Actor, authentication: Authentication) -> WhoAmI:
    credential = actor.credential
    return WhoAmI(
        id=actor.id,
        name=actor.name,
        has_account=has_account(actor),
        via=actor.via,
        claims=sorted(actor.claims),
        must_change_password=credential is not None and credential.must_change_password,
        expires_at=None if credential is None else credential.expires_at,
        csrf_token=authentication.get_csrf_token(actor),
    )


def get_visitor(request: Request) -> Visitor:
    """Where the request comes from."""
    address = "" if request.client is None else request.client.host
    return Visitor(address=address, user_agent=request.headers.get("user-agent", ""))
