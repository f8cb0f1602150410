"""UnsubscribeController: ends a subscription by the link in its mails (RFC 8058), without signing in."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from raven_scan.kernel.media_types import choose_media_type
from raven_scan.notifications.schemas import UnsubscriptionOut
from raven_scan.notifications.types import LinkedSubscription
from raven_scan.notifications.unsubscribe_links import UNSUBSCRIBE_PATH
from raven_scan.notifications.unsubscribe_page import PAGE_HEADERS, write_confirmation, write_question
from raven_scan.notifications.unsubscribing import Unsubscribing

UNSUBSCRIBE_OPEN_PATHS = frozenset({UNSUBSCRIBE_PATH})
"""What answers without sign-in."""

_HTML, _JSON = "text/html", "application/json"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {_HTML: {"schema": {"type": "string"}}}, "description": "A page, or the same as JSON."}
}

_Token = Annotated[str, Query(max_length=200, description="Of the link.")]
_Accept = Annotated[str | None, Header(description=f"{_HTML} for the page; else {_JSON}.")]


def build_unsubscribe_router(service: Unsubscribing) -> APIRouter:
    router = APIRouter(tags=["subscriptions"])

    @router.get(
        UNSUBSCRIBE_PATH,
        summary="Which subscription does the link end? Needs no sign-in.",
        response_model=UnsubscriptionOut,
        responses=_RESPONSES,
    )
    def ask(token: _Token, accept: _Accept = None) -> Response:
        """Show what the link in a mail would end; changes nothing."""
        found = service.find_subscription(token)
        if choose_media_type(accept, (_JSON, _HTML)) == _HTML:
            return HTMLResponse(write_question(found), headers=_HEADERS)
        return _answer(found, has_ended=found is None)

    @router.post(
        UNSUBSCRIBE_PATH,
        summary="End the subscription of the link. Needs no sign-in.",
        response_model=UnsubscriptionOut,
        responses=_RESPONSES,
    )
    def unsubscribe(request: Request, token: _Token, accept: _Accept = None) -> Response:
        """End the subscription of the link in a mail; whatever the body says, and however often."""
        address = "" if request.client is None else request.client.host
        ended = service.unsubscribe(token, address=address)
        if choose_media_type(accept, (_JSON, _HTML)) == _HTML:
            return HTMLResponse(write_confirmation(), headers=_HEADERS)
        return _answer(ended, has_ended=True)

    return router


_HEADERS = {**PAGE_HEADERS, "Vary": "Accept"}


def _answer(subscription: LinkedSubscription | None, *, has_ended: bool) -> JSONResponse:
    told = {} if subscription is None else {name: getattr(subscription, name) for name in _TOLD}
    content = UnsubscriptionOut(has_ended=has_ended, **told)
    return JSONResponse(content.model_dump(mode="json"), headers=_HEADERS)


_TOLD = ("runs", "run", "ends", "recipient")
