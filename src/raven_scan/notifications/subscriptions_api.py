"""SubscriptionsController: subscriptions over REST."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from raven_scan.access.types import Actor, ActorDependency
from raven_scan.kernel.paging import DEFAULT_LIMIT, PageRequest
from raven_scan.kernel.revisions import format_etag, parse_if_match
from raven_scan.notifications.schemas import (
    NewSubscriptionOut,
    SubscriptionCreate,
    SubscriptionEdit,
    SubscriptionOut,
    SubscriptionPage,
    TestResultOut,
)
from raven_scan.notifications.subscriptions import SubscriptionService, Wish
from raven_scan.notifications.types import SubscriptionView

_ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}


def build_subscriptions_router(service: SubscriptionService, get_actor: ActorDependency) -> APIRouter:
    router = APIRouter(prefix="/api/v1/subscriptions", tags=["subscriptions"])

    @router.get("")
    def list_all(
        actor: Annotated[Actor, Depends(get_actor)],
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        user: Annotated[str | None, Query(description="Somebody else's, for who may edit users.")] = None,
        *,
        of_all: Annotated[bool, Query(description="Every user's, for who may edit users.")] = False,
    ) -> SubscriptionPage:
        """List your subscriptions, newest first."""
        page = service.list_subscriptions(actor, PageRequest.parse(limit, cursor), user=user, of_all=of_all)
        return SubscriptionPage(items=[_describe(each) for each in page.items], next=page.next)

    @router.post("", status_code=201)
    def subscribe(
        actor: Annotated[Actor, Depends(get_actor)], body: SubscriptionCreate
    ) -> NewSubscriptionOut:
        """Subscribe to the ends of runs; answers the secret of a webhook, this once."""
        made = service.subscribe(
            actor,
            Wish(
                runs=body.runs,
                run=body.run,
                ends=body.ends,
                email=body.email,
                webhook=body.webhook,
                user=body.user,
            ),
        )
        secret = None if made.secret is None else made.secret.get_secret_value()
        return NewSubscriptionOut(**_describe(made.subscription).model_dump(), secret=secret)

    @router.get("/{subscription_id}", responses=_ETAG)
    def get(
        actor: Annotated[Actor, Depends(get_actor)], subscription_id: UUID, response: Response
    ) -> SubscriptionOut:
        """Read a subscription."""
        found = service.get_subscription(actor, subscription_id)
        response.headers["ETag"] = format_etag(found.revision)
        return _describe(found)

    @router.patch("/{subscription_id}", responses=_ETAG)
    def edit(
        actor: Annotated[Actor, Depends(get_actor)],
        subscription_id: UUID,
        body: SubscriptionEdit,
        response: Response,
        if_match: Annotated[
            str | None, Header(description="The ETag that you read; what was changed since is refused.")
        ] = None,
    ) -> SubscriptionOut:
        """Let a subscription rest, wake it up, or change of which ends it tells."""
        edited = service.edit(
            actor,
            subscription_id,
            is_active=body.is_active,
            ends=body.ends,
            expected_revision=parse_if_match(if_match),
        )
        response.headers["ETag"] = format_etag(edited.revision)
        return _describe(edited)

    @router.delete("/{subscription_id}", status_code=204)
    def unsubscribe(actor: Annotated[Actor, Depends(get_actor)], subscription_id: UUID) -> None:
        """Remove a subscription; nothing more is sent by it."""
        service.unsubscribe(actor, subscription_id)

    @router.post("/{subscription_id}/test")
    def send_test(actor: Annotated[Actor, Depends(get_actor)], subscription_id: UUID) -> TestResultOut:
        """Send a test message, and tell how it fared."""
        return TestResultOut.model_validate(service.send_test(actor, subscription_id))

    return router


def _describe(subscription: SubscriptionView) -> SubscriptionOut:
    return SubscriptionOut.model_validate(subscription)
