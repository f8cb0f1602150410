"""OidcController: signing in at an identity provider."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from raven_scan.access.cookies import set_cookie
from raven_scan.access.oidc import ATTEMPT_LIFETIME_S, OidcSignIn
from raven_scan.access.oidc_schemas import OidcWay, SignInWays
from raven_scan.access.oidc_types import OidcAnswer
from raven_scan.access.session_api import SESSION_PATH, get_visitor

OIDC_PATH = f"{SESSION_PATH}/oidc"
CALLBACK_PATH = f"{OIDC_PATH}/callback"
WAYS_PATH = f"{SESSION_PATH}/ways"
OIDC_OPEN_PATHS = frozenset({OIDC_PATH, CALLBACK_PATH, WAYS_PATH})
"""What answers without sign-in."""

_COOKIE = "raven_oidc"
_LONGEST_CODE = 4000


def build_oidc_router(service: OidcSignIn, *, public_url: str | None) -> APIRouter:
    """The router of signing in elsewhere.

    Args:
        service: the use cases.
        public_url: where browsers reach the server, if not at the name that it is asked by.
    """
    router = APIRouter(tags=["session"])

    @router.get(WAYS_PATH, summary="How can one sign in? Needs no sign-in.")
    def list_ways() -> SignInWays:
        """Tell how one can sign in."""
        name = service.provider_name
        return SignInWays(password=True, oidc=None if name is None else OidcWay(name=name, path=OIDC_PATH))

    @router.get(
        OIDC_PATH,
        summary="Sign in at the identity provider. Needs no sign-in.",
        status_code=302,
        response_class=RedirectResponse,
    )
    def begin(
        request: Request,
        next: Annotated[str, Query(description="A path of this server to go to afterwards.")] = SESSION_PATH,  # noqa: A002 - its name outside
    ) -> RedirectResponse:
        """Send the browser to the identity provider."""
        redirect = service.begin(_make_redirect_uri(request, public_url), next)
        response = RedirectResponse(redirect.url, status_code=302, headers=_NOT_KEPT)
        response.set_cookie(
            _COOKIE,
            redirect.cookie.get_secret_value(),
            max_age=ATTEMPT_LIFETIME_S,
            path=OIDC_PATH,
            secure=(public_url or str(request.url)).startswith("https:"),
            httponly=True,
            # It must come along when the provider sends the browser back.
            samesite="lax",
        )
        return response

    @router.get(
        CALLBACK_PATH,
        summary="Where the identity provider sends the browser back to. Needs no sign-in.",
        status_code=303,
        response_class=RedirectResponse,
    )
    def finish(
        request: Request,
        state: Annotated[str, Query(max_length=_LONGEST_CODE)] = "",
        code: Annotated[str | None, Query(max_length=_LONGEST_CODE)] = None,
        error: Annotated[str | None, Query(max_length=_LONGEST_CODE)] = None,
        iss: Annotated[str | None, Query(max_length=_LONGEST_CODE)] = None,
    ) -> RedirectResponse:
        """Start a session for whom the provider vouches, and send the browser on."""
        done = service.finish(
            _make_redirect_uri(request, public_url),
            request.cookies.get(_COOKIE),
            OidcAnswer(state=state, code=code, error=error, issuer=iss),
            get_visitor(request),
        )
        response = RedirectResponse(done.return_to, status_code=303, headers=_NOT_KEPT)
        response.delete_cookie(_COOKIE, path=OIDC_PATH)
        set_cookie(request, response, done.opened)
        return response

    return router


_NOT_KEPT = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def _make_redirect_uri(request: Request, public_url: str | None) -> str:
    base = str(request.base_url) if public_url is None else public_url
    return base.rstrip("/") + CALLBACK_PATH
