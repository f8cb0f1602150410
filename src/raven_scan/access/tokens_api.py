"""TokensController: API tokens over REST."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from raven_scan.access.schemas import MintedTokenOut, TokenCreate, TokenOut, TokenPage
from raven_scan.access.tokens import TokenService
from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest


def build_tokens_router(service: TokenService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: str | None = None,
        user: str | None = None,
        ended: bool = False,  # noqa: FBT001, FBT002 - a parameter of the query
    ) -> TokenPage:
        """List your tokens, or with `user:view` all or a user's; with `ended` those too that open nothing any more."""
        page = service.list_tokens(actor, PageRequest.parse(limit, cursor, sort), user=user, with_ended=ended)
        return TokenPage(items=[TokenOut.model_validate(each) for each in page.items], next=page.next)

    @router.post("", status_code=201)
    def create(
        actor: Annotated[Actor, Depends(get_actor)], body: TokenCreate, response: Response
    ) -> MintedTokenOut:
        """Make a token; answers it, this once."""
        response.headers["Cache-Control"] = "no-store"
        minted = service.create(
            actor,
            name=body.name,
            user=body.user,
            claims=body.claims,
            expires_in=None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s),
        )
        described = TokenOut.model_validate(minted.token)
        return MintedTokenOut(**described.model_dump(), token=minted.secret.get_secret_value())

    @router.get("/{token_id}")
    def get(actor: Annotated[Actor, Depends(get_actor)], token_id: UUID) -> TokenOut:
        """Read what is known of a token."""
        return TokenOut.model_validate(service.get_token(actor, token_id))

    @router.delete("/{token_id}", status_code=204)
    def revoke(actor: Annotated[Actor, Depends(get_actor)], token_id: UUID) -> None:
        """End a token at once, and for good."""
        service.revoke(actor, token_id)

    return router
