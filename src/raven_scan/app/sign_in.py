"""Who asks: the bearer token of a request, and the Host that it was sent to.

Both are checked before a byte of the body is read, for every path but the few that need no sign-in.
"""

import hmac
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor
from raven_scan.app.problems import make_problem
from raven_scan.kernel.errors import Forbidden, Unauthenticated

OPEN_PATHS = frozenset({"/api/v1/system/health", "/api/v1/openapi.json"})
"""What answers without sign-in."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


_documented_scheme = HTTPBearer(auto_error=False, description="The token kept in the data folder.")


def get_actor(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_documented_scheme)],
) -> Actor:
    """The dependency of every router: whom `SignIn` recognised."""
    actor = request.state.actor
    assert isinstance(actor, Actor)  # noqa: S101 - SignIn lets nobody else through
    return actor


class SignIn:
    """Lets through who knows the token.

    Args:
        app: what is protected.
        token: None inside the caller's own process, where there is nobody else.
    """

    def __init__(self, app: ASGIApp, *, token: SecretStr | None) -> None:
        self._app = app
        self._token = None if token is None else token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] not in OPEN_PATHS:
            refusal = self._find_refusal(Headers(scope=scope))
            if refusal is not None:
                await make_problem(refusal)(scope, receive, send)
                return
            scope.setdefault("state", {})["actor"] = LOCAL_ADMINISTRATOR
        await self._app(scope, receive, send)

    def _find_refusal(self, headers: Headers) -> Unauthenticated | None:
        if self._token is None:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return Unauthenticated(
                "access.token_missing",
                "This needs a token.",
                hint="Set RAVEN_TOKEN, or send 'Authorization: Bearer TOKEN'; the server says at its start where its "
                "token is.",
            )
        if not hmac.compare_digest(given.strip().encode(), self._token):
            return Unauthenticated(
                "access.token_wrong",
                "The token is not this server's.",
                hint="Set RAVEN_TOKEN to the server's token; the server says at its start where it is kept.",
            )
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
