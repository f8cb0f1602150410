"""Who asks: the token or the session of a request, and the Host that it was sent to.

Both are checked before a byte of the body is read, for every path but the few that need no sign-in.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

import anyio
import structlog
from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from raven_scan.access.authentication import Authentication
from raven_scan.access.cookies import CSRF_HEADER, find_cookie
from raven_scan.access.errors import token_wrong
from raven_scan.access.oidc_api import OIDC_OPEN_PATHS
from raven_scan.access.session_api import SESSION_PATH
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, CredentialKind
from raven_scan.app.problems import make_problem
from raven_scan.kernel.database import describe_database_loss
from raven_scan.kernel.errors import Forbidden, Invalid, RavenError, Unauthenticated
from raven_scan.kernel.masking import TOKEN_BEGINNING
from raven_scan.notifications.unsubscribe_api import UNSUBSCRIBE_OPEN_PATHS

OPEN_PATHS = (
    frozenset({"/api/v1/system/health", "/api/v1/system/readiness", "/api/v1/openapi.json"})
    | OIDC_OPEN_PATHS
    | UNSUBSCRIBE_OPEN_PATHS
)
"""What answers without sign-in."""

SIGN_IN_CALLS = frozenset({("POST", SESSION_PATH)})
"""What signs somebody in, and so cannot ask for it."""

ALLOWED_WITH_ONE_TIME_PASSWORD = frozenset(
    {("GET", SESSION_PATH), ("DELETE", SESSION_PATH), ("PUT", f"{SESSION_PATH}/password")}
)
"""All that may be done before a one-time password is changed."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LARGEST_SIGN_IN_BYTES = 16_384
_LONGEST_LENGTH = 20
_AT_ONCE = 8

_log = structlog.get_logger(__name__)

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


_documented_token = HTTPBearer(
    auto_error=False, description="An API token, or the one kept in the data folder."
)
_documented_cookie = APIKeyCookie(
    name="raven_session",
    auto_error=False,
    description=f"Of POST {SESSION_PATH}; over TLS its name begins with `__Host-`. What changes something needs the "
    f"header {CSRF_HEADER} too.",
)


async def get_actor(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_documented_token)],
    __: Annotated[str | None, Depends(_documented_cookie)],
) -> Actor:
    """The dependency of every router: whom `SignIn` recognised.

    It waits for nothing; it is asynchronous so that it is not sent to another thread.
    """
    actor = request.state.actor
    assert isinstance(actor, Actor)  # noqa: S101 - SignIn lets nobody else through
    return actor


async def is_still_admitted(request: Request) -> bool:
    """Whether who made a request that goes on for long is recognised still, with the same claims."""
    try:
        actor = await request.state.recognise_again()
    except RavenError:
        return False
    return bool(actor.claims == request.state.actor.claims)


class SignIn:
    """Lets through who is recognised, as the actor that they are.

    A bearer token is the data folder's (or RAVEN_TOKEN's), which is the local administrator's, or an account's API
    token; else the cookie of a session will do. A browser sends its cookies whoever wrote the page: so a request that
    changes something has to come from a page of ours, and to show the session's CSRF token.

    Args:
        app: what is protected.
        token: the local administrator's; None inside the caller's own process, where there is nobody else.
        authentication: recognises accounts.
        local_via: what the local administrator's actions are noted to have come by.
        public_url: where browsers reach the server, if not at the name that it is asked by.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: SecretStr | None,
        authentication: Authentication,
        local_via: str = LOCAL_ADMINISTRATOR.via,
        public_url: str | None = None,
    ) -> None:
        self._app = app
        self._token = None if token is None else token.get_secret_value().encode()
        self._authentication = authentication
        self._local = replace(LOCAL_ADMINISTRATOR, via=local_via)
        self._public_host = None if public_url is None else urlsplit(public_url).netloc.lower()
        self._places: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            if (scope["method"], scope["path"]) in SIGN_IN_CALLS:
                self._check_origin(connection.headers)
                _check_size(connection.headers)
            else:
                actor = await self._recognise(connection)
                state = scope.setdefault("state", {})
                # Before anything is refused them: the audit trail is to say whom.
                state["actor"] = actor
                state["recognise_again"] = partial(self._recognise, connection)
                self._check_page(connection, actor)
                if (scope["method"], scope["path"]) not in ALLOWED_WITH_ONE_TIME_PASSWORD:
                    actor.require_lasting_password()
        except RavenError as refusal:
            await make_problem(refusal)(scope, receive, send)
            return
        except (OperationalError, InterfaceError) as error:
            _log.error("database.unavailable", cause=str(error.orig))
            await make_problem(describe_database_loss())(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _recognise(self, connection: HTTPConnection) -> Actor:
        if self._token is None:
            return self._local
        address = "" if connection.client is None else connection.client.host
        given = connection.headers.get("authorization")
        if given is not None:
            return await self._recognise_token(given, address)
        cookie = find_cookie(connection)
        if cookie is None:
            raise _token_missing()
        return await self._ask(partial(self._authentication.authenticate_cookie, cookie, address=address))

    def _check_page(self, connection: HTTPConnection, actor: Actor) -> None:
        """Refuses a change by a session that no page of ours asks for."""
        credential = actor.credential
        if credential is None or credential.kind is not CredentialKind.SESSION:
            return
        if connection.scope["method"] not in _SAFE_METHODS:
            self._check_origin(connection.headers)
            if not self._authentication.is_csrf_token(actor, connection.headers.get(CSRF_HEADER, "")):
                raise Forbidden(
                    "access.csrf_token_wrong",
                    f"A request that changes something needs the session's CSRF token in the header {CSRF_HEADER}.",
                    hint="GET /api/v1/session tells it as csrf_token; tools use a bearer token instead.",
                )

    async def _recognise_token(self, authorization: str, address: str) -> Actor:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given:
            raise _token_missing()
        if self._token is not None and hmac.compare_digest(given.encode(), self._token):
            return replace(self._local, address=address)
        if not given.startswith(TOKEN_BEGINNING):
            raise token_wrong()
        return await self._ask(partial(self._authentication.authenticate_token, given, address=address))

    async def _ask(self, authenticate: Callable[[], Actor]) -> Actor:
        # Threads of its own: requests that take long must not keep others at the door.
        if self._places is None:
            self._places = anyio.CapacityLimiter(_AT_ONCE)
        return await to_thread.run_sync(authenticate, limiter=self._places)

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None:
            is_ours = headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
        else:
            # By the host alone: behind a proxy with TLS, the server does not know that it is https.
            host = _find_host(origin)
            is_ours = host is not None and host in {headers.get("host", "").lower(), self._public_host}
        if not is_ours:
            raise Forbidden(
                "access.foreign_origin",
                "The request comes from a page of another server.",
                hint="Open the server's own address; behind a proxy, RAVEN_PUBLIC_URL has to say what it is.",
            )


def _token_missing() -> Unauthenticated:
    return Unauthenticated(
        "access.token_missing",
        "This needs a token, or a session.",
        hint="Sign in with `raven login`, set RAVEN_TOKEN, or send 'Authorization: Bearer TOKEN'.",
    )


def _check_size(headers: Headers) -> None:
    """Nobody who is not signed in has a large body read."""
    length = headers.get("content-length", "")
    is_known = length.isdecimal() and "transfer-encoding" not in headers
    if not is_known or int(length[:_LONGEST_LENGTH]) > _LARGEST_SIGN_IN_BYTES:
        raise Invalid(
            "request.too_large",
            f"To sign in takes a body of at most {_LARGEST_SIGN_IN_BYTES} bytes, with its Content-Length.",
            hint='Send {"name": …, "password": …}.',
        )


def _find_host(origin: str) -> str | None:
    """Host and port of an origin; None for `null`, and what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


class HostCheck:
    """Refuses requests sent to a name that is not ours: a foreign page may have pointed its own at us.

    Args:
        app: what is protected.
        names: host names without port; None admits all.
    """

    def __init__(self, app: ASGIApp, *, names: Sequence[str] | None) -> None:
        self._app = app
        self._names = None if names is None else frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._names is not None:
            host = _strip_port(Headers(scope=scope).get("host", ""))
            if host not in self._names:
                refusal = Forbidden(
                    "access.foreign_host",
                    f"This server does not go by the name {host!r}.",
                    hint="Use http://127.0.0.1 with the server's port.",
                )
                await make_problem(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _strip_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
