"""PublishedModelsController and PolicyController."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.revisions import format_etag, parse_if_match
from raven_scan.publishing.policy_service import PolicyService
from raven_scan.publishing.schemas import (
    HistoryEntryOut,
    HistoryPage,
    PolicyChangeOut,
    PolicyChangePage,
    PolicyEdit,
    PolicyOut,
    PublicationCheckCreate,
    PublicationCheckOut,
    PublicationCreate,
    PublishedNameOut,
    PublishedNamePage,
    PublishedNameSummaryOut,
    PublishedVersionOut,
    PublishedVersionPage,
    Rollback,
    Withdrawal,
)
from raven_scan.publishing.service import PublishingService
from raven_scan.publishing.types import PolicyView

_ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}


def build_publishing_router(service: PublishingService, get_actor: ActorDependency) -> APIRouter:
    """The router of published names; {ref} is a name or its id."""
    router = APIRouter(prefix="/api/v1", tags=["published models"])

    @router.post("/trained-models/{ref}/publication-check")
    def check(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: PublicationCheckCreate | None = None
    ) -> PublicationCheckOut:
        """Tell what publishing a model would find, without publishing it."""
        asked = body or PublicationCheckCreate()
        return PublicationCheckOut.model_validate(
            service.check(actor, ref, name=asked.name, dataset=asked.dataset)
        )

    @router.get("/published-models")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        sort: Annotated[
            str | None, Query(description="name or changed_at; with - before it, downwards")
        ] = None,
    ) -> PublishedNamePage:
        """List published names with what they stand for."""
        page = service.list_names(actor, PageRequest.parse(limit, cursor, sort))
        items = [PublishedNameSummaryOut.model_validate(each) for each in page.items]
        return PublishedNamePage(items=items, next=page.next)

    @router.post("/published-models", status_code=201)
    def publish(actor: Annotated[Actor, Depends(get_actor)], body: PublicationCreate) -> PublishedVersionOut:
        """Publish a model as the next version of a name, where it meets the policy."""
        version = service.publish(
            actor,
            body.model,
            name=body.name,
            notes=body.notes,
            dataset=body.dataset,
            override=body.override,
        )
        return PublishedVersionOut.model_validate(version)

    @router.get("/published-models/{ref}")
    def get(actor: Annotated[Actor, Depends(get_actor)], ref: str) -> PublishedNameOut:
        """Read a name with its version in use."""
        return PublishedNameOut.model_validate(service.get_name(actor, ref))

    @router.get("/published-models/{ref}/versions")
    def list_versions(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> PublishedVersionPage:
        """List the versions of a name, newest first."""
        page = service.list_versions(actor, ref, PageRequest.parse(limit, cursor))
        items = [PublishedVersionOut.model_validate(each) for each in page.items]
        return PublishedVersionPage(items=items, next=page.next)

    @router.get("/published-models/{ref}/history")
    def list_history(
        actor: Annotated[Actor, Depends(get_actor)],
        ref: str,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> HistoryPage:
        """List what became of a name, newest first."""
        page = service.list_history(actor, ref, PageRequest.parse(limit, cursor))
        items = [HistoryEntryOut.model_validate(each) for each in page.items]
        return HistoryPage(items=items, next=page.next)

    @router.post("/published-models/{ref}/withdraw")
    def withdraw(actor: Annotated[Actor, Depends(get_actor)], ref: str, body: Withdrawal) -> PublishedNameOut:
        """Withdraw a version for good: NAME@N, or by NAME the one in use."""
        return PublishedNameOut.model_validate(service.withdraw(actor, ref, reason=body.reason))

    @router.post("/published-models/{ref}/rollback")
    def roll_back(
        actor: Annotated[Actor, Depends(get_actor)], ref: str, body: Rollback | None = None
    ) -> PublishedNameOut:
        """Take an earlier version of a name into use again."""
        asked = body or Rollback()
        name = service.roll_back(actor, ref, to=asked.to, reason=asked.reason, recheck=asked.recheck)
        return PublishedNameOut.model_validate(name)

    return router


def build_policy_router(service: PolicyService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/policy", tags=["policy"])

    @router.get("", responses=_ETAG)
    def get(actor: Annotated[Actor, Depends(get_actor)], response: Response) -> PolicyOut:
        """Read the quality requirements."""
        return _tag(response, service.get_policy(actor))

    @router.patch("", responses=_ETAG)
    def change(
        actor: Annotated[Actor, Depends(get_actor)],
        body: PolicyEdit,
        response: Response,
        if_match: Annotated[str | None, Header(description="The ETag that you read.")] = None,
    ) -> PolicyOut:
        """Change requirements; models that are published already stay so."""
        policy = service.change(actor, body.set, unset=body.unset, expected=parse_if_match(if_match))
        return _tag(response, policy)

    @router.get("/history")
    def list_changes(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> PolicyChangePage:
        """List changes of the policy, newest first."""
        page = service.list_changes(actor, PageRequest.parse(limit, cursor))
        items = [PolicyChangeOut.model_validate(each) for each in page.items]
        return PolicyChangePage(items=items, next=page.next)

    return router


def _tag(response: Response, policy: PolicyView) -> PolicyOut:
    response.headers["ETag"] = format_etag(policy.version)
    return PolicyOut.model_validate(policy)
